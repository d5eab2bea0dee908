"""A process of its own for the codecs: what runs here cannot hold up, crash or exhaust the service.

The decoders are C libraries that keep the interpreter's lock for as long as a frame takes, and they read whatever
clients have stored. Requests come in on the standard input of the child, answers go out on what was its standard
output. A message is a JSON object, which tells the sizes of the blobs behind it, and these.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .frames import Bytes
from .pixels import Undecodable

Message = dict[str, Any]

IN_MEMORY = 8 * 1024 * 1024
"""Results that are larger are left in the file that the request names."""

_MOST_RESULT = 4 << 30
_MOST_MEMORY = 6 << 30
_NICENESS = 5


def write_message(stream: BinaryIO, message: Message, blobs: Sequence[Bytes] = ()) -> None:
    """Sends a message with its blobs."""
    head = json.dumps({**message, "blobs": [len(blob) for blob in blobs]}).encode()
    stream.write(len(head).to_bytes(4, "little") + head)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[Message, list[bytes]]:
    """The next message and its blobs; raises `EOFError` if the other side is gone."""
    message: Message = json.loads(_exactly(stream, int.from_bytes(_exactly(stream, 4), "little")))
    return message, [_exactly(stream, length) for length in message["blobs"]]


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


class Result:
    """What a task gives: bytes, in memory as long as they are few, and the lengths of the parts they consist of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: io.BytesIO | io.BufferedRandom = io.BytesIO()
        self.parts: list[int] = []

    def add(self, part: bytes) -> None:
        """Appends a part."""
        self.parts.append(len(part))
        self.write(part)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends bytes; raises `Undecodable` if they get too many."""
        end = self._stream.tell() + len(data)
        if end > _MOST_RESULT:
            raise Undecodable(f"more than {_MOST_RESULT} bytes when decoded")
        if end > IN_MEMORY and isinstance(self._stream, io.BytesIO):
            gathered, self._stream = self._stream.getvalue(), self._path.open("w+b")
            self._stream.write(gathered)
        self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int) -> None:
        self._stream.seek(position)

    def finish(self) -> bytes | None:
        """All bytes, or None if they are in the file."""
        if isinstance(self._stream, io.BytesIO):
            return self._stream.getvalue()
        self._stream.close()
        return None


def transcode_file(message: Message, blobs: list[bytes], result: Result) -> None:
    """Blobs: the file and its frame table."""
    from . import transcode

    transcode.transcode_file(blobs[0], message["transfer_syntax"], message["target"], blobs[1], result)


def transcode_frames(message: Message, blobs: list[bytes], result: Result) -> None:
    """Blobs: the file up to its pixel data, and the frames."""
    from . import transcode

    beginning, *frames = blobs
    _add(result, transcode.transcode_frames(beginning, message["transfer_syntax"], message["target"], frames))


def transcode_frames_of_file(message: Message, blobs: list[bytes], result: Result) -> None:
    """Blobs: the file and its frame table. The message has the numbers of the frames."""
    from . import transcode

    syntax, target, numbers = message["transfer_syntax"], message["target"], message["frames"]
    _add(result, transcode.transcode_frames_of_file(blobs[0], syntax, target, blobs[1], numbers))


def render_frame(message: Message, blobs: list[bytes], result: Result) -> None:
    """Blobs: the file up to its pixel data, the frame, and the first frame if it is needed."""
    from . import render

    beginning, content, *first = blobs
    result.add(
        render.render_frame(
            beginning,
            message["transfer_syntax"],
            message["frame"],
            content,
            first[0] if first else None,
            message["media_type"],
            message["quality"],
        )
    )


def render_frame_of_file(message: Message, blobs: list[bytes], result: Result) -> None:
    """Blobs: the file and its frame table."""
    from . import render

    content, frames = blobs
    syntax, media_type = message["transfer_syntax"], message["media_type"]
    result.add(render.render_frame_of_file(content, syntax, frames, message["frame"], media_type, message["quality"]))


TASKS: dict[str, Callable[[Message, list[bytes], Result], None]] = {
    task.__name__: task
    for task in (transcode_file, transcode_frames, transcode_frames_of_file, render_frame, render_frame_of_file)
}


def perform(message: Message, blobs: list[bytes]) -> tuple[Message, list[bytes]]:
    """Carries out one request. Whatever a file does to a codec is the file's fault; a full disk is not."""
    result = Result(Path(message["path"]))
    try:
        TASKS[message["task"]](message, blobs, result)
        content = result.finish()
    except OSError as error:
        return {"failed": str(error)}, []
    except Exception as error:
        return {"undecodable": f"{type(error).__name__}: {error}"}, []
    return {"parts": result.parts, "spilled": content is None}, [] if content is None else [content]


def serve() -> None:
    """Answers requests until the parent closes the pipe."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print would garble the answers
    _be_modest()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            answer, blobs = perform(*read_message(requests))
            write_message(answers, answer, blobs)


def _add(result: Result, parts: Iterable[bytes]) -> None:
    for part in parts:
        result.add(part)


def _be_modest() -> None:
    """Less urgent than the service, and with a limit on memory, where the system knows such things."""
    if sys.platform != "win32":
        import resource

        os.nice(_NICENESS)
        with contextlib.suppress(ValueError, OSError):
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            limit = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(_MOST_MEMORY, hard)
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    serve()
