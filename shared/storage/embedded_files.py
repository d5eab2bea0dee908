"""Blobs of the embedded store: a row in the database says that there is one, a plain file holds its content.

A file is written whole under a number that was never used, and only then the row is made: so a blob is there at once or
not at all, and what a killed process leaves behind is a file that no row names. Names of blobs do not appear in paths.
Each process fills folders of its own, one after the other.

A blob is removed in the opposite order, row first; its number stands in `litter` until the file is gone, too.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from ..clock import Clock
from ..errors import DicomServiceError
from .embedded_database import Database
from .embedded_disk import FOLDER_SIZE, Disk, FolderLost
from .embedded_spares import SpareFiles
from .embedded_values import as_given, behind_prefix, in_order
from .names import CONTAINERS
from .primitives import BlobExists, BlobItem, BlobMissing, BlobSource, Unanswered

T = TypeVar("T")

LARGEST_INLINE = 1024 * 1024
"""Bytes that are read or written in the event loop; more go through a thread."""

LISTED_AT_ONCE = 500

_log = logging.getLogger(__name__)


class Blobs:
    """The containers, as one process sees them."""

    def __init__(self, database: Database, disk: Disk, clock: Clock) -> None:
        self._database = database
        self._disk = disk
        self._clock = clock
        self._folder = 0
        self._used = FOLDER_SIZE
        self._process = 0
        self._making_folder = asyncio.Lock()
        self._gone: list[int] = []
        self._spares = SpareFiles(disk)

    async def put(self, container: str, name: str, content: bytes | BlobSource) -> None:
        _check(container)
        size = len(content) if isinstance(content, bytes) else content.size
        in_memory = isinstance(content, bytes) or content.in_memory
        if size > LARGEST_INLINE and await self._find(container, name):
            raise BlobExists
        small = in_memory and size <= LARGEST_INLINE
        while True:
            number = await self._new_number()
            spare = self._spares.take(number)
            try:
                written = await self._blocking(
                    small,
                    lambda number=number, spare=spare: self._disk.write(number, content, spare.value),  # type: ignore[misc]
                )
                await self._name(number, container, name, written)
            except FolderLost:
                self._used = FOLDER_SIZE
            else:
                return

    async def get(self, container: str, name: str, offset: int, length: int | None) -> bytes:
        before = -1
        while (found := await self._find(container, name)) and found[0] != before:
            number, size = found
            wanted = max(0, size - offset if length is None else min(length, size - offset))
            if not wanted:
                return b""
            try:
                content = await self._blocking(
                    wanted <= LARGEST_INLINE,
                    lambda number=number, wanted=wanted: self._disk.read(number, offset, wanted),  # type: ignore[misc]
                    durable=False,
                )
            except FileNotFoundError:
                before = number
                continue
            if len(content) < wanted:
                raise DicomServiceError(f"the file of blob {container}/{name} is too short")
            return content
        if found:
            _log.error("The file of blob %s/%s is missing.", container, name)
        raise BlobMissing

    async def delete(self, container: str, name: str) -> bool:
        gone = self._gone[:]
        number = await self._database.write(
            lambda connection: _forget(connection, _find(connection, container, name), gone)
        )
        del self._gone[: len(gone)]
        self._remove_files([number] if number is not None else [])
        return number is not None

    async def listed(self, container: str, prefix: str) -> AsyncIterator[BlobItem]:
        low = in_order(prefix)
        high = behind_prefix(low)
        comparison = ">="
        while True:
            key = (container, low, high, LISTED_AT_ONCE)
            sql = (
                "SELECT name, size, modified FROM blob"  # noqa: S608
                f" WHERE container = ? AND name {comparison} ? AND name < ? ORDER BY name LIMIT ?"
            )
            rows = await self._database.read(
                lambda connection, sql=sql, key=key: connection.execute(sql, key).fetchall()  # type: ignore[misc]
            )
            for name, size, modified in rows:
                yield BlobItem(as_given(name), size, modified)
            if len(rows) < LISTED_AT_ONCE:
                return
            comparison, low = ">", rows[-1][0]
            await asyncio.sleep(0)

    async def copy(self, container: str, source: str, target: str) -> None:
        """Replaces what is there under `target`."""
        while found := await self._find(container, source):
            number, size = found
            new = await self._new_number()
            try:
                small = size <= LARGEST_INLINE
                await self._blocking(small, lambda number=number, new=new: self._disk.repeat(number, new))  # type: ignore[misc]
                await self._name(new, container, target, size, replace=True)
            except FolderLost:
                self._used = FOLDER_SIZE
            except FileNotFoundError:
                if await self._find(container, source) == found:
                    break
            else:
                return
        raise BlobMissing

    async def settle(self) -> None:
        """Notes which removed files are gone, and removes those that were made for nothing."""
        if self._process == os.getpid():
            await asyncio.to_thread(self._spares.close)
        if gone := self._gone[:]:
            await self._database.write(lambda connection: _forget(connection, None, gone))
            del self._gone[: len(gone)]

    # -- rows

    async def _find(self, container: str, name: str) -> tuple[int, int] | None:
        return await self._database.read(lambda connection: _find(connection, container, name))

    async def _name(self, number: int, container: str, name: str, size: int, *, replace: bool = False) -> None:
        """Makes the row of a file that is written, or removes the file if that certainly failed."""
        modified = self._clock()

        def work(connection: sqlite3.Connection) -> int | None:
            old = _forget(connection, _find(connection, container, name), []) if replace else None
            values = (number, container, in_order(name), size, modified, number // FOLDER_SIZE)
            try:
                added = connection.execute(
                    "INSERT INTO blob (id, container, name, size, modified) SELECT ?, ?, ?, ?, ?"
                    " WHERE EXISTS (SELECT 1 FROM folder WHERE id = ? AND verified = 0)",
                    values,
                )
            except sqlite3.IntegrityError:
                raise BlobExists from None
            if not added.rowcount:
                raise FolderLost
            return old

        try:
            old = await self._database.write(work)
        except Unanswered:
            raise
        except (DicomServiceError, FolderLost):
            self._disk.remove(number)
            raise
        self._remove_files([old] if old is not None else [])

    # -- files

    async def _new_number(self) -> int:
        """A number in this process' folder; in a new one if that is full, or was the parent's before a fork."""
        async with self._making_folder:
            if self._process != os.getpid():
                self._process, self._folder, self._used = os.getpid(), 0, FOLDER_SIZE
                self._spares = SpareFiles(self._disk)
            while True:
                if self._used == FOLDER_SIZE:
                    self._spares.clear()
                    self._folder = await self._new_folder(self._folder)
                    self._used = 0
                first = self._folder * FOLDER_SIZE
                number = self._spares.give(first + self._used, first + FOLDER_SIZE, self._used)
                self._used = min(number - first + 1, FOLDER_SIZE)
                if number < first + FOLDER_SIZE:
                    return number

    async def _new_folder(self, full: int) -> int:
        now = self._clock()

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("UPDATE folder SET sealed = ? WHERE id = ? AND sealed IS NULL", (now, full))
            return int(connection.execute("INSERT INTO folder (opened) VALUES (?)", (now,)).lastrowid or 0)

        folder = await self._database.write(work)
        self._disk.make_folder(folder)
        return folder

    async def _blocking(self, small: bool, work: Callable[[], T], *, durable: bool = True) -> T:
        """Runs it here if it is short, else in a thread; with `durable`, it waits for the disk if the store does."""
        if small and not (durable and self._database.durable):
            return work()
        return await asyncio.to_thread(work)

    def _remove_files(self, numbers: list[int]) -> None:
        self._gone += [number for number in numbers if self._disk.remove(number)]


def _check(container: str) -> None:
    if container not in CONTAINERS:
        raise DicomServiceError(f"there is no container {container}")


def _find(connection: sqlite3.Connection, container: str, name: str) -> tuple[int, int] | None:
    """Number and size."""
    found: tuple[int, int] | None = connection.execute(
        "SELECT id, size FROM blob WHERE container = ? AND name = ?", (container, in_order(name))
    ).fetchone()
    return found


def _forget(connection: sqlite3.Connection, found: tuple[int, int] | None, gone: list[int]) -> int | None:
    """Removes the row of a blob, whose file is litter from then on, and the numbers of `gone` from the litter."""
    if gone:
        connection.executemany("DELETE FROM litter WHERE id = ?", [(number,) for number in gone])
    if found is None:
        return None
    connection.execute("DELETE FROM blob WHERE id = ?", (found[0],))
    connection.execute("INSERT INTO litter (id) VALUES (?)", (found[0],))
    return found[0]
