"""Copies of DICOM files on the local disk, for storage that is reached over a network.

A file never changes and its name is never used again, so a copy is true for ever; which file an instance has is always
read from its row. Copies are written when a file is stored or read as a whole, and the oldest go first when there are
too many. Worker processes share the folder: what one has written all find. A disk that refuses switches copies off.
"""

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import secrets
import stat
import sys
import tempfile
import time
from io import FileIO
from pathlib import Path

from ..clock import Clock
from .files import Files
from .primitives import BlobSource, Storage

log = logging.getLogger(__name__)

INLINE = 1024 * 1024
"""Bytes up to which a copy is read or written without leaving the event loop: a thread would cost more."""

_TRAILER = 16
"""Bytes behind the content that say that it is all there."""
_UNFINISHED = ".part"
_UNFINISHED_SECONDS = 3600.0
_CHUNK = 1024 * 1024


def default_folder() -> Path:
    """In the temporary directory, which on Azure is the instance's own disk; one for each user."""
    user = f"-{os.getuid()}" if sys.platform != "win32" else ""
    return Path(tempfile.gettempdir()) / f"dicom-copies{user}"


_READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class LocalCopies:
    """A folder that holds `limit` bytes, by and large. Everything in here blocks."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._unswept = limit  # so that the first copy looks at what is there already
        self.works = limit > 0 and self._prepare()

    def worth_it(self, size: int) -> bool:
        """Whether a file of `size` bytes is copied: none that would drive out much of the rest."""
        return self.works and size <= self._limit // 8

    def read(self, file: str, offset: int, length: int | None) -> bytes | None:
        """A range of a copy, cut at its end; None without one. One that was left incomplete is removed."""
        if not self.works:
            return None
        path = self._path(file)
        try:
            copy = os.open(path, _READ_ONLY)
            try:
                size = _content_size(copy)
                if size is not None:
                    end = size if length is None else min(offset + length, size)
                    return _read_at(copy, offset, max(0, end - offset))
            finally:
                os.close(copy)
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._give_up(error)
        return None

    def write(self, file: str, content: bytes | BlobSource) -> None:
        """Makes a copy, which is there as a whole or not at all."""
        size = len(content) if isinstance(content, bytes) else content.size
        if not self.worth_it(size):
            return
        path = self._path(file)
        unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with FileIO(unfinished, "xb") as copy:
                for start in range(0, size, _CHUNK):
                    _write(copy, _chunk(content, start))
                _write(copy, _trailer(size))
            unfinished.replace(path)
            self._unswept += size
            if self._unswept >= self._limit // 16:
                self._unswept = 0
                self._sweep()
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            self._give_up(error)

    def discard(self, file: str) -> None:
        """Removes a copy, if there is one."""
        with contextlib.suppress(OSError):
            self._path(file).unlink(missing_ok=True)

    def _path(self, file: str) -> Path:
        name = hashlib.blake2b(file.encode(), digest_size=20).hexdigest()
        return self._folder / name[:2] / name[2:]

    def _prepare(self) -> bool:
        """Makes the folder; it has to be this user's own, since others may write into the directory around it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = self._folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or (sys.platform != "win32" and about.st_uid != os.getuid()):
                raise PermissionError(f"{self._folder} belongs to somebody else")
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: OSError) -> None:
        self.works = False
        log.warning("There are no more local copies of files: %s", error)

    def _sweep(self) -> None:
        """Removes the oldest copies until nine tenths of the limit are left, and what dead processes left half done."""
        copies: list[tuple[float, int, str]] = []
        now = time.time()
        for shard in os.scandir(self._folder):
            if not shard.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(shard.path):
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    if not entry.name.endswith(_UNFINISHED):
                        copies.append((about.st_mtime, about.st_size, entry.path))
                    elif now - about.st_mtime > _UNFINISHED_SECONDS:
                        Path(entry.path).unlink(missing_ok=True)
        excess = sum(size for _, size, _ in copies) - self._limit
        if excess <= 0:
            return
        excess += self._limit // 10
        for _, size, path in sorted(copies):
            Path(path).unlink(missing_ok=True)
            excess -= size
            if excess <= 0:
                return


def _content_size(copy: int) -> int | None:
    """Bytes of the content; None if the copy was not written to its end, as after a power cut."""
    size = os.fstat(copy).st_size - _TRAILER
    return size if size >= 0 and _read_at(copy, size, _TRAILER) == _trailer(size) else None


def _read_at(copy: int, offset: int, length: int) -> bytes:
    os.lseek(copy, offset, os.SEEK_SET)
    return os.read(copy, length)


def _write(copy: FileIO, content: bytes | memoryview) -> None:
    if copy.write(content) != len(content):
        raise OSError(errno.ENOSPC, "the disk takes no more")


def _trailer(size: int) -> bytes:
    return size.to_bytes(8, "little") + b"complete"


def _chunk(content: bytes | BlobSource, start: int) -> bytes | memoryview:
    if isinstance(content, bytes):
        return memoryview(content)[start : start + _CHUNK]
    return content.read(start, _CHUNK)


class CopiedFiles(Files):
    """Files that are read from their copies where these are there."""

    def __init__(self, storage: Storage, clock: Clock, copies: LocalCopies) -> None:
        super().__init__(storage, clock)
        self._copies = copies

    async def read(self, file: str, offset: int = 0, length: int | None = None) -> bytes:
        """A range of the file; raises `BlobMissing`."""
        if length is not None and length <= INLINE:
            copy = self._copies.read(file, offset, length)
        else:
            copy = await asyncio.to_thread(self._copies.read, file, offset, length)
        return await super().read(file, offset, length) if copy is None else copy

    async def read_whole(self, file: str, size: int) -> bytes:
        """The file, of `size` bytes; a copy is made if there was none. Raises `BlobMissing`."""
        copy = self._copies.read(file, 0, size) if size <= INLINE else None
        if copy is None and size > INLINE:
            copy = await asyncio.to_thread(self._copies.read, file, 0, size)
        if copy is None:
            copy = await super().read(file, 0, size)
            await self._copy(file, copy)
        return copy

    async def discard(self, file: str, *, overflow: bool = False) -> None:
        """Removes the file and its copy."""
        self._copies.discard(file)
        await super().discard(file, overflow=overflow)

    async def _put(self, file: str, content: bytes | BlobSource) -> None:
        await super()._put(file, content)
        await self._copy(file, content)

    async def _copy(self, file: str, content: bytes | BlobSource) -> None:
        size = len(content) if isinstance(content, bytes) else content.size
        if size <= INLINE:
            self._copies.write(file, content)
        elif self._copies.worth_it(size):
            await asyncio.to_thread(self._copies.write, file, content)
