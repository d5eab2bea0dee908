"""The codec processes of this process: started when the first file has to be decoded, ended when they are idle.

One request at a time has a child to itself, from before the file is read until the result is there, so that no more
files are in memory than there are children.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..dicom import codec_process
from ..dicom.codec_process import Message, read_message, write_message
from ..dicom.frames import Bytes
from ..dicom.pixels import Undecodable
from ..errors import Unavailable

log = logging.getLogger(__name__)

IDLE_SECONDS = 30.0
"""A child that has had nothing to do for so long is ended."""

CHUNK = 1024 * 1024
"""Bytes that are read at a time from a result on disk."""


@dataclass(slots=True)
class CodecResult:
    """The bytes that a task gave, and the lengths of the parts they consist of. To be closed."""

    parts: list[int]
    content: bytes = b""
    file: BinaryIO | None = None
    path: Path | None = None

    async def chunks(self, size: int = CHUNK) -> AsyncIterator[bytes]:
        """All of it, from the beginning; what is in memory comes whole."""
        if self.file is None:
            yield self.content
            return
        while chunk := await asyncio.to_thread(self.file.read, size):
            yield chunk

    async def part(self, number: int) -> bytes:
        """One part, counted from 0."""
        start = sum(self.parts[:number])
        if self.file is None:
            return self.content[start : start + self.parts[number]]
        return await asyncio.to_thread(self._read_at, start, self.parts[number])

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.content) if self.file is None else os.fstat(self.file.fileno()).st_size

    def _read_at(self, position: int, size: int) -> bytes:
        file = cast(BinaryIO, self.file)
        file.seek(position)
        return file.read(size)

    def close(self) -> None:
        """Gives the disk back what is left there."""
        if self.file is not None:
            self.file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class _Child:
    """One process and its pipes. Everything in here blocks."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def converse(self, message: Message, blobs: Sequence[Bytes]) -> tuple[Message, list[bytes]]:
        """Sends a request and waits for the answer; raises `OSError` or `EOFError` if the process dies of it."""
        process = self._process
        if process is None or process.poll() is not None:
            self.end()
            process = self._process = _start()
        write_message(cast(BinaryIO, process.stdin), message, blobs)
        return read_message(cast(BinaryIO, process.stdout))

    def end(self) -> int | None:
        """Ends the process at once; what it ended with, if it was there."""
        if self._process is None:
            return None
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(BinaryIO, pipe).close()
        self._process = None
        return code


def _start() -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", codec_process.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # codecs print what they think of files
            env=os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        )
    except OSError as error:
        raise Unavailable("No process can be started to decode pixel data.") from error


class Codecs:
    """At most `most` children; a task that takes longer than `longest` seconds is given up."""

    def __init__(self, most: int, longest: float) -> None:
        self._free = asyncio.Semaphore(most)
        self._free_threads = asyncio.Semaphore(most)
        self._longest = longest
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="codec")
        self._idle: list[tuple[_Child, asyncio.TimerHandle]] = []

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator["CodecTurn"]:
        """Waits for a child to be free and keeps it; files are read inside."""
        async with self._free:
            child = self._idle_child() or _Child()
            try:
                yield CodecTurn(child, self._threads, self._longest)
            finally:
                self._keep(child)

    @contextlib.asynccontextmanager
    async def thread(self) -> AsyncIterator[None]:
        """Waits until few enough others work on pixels in threads of this process; files are read inside."""
        async with self._free_threads:
            yield

    async def close(self) -> None:
        """Ends the children that are idle; the others end with their pipes."""
        while (child := self._idle_child()) is not None:
            await asyncio.to_thread(child.end)
        self._threads.shutdown(wait=False)

    def _idle_child(self) -> _Child | None:
        if not self._idle:
            return None
        child, timer = self._idle.pop()
        timer.cancel()
        return child

    def _keep(self, child: _Child) -> None:
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle, child)
        self._idle.append((child, timer))

    def _end_idle(self, child: _Child) -> None:
        self._idle = [(other, timer) for other, timer in self._idle if other is not child]
        self._threads.submit(child.end)


class CodecTurn:
    """A child for the time being."""

    def __init__(self, child: _Child, threads: ThreadPoolExecutor, longest: float) -> None:
        self._child = child
        self._threads = threads
        self._longest = longest

    async def run(self, task: str, blobs: Sequence[Bytes], **parameters: Any) -> CodecResult:
        """Has a task of `codec_process` done; raises `Undecodable`, or `Unavailable` if the disk is full."""
        path = Path(tempfile.gettempdir()) / f"dicom-{uuid.uuid4().hex}.part"
        message = {"task": task, "path": str(path), **parameters}
        working = asyncio.get_running_loop().run_in_executor(self._threads, self._child.converse, message, blobs)
        working.add_done_callback(_look_at)
        try:
            answer, content = await asyncio.wait_for(asyncio.shield(working), self._longest)
        except asyncio.CancelledError:
            await asyncio.shield(self._abandon(working, path))
            raise
        except (EOFError, OSError) as error:  # a time-out is an OSError
            code = await self._abandon(working, path)
            log.warning("A codec process ended without a result (%s: %r, exit code %s).", task, error, code)
            raise Undecodable("the codec process ended without a result") from error
        return _result(answer, content, path)

    async def _abandon(self, working: "asyncio.Future[Any]", path: Path) -> int | None:
        """Ends the child, whatever it is at, and with it the thread that waits for it."""
        code = await asyncio.to_thread(self._child.end)
        await asyncio.wait([working])
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return code


def _look_at(working: "asyncio.Future[Any]") -> None:
    """An exception that nobody waits for any more has been seen."""
    if not working.cancelled():
        working.exception()


def _result(answer: Message, content: list[bytes], path: Path) -> CodecResult:
    if "undecodable" in answer:
        raise Undecodable(answer["undecodable"])
    if "failed" in answer:
        raise Unavailable("There is no room for decoded pixel data.")
    if not answer["spilled"]:
        return CodecResult(answer["parts"], content=content[0])
    file = path.open("rb")
    with contextlib.suppress(OSError):
        path.unlink()  # it goes with the last that has it open; Windows wants it closed first
    return CodecResult(answer["parts"], file=file, path=path)
