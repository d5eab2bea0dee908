"""The files of the embedded store: `blobs/{folder}/{file}`, both hexadecimal numbers.

With `durable`, a write returns when the disk has the file and its entry in the folder.
"""

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import DicomServiceError, Unavailable
from .primitives import BlobSource

FOLDER_SIZE = 1024
"""Files to a folder. A file's number is its folder's times this, plus its own in the folder."""

CHUNK = 4 * 1024 * 1024
"""Bytes of a large file that are in memory at once while it is written."""

NEW_FILE = os.O_CREAT | os.O_EXCL

STORE_GONE = "The directory of the store is not there any more."

_BINARY = getattr(os, "O_BINARY", 0)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class FolderLost(Exception):
    """The folder of the file is not there any more: the store was emptied meanwhile."""


class Disk:
    """Paths, and what is done with them. Everything here blocks."""

    def __init__(self, directory: Path, durable: bool) -> None:
        self._root = os.path.join(directory, "blobs")
        self._durable = durable

    def path(self, number: int) -> str:
        folder, file = divmod(number, FOLDER_SIZE)
        return os.path.join(self._root, f"{folder:06x}", f"{file:03x}")

    def folder_path(self, folder: int) -> str:
        return os.path.join(self._root, f"{folder:06x}")

    def folders(self) -> list[int]:
        """The folders that there are, whether anyone knows them or not."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(entry.name, 16) for entry in os.scandir(self._root) if _is_number(entry.name))
        return []

    def files(self, folder: int) -> Iterator[tuple[int, os.stat_result]]:
        """Number and state of each file in the folder."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder_path(folder)) as entries:
            for entry in entries:
                if _is_number(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        yield folder * FOLDER_SIZE + int(entry.name, 16), os.stat(entry.path)

    def make_folder(self, folder: int) -> None:
        """Not the directory of the store: where that was removed or renamed, the open database is somewhere else."""
        with _failures():
            for path in (self._root, self.folder_path(folder)):
                try:
                    os.mkdir(path)
                except FileExistsError:
                    continue
                except FileNotFoundError:
                    raise Unavailable(STORE_GONE) from None
            if self._durable:
                _sync_directory(self._root)
                _sync_directory(os.path.dirname(self._root))

    def remove_folder(self, folder: int) -> None:
        """With all that is in it; what is open elsewhere may stay."""
        shutil.rmtree(self.folder_path(folder), ignore_errors=True)

    def make(self, number: int) -> None:
        """An empty file, unless there is one; raises `OSError`."""
        os.close(os.open(self.path(number), os.O_WRONLY | os.O_CREAT | _BINARY, 0o666))

    def write(self, number: int, content: bytes | BlobSource, creation: int = NEW_FILE) -> int:
        """Writes a file and returns its size; raises `FolderLost`, and `Unavailable` for a full disk.

        `creation` are the flags of `open` that make it: it is new, or empty. Nothing is left of a file that could not
        be written whole.
        """
        path = self.path(number)
        with _failures():
            try:
                descriptor = os.open(path, os.O_WRONLY | creation | _BINARY, 0o666)
                try:
                    size = _write_all(descriptor, content)
                    if self._durable:
                        _sync(descriptor)
                finally:
                    os.close(descriptor)
                if self._durable:
                    _sync_directory(os.path.dirname(path))
            except FileNotFoundError:
                raise FolderLost from None
            except BaseException:
                self.remove(number)
                raise
        return size

    def read(self, number: int, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, `length` of them or what is left; raises `FileNotFoundError`."""
        descriptor = os.open(self.path(number), os.O_RDONLY | _BINARY)
        try:
            if offset:
                os.lseek(descriptor, offset, os.SEEK_SET)
            content = os.read(descriptor, length)
            if len(content) == length or not content:
                return content
            pieces, left = [content], length - len(content)
            while left and (content := os.read(descriptor, left)):
                pieces.append(content)
                left -= len(content)
            return b"".join(pieces)
        finally:
            os.close(descriptor)

    def repeat(self, number: int, copy: int) -> None:
        """A further file with the same content, by a second link where the file system has them.

        Raises `FileNotFoundError` without the first, and `FolderLost`.
        """
        source, target = self.path(number), self.path(copy)
        with _failures():
            try:
                self._link_or_copy(source, target)
                if self._durable:
                    _sync_directory(os.path.dirname(target))
            except FileNotFoundError:
                if os.path.exists(source):
                    raise FolderLost from None
                raise
            except BaseException:
                self.remove(copy)
                raise

    def _link_or_copy(self, source: str, target: str) -> None:
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, target)
            if self._durable:
                with open(target, "rb+") as file:
                    _sync(file.fileno())

    def remove(self, number: int) -> bool:
        """Whether the file is gone now; on Windows one that is being read stays."""
        try:
            os.unlink(self.path(number))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def _is_number(name: str) -> bool:
    return name.isalnum() and all(letter in "0123456789abcdef" for letter in name)


def _write_all(descriptor: int, content: bytes | BlobSource) -> int:
    if isinstance(content, bytes):
        _write(descriptor, content)
        return len(content)
    offset = 0
    while offset < content.size:
        try:
            piece = content.read(offset, min(CHUNK, content.size - offset))
        except OSError as error:
            raise DicomServiceError(f"the content cannot be read: {error}") from None
        if not piece:
            raise DicomServiceError("the content is shorter than its size")
        _write(descriptor, piece)
        offset += len(piece)
    return offset


def _write(descriptor: int, piece: bytes) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, memoryview(piece)[written:])


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def _sync_directory(path: str) -> None:
    """Windows cannot, and does not need to: NTFS logs its directories."""
    if os.name != "nt":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """A full or failing disk in the words of the service; a missing file is left to the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        text = "The disk of the store is full." if error.errno in _FULL else "The disk of the store reports an error."
        raise Unavailable(text) from error
