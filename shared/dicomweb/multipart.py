"""Bodies of type multipart/related, read as they arrive (RFC 2046 5.1, RFC 2387, PS3.18 8.6.1.2; STO-20 to STO-28).

`MultipartParser` takes the body in pieces of any size and gives back headers, content and ends of parts. It holds no
more than one header block or one undecided delimiter, goes over every byte a constant number of times, and hands over
the content exactly as it came: only CR LF, two hyphens and the boundary, followed by the end of the line or by two
more hyphens, end a part.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto

from ..errors import InvalidRequest

LONGEST_HEADERS = 16 * 1024
"""Bytes of the headers of one part."""

LONGEST_PADDING = 1024
"""Blanks between a boundary and the end of its line."""

_LINE_END = b"\r\n"
_HEADERS_END = b"\r\n\r\n"
_BLANKS = b" \t"


class MultipartError(InvalidRequest):
    """The body does not keep to the framing."""


@dataclass(frozen=True, slots=True)
class PartStart:
    """A part begins; its headers by their names in lower case. Of a header that comes twice the first counts."""

    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete: the delimiter behind it has been seen."""


Event = PartStart | bytes | PartEnd
"""Bytes are content of the part that started last."""


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


class _Found(Enum):
    NOTHING = auto()
    UNDECIDED = auto()
    NEXT = auto()
    LAST = auto()


async def read_multipart(body: AsyncIterable[bytes], boundary: bytes) -> AsyncIterator[Event]:
    """The events of a whole body; raises `MultipartError`."""
    parser = MultipartParser(boundary)
    async for data in body:
        for event in parser.feed(data):
            yield event
    parser.close()


class MultipartParser:
    """One body. Feed it all pieces in their order, then close it."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._state = _State.PREAMBLE
        # The first delimiter may stand at the very beginning, without the line end that belongs to it elsewhere.
        self._rest = _LINE_END
        self._start: PartStart | None = None
        self._after_headers = False

    def feed(self, data: bytes) -> list[Event]:
        """What `data` completes; raises `MultipartError`."""
        buffer = self._rest + data if self._rest else data
        events: list[Event] = []
        position: int | None = 0
        while position is not None and self._state is not _State.EPILOGUE:
            kept = position
            if self._state is _State.HEADERS:
                position = self._read_headers(buffer, kept)
            else:
                kept, position = self._read_content(buffer, kept, events)
        self._rest = b"" if self._state is _State.EPILOGUE else buffer[kept:]
        return events

    def close(self) -> None:
        """The body is over: raises `MultipartError` unless its closing boundary has been seen (STO-27, STO-28)."""
        if self._state is _State.PREAMBLE:
            raise MultipartError("The multipart request body does not contain its boundary.")
        if self._state is not _State.EPILOGUE:
            raise MultipartError("The multipart request body ended before its closing boundary.")

    def _read_headers(self, buffer: bytes, position: int) -> int | None:
        """Reads the headers; `position` is at the end of the delimiter's line. Where to go on; `None`: more is needed.

        The content is looked for from the end of the blank line on, which at once may begin the next delimiter.
        """
        end = buffer.find(_HEADERS_END, position)
        if (len(buffer) if end < 0 else end) - position > LONGEST_HEADERS:
            raise MultipartError(f"The headers of a part exceed {LONGEST_HEADERS} bytes.")
        if end < 0:
            return None
        self._start = PartStart(_headers(buffer[position + len(_LINE_END) : end]))
        self._after_headers = True
        self._state = _State.CONTENT
        return end + len(_LINE_END)

    def _read_content(self, buffer: bytes, position: int, events: list[Event]) -> tuple[int, int | None]:
        """Reads content up to a delimiter, or drops the preamble. Up to where, and where to go on (`None`: nowhere)."""
        end, found, after = self._find(buffer, position)
        if self._state is _State.CONTENT:
            self._take(buffer, position, end, events)
            if found in (_Found.NEXT, _Found.LAST):
                self._finish(events)
        if found is _Found.NEXT:
            self._state = _State.HEADERS
            return after, after
        if found is _Found.LAST:
            self._state = _State.EPILOGUE
        return end, None

    def _take(self, buffer: bytes, position: int, end: int, events: list[Event]) -> None:
        if end == position:
            return
        if self._start is not None:
            events.append(self._start)
            self._start = None
        if self._after_headers:
            position += len(_LINE_END)
            self._after_headers = False
        if end > position:
            events.append(buffer[position:end])

    def _finish(self, events: list[Event]) -> None:
        """Ends a part. Without headers and without content it is none: writers frame zero parts so (STO-26)."""
        start, self._start = self._start, None
        if start is not None:
            if not start.headers:
                return
            events.append(start)
        events.append(PartEnd())

    def _find(self, buffer: bytes, position: int) -> tuple[int, _Found, int]:
        """Where the content ends for now, why, and what follows the delimiter (its line's end)."""
        start = position
        # Backwards bytes are looked through several times as fast, and mostly there is nothing to be found.
        while buffer.rfind(self._delimiter, start) >= 0:
            index = buffer.find(self._delimiter, start)
            found, after = _decide(buffer, index + len(self._delimiter))
            if found is not _Found.NOTHING:
                return index, found, after
            start = index + len(self._delimiter)
        # Only the first byte of a delimiter is a CR, so only the last CR can begin one that is not complete yet.
        index = buffer.rfind(b"\r", max(position, len(buffer) - len(self._delimiter) + 1))
        if index >= 0 and self._delimiter.startswith(buffer[index:]):
            return index, _Found.UNDECIDED, 0
        return len(buffer), _Found.NOTHING, 0


def _decide(buffer: bytes, position: int) -> tuple[_Found, int]:
    """What the bytes behind a boundary make of it, and where its line ends."""
    if buffer.startswith(b"--", position):
        return _Found.LAST, position + 2
    end = position
    while end < len(buffer) and buffer[end] in _BLANKS and end - position <= LONGEST_PADDING:
        end += 1
    if buffer.startswith(_LINE_END, end):
        return _Found.NEXT, end
    tail = buffer[end : end + 2]
    if not tail or tail == b"\r" or (tail == b"-" and end == position):
        return _Found.UNDECIDED, end
    return _Found.NOTHING, end


def _headers(block: bytes) -> dict[str, str]:
    """Header lines, of which one that begins with a blank continues the one before it."""
    headers: dict[str, str] = {}
    if not block:
        return headers
    for line in block.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(_LINE_END):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name.strip():
            raise MultipartError("A part of the multipart request has a malformed header.")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers
