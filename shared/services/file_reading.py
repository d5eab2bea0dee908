"""Reading files of the store while it changes (protocol, rule 31).

A row is read first, then the file that it names. A file that is gone was replaced or deleted in between: the row says
which, if it is read again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ..storage.files import CHUNK, Files
from ..storage.index import Index
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord

MOST_FILES_AHEAD = 8
"""Files that are read while one before them is being sent."""

MOST_BYTES_AHEAD = 12 * 1024 * 1024
"""And what they hold together."""

_GAP = 64 * 1024
"""Bytes between two ranges that are read along, since a request costs more."""
_MOST_REPLACEMENTS = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileChunk:
    """Bytes of a file. `begins` is the instance whose file starts with them, None for a continuation."""

    content: bytes
    begins: InstanceRecord | None = None


class FileReader:
    """Files by the rows that name them; of updated instances the latest version, or the `original`."""

    def __init__(self, index: Index, files: Files, *, original: bool = False) -> None:
        self._index = index
        self._files = files
        self._original = original

    async def standing(self, key: InstanceKey, read: Callable[[InstanceRecord], Awaitable[T]]) -> T | None:
        """What `read` gives for the record of an instance as it stands; None if it is not there.

        While the row is on its way `read` has what is remembered of it. Files never change: if the row names the same
        one, what came of it is right (protocol, rule 31b), and is thrown away otherwise. So it must not need closing.
        """
        remembered = None if self._original else self._index.remembered(key)
        if remembered is None:
            record = await self.find(key)
            return None if record is None else await self.current(record, read)
        finding = asyncio.create_task(self.find(key))
        try:
            for _ in range(2):  # the request is made, and then sent, before anything is worked out here
                await asyncio.sleep(0)
            early = await _tried(read(remembered))
            record = await finding
        except BaseException:
            await cancel([finding])
            raise
        if record is None:
            return None
        return early if early is not None and record.file == remembered.file else await self.current(record, read)

    async def find(self, key: InstanceKey) -> InstanceRecord | None:
        """The record of an instance."""
        record = await self._index.instance(key)
        return await self._index.original(record) if record is not None and self._original else record

    async def current(self, record: InstanceRecord, read: Callable[[InstanceRecord], Awaitable[T]]) -> T | None:
        """What `read` gives for the record, or for the one in its place; None if the instance is gone meanwhile.

        `read` reads the file that its argument names, and nothing but that. A file that is missing although its row
        still names it raises `BlobMissing`.
        """
        for _ in range(_MOST_REPLACEMENTS):
            try:
                return await read(record)
            except BlobMissing:
                now = await self.find(record.key)
                if now is None:
                    return None
                if now.file == record.file:
                    raise
                record = now
        raise BlobMissing(f"{record.file} is replaced faster than it can be read.")

    async def read(self, record: InstanceRecord, offset: int = 0, length: int | None = None) -> bytes:
        """A range of one file, by default all of it; raises `BlobMissing`."""
        if offset == 0 and (length is None or length >= record.size):
            return await self._files.read_whole(record.file, record.size)
        return await self._files.read(record.file, offset, length)

    async def pieces(self, record: InstanceRecord, pieces: Iterable[tuple[int, int]]) -> list[bytes]:
        """Ranges (offset, length) of one file; neighbours cost one read together, the others are read at once."""
        runs: list[list[tuple[int, int]]] = []
        for piece in pieces:
            if runs and 0 <= piece[0] - sum(runs[-1][-1]) <= _GAP and piece[0] - runs[-1][0][0] <= CHUNK:
                runs[-1].append(piece)
            else:
                runs.append([piece])
        if len(runs) == 1:
            return await self._run(record, runs[0])
        contents = await asyncio.gather(*(self._run(record, run) for run in runs))
        return [content for run in contents for content in run]

    async def _run(self, record: InstanceRecord, run: list[tuple[int, int]]) -> list[bytes]:
        start, end = run[0][0], sum(run[-1])
        content = await self.read(record, start, end - start)
        if len(run) == 1:
            return [content]
        return [content[offset - start : offset - start + length] for offset, length in run]

    async def whole(self, records: Iterable[InstanceRecord]) -> AsyncGenerator[FileChunk]:
        """The files one after another, in chunks; instances that are gone when their turn comes are left out.

        The first file is read alone, so that its first bytes are there early. Then files are read ahead, within
        limits that do not depend on how many there are.
        """
        waiting = deque(records)
        reading: deque[tuple[int, asyncio.Task[FileChunk | None]]] = deque()
        try:
            started = False
            while waiting or reading:
                while waiting and (not reading or (started and self._has_room(reading, waiting[0]))):
                    record = waiting.popleft()
                    reading.append((min(record.size, CHUNK), asyncio.create_task(self.beginning(record))))
                chunk = await reading.popleft()[1]
                started = True
                if chunk is None or chunk.begins is None:
                    continue
                yield chunk
                if chunk.begins.size > len(chunk.content):
                    async for content in self.rest(chunk.begins, len(chunk.content)):
                        yield FileChunk(content)
        finally:
            await cancel(task for _, task in reading)

    @staticmethod
    def _has_room(reading: Iterable[tuple[int, asyncio.Task[FileChunk | None]]], following: InstanceRecord) -> bool:
        sizes = [size for size, _ in reading]
        return len(sizes) < MOST_FILES_AHEAD and sum(sizes) + min(following.size, CHUNK) <= MOST_BYTES_AHEAD

    async def beginning(self, record: InstanceRecord) -> FileChunk | None:
        """The first chunk of a file, mostly all of it; None if the instance is gone."""
        return await self.current(record, self.first_chunk)

    async def first_chunk(self, record: InstanceRecord) -> FileChunk:
        """The same of this very file; raises `BlobMissing`."""
        return FileChunk(await self.read(record, 0, min(record.size, CHUNK)), begins=record)

    async def rest(self, record: InstanceRecord, start: int) -> AsyncGenerator[bytes]:
        """What follows in a large file; the next chunk is read while one is being sent."""
        offsets = range(start, record.size, CHUNK)
        ahead: deque[asyncio.Task[bytes]] = deque()
        try:
            for offset in offsets:
                ahead.append(asyncio.create_task(self.read(record, offset, min(CHUNK, record.size - offset))))
                if len(ahead) > 1:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            await cancel(ahead)


async def _tried(result: Awaitable[T]) -> T | None:
    """None if it fails, for whatever reason."""
    with contextlib.suppress(Exception):
        return await result
    return None


async def cancel(tasks: Iterable["asyncio.Task[object]"]) -> None:
    """Stops reading what nobody waits for any more."""
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
