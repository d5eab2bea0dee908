"""DICOM files in the blob container: written once under a new name each, never changed (protocol, rule 4)."""

import contextlib
import secrets
from collections.abc import AsyncIterator

from ..clock import Clock
from . import names
from .primitives import BlobExists, BlobSource, Storage
from .records import InstanceKey
from .rows import file_name

CHUNK = 4 * 1024 * 1024
"""Bytes of one ranged read of a large file."""


class Files:
    """The container of DICOM files, and beside it what of their rows overflowed, under the same names."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def upload(self, key: InstanceKey, content: bytes | BlobSource) -> str:
        """Stores the file and returns its name.

        The name is new for every upload, so that a repetition that finds it there has arrived the first time.
        """
        name = file_name(key, f"{self._clock():x}{secrets.token_hex(4)}")
        await self._put(name, content)
        return name

    async def read(self, file: str, offset: int = 0, length: int | None = None) -> bytes:
        """A range of the file; raises `BlobMissing`."""
        return await self._storage.get_blob(names.DICOM, file, offset, length)

    async def read_whole(self, file: str, size: int) -> bytes:
        """The file, of `size` bytes; raises `BlobMissing`."""
        return await self.read(file, 0, size)

    async def stream(self, file: str, size: int) -> AsyncIterator[bytes]:
        """The whole file in chunks; raises `BlobMissing` before the first."""
        for offset in range(0, max(size, 1), CHUNK):
            yield await self.read(file, offset, min(CHUNK, size - offset))

    async def discard(self, file: str, *, overflow: bool = False) -> None:
        """Removes a file that no row names, or that the change feed says is garbage."""
        await self._storage.delete_blob(names.DICOM, file)
        if overflow:
            await self._storage.delete_blob(names.OVERFLOW, file)

    async def _put(self, file: str, content: bytes | BlobSource) -> None:
        with contextlib.suppress(BlobExists):
            await self._storage.put_blob(names.DICOM, file, content)

    async def put_overflow(self, file: str, metadata: bytes, frames: bytes) -> None:
        """Keeps what is too large for the row of the file."""
        content = len(metadata).to_bytes(8, "little") + metadata + frames
        with contextlib.suppress(BlobExists):
            await self._storage.put_blob(names.OVERFLOW, file, content)

    async def read_overflow(self, file: str) -> tuple[bytes, bytes]:
        """(metadata, frames), each empty where it is in the row; raises `BlobMissing`."""
        content = await self._storage.get_blob(names.OVERFLOW, file)
        end = 8 + int.from_bytes(content[:8], "little")
        return content[8:end], content[end:]
