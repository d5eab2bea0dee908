"""A received file on its way to storage: in memory while it is small, in a temporary file when it is not.

Two limits keep memory bounded: of one file, and of all files that a process holds in memory at a time.
"""

import asyncio
import contextlib
import mmap
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from ..errors import TooLarge, Unavailable

MOST_IN_MEMORY = 4 * 1024 * 1024
"""Bytes of one file that are kept in memory."""

MOST_IN_ALL = 64 * 1024 * 1024
"""Bytes that all spools of a process keep in memory; above, even small files go to the disk."""

WRITE_SIZE = 1024 * 1024
"""Bytes that are collected for one write to the disk, in a thread."""

SMALLEST_PIECE = 4096
"""Bytes of a piece that is not copied when it comes."""

PREAMBLE = 128
_PREFIX = b"DICM"

_in_memory = 0


@contextlib.contextmanager
def room_needed() -> Iterator[None]:
    """Turns an error of the disk of temporary files into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable("The disk of temporary files is full, or reports an error.") from error


class Spool:
    """Takes a file in pieces, then is a `BlobSource`. Close it in any case: the temporary file goes with it."""

    def __init__(self, limit: int) -> None:
        """`limit`: the largest file that is taken (STO-31)."""
        self._limit = limit
        self._size = 0
        self._pieces: list[bytes | bytearray] = []
        self._gathered = 0
        self._counted = 0
        self._content = b""
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    async def write(self, data: bytes) -> None:
        """Takes the next piece; raises `TooLarge`, and `Unavailable` if temporary files find no room."""
        self._size += len(data)
        if self._size > self._limit:
            raise TooLarge(self._limit)
        self._gather(data)
        if self._file is None:
            self._count(len(data))
            if self._size <= MOST_IN_MEMORY and _in_memory <= MOST_IN_ALL:
                return
            with room_needed():
                self._file = await asyncio.to_thread(tempfile.TemporaryFile)
        if self._gathered >= WRITE_SIZE:
            await self._flush(self._file)

    async def finish(self) -> None:
        """All pieces are there. A DICOM preamble is overwritten by zeros (PS3.10 7.1; STO-101)."""
        if self._file is None:
            content = self._taken()
            if content.startswith(_PREFIX, PREAMBLE) and any(content[:PREAMBLE]):
                content = bytes(PREAMBLE) + content[PREAMBLE:]
            self._content = content
            return
        await self._flush(self._file)
        with room_needed():
            if self.read(PREAMBLE, len(_PREFIX)) == _PREFIX:
                self._file.seek(0)
                self._file.write(bytes(PREAMBLE))
            self._file.flush()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    @property
    def in_memory(self) -> bool:
        """Whether `read` never waits for a disk."""
        return self._file is None

    def read(self, offset: int, length: int) -> bytes:
        """A range of the finished file, cut at its end.

        Files on the disk are read and not mapped: mapped pages would count as memory of the process.
        """
        if self._file is None:
            return self._content[offset : offset + length]
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    @contextlib.contextmanager
    def content(self) -> Iterator[bytes | mmap.mmap]:
        """The whole finished file for reading here and there; a large one is mapped meanwhile."""
        if self._file is None:
            yield self._content
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped

    def close(self) -> None:
        """Lets go of memory and temporary file."""
        self._count(-self._counted)
        self._pieces = []
        self._content = b""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk does not take the rest
                self._file.close()

    async def _flush(self, file: IO[bytes]) -> None:
        with room_needed():
            await asyncio.to_thread(file.write, self._taken())
        self._count(-self._counted)

    def _gather(self, data: bytes) -> None:
        """Keeps `data` as it is; small pieces one behind the other, so that each does not take memory of its own."""
        if len(data) >= SMALLEST_PIECE:
            self._pieces.append(data)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += data
        else:
            self._pieces.append(bytearray(data))
        self._gathered += len(data)

    def _taken(self) -> bytes:
        """The pieces that were gathered, in one; there are none any more."""
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        return b"".join(pieces)

    def _count(self, change: int) -> None:
        """Keeps account of what this spool and all spools hold in memory."""
        global _in_memory
        self._counted += change
        _in_memory += change
