"""The check of the embedded store's files.

Without `durable`, a power cut can take files whose rows the database has kept; the check names them in the log. It also
removes what killed processes left behind. At start it looks at the folders that were filled lately: their number is
bounded, and a folder is done with once it has been found complete well after its last file was written. On request it
reads all.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..clock import HOUR, SECOND, Clock, Ticks
from .embedded_connection import FILE_NAME, connect
from .embedded_disk import CHUNK, FOLDER_SIZE, Disk
from .embedded_schema import StoreRefused
from .embedded_values import as_given

MOST_FOLDERS = 64
"""Folders that the check at start looks at, the latest first."""
MOST_NAMED = 100
"""Faults that get a line in the log each."""

ON_DISK: Ticks = 600 * SECOND
"""After this long every operating system has written a file to the disk of its own accord."""
ABANDONED: Ticks = HOUR
"""A file without a row may be on its way for this long; longer than any request takes."""
CLAIM: Ticks = 10 * SECOND
"""Of the workers that start together, one checks."""
BUSY_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """A blob whose file is not as its row says."""

    container: str
    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.container}/{self.name} {self.problem}"


@dataclass(frozen=True, slots=True)
class _Expected:
    number: int
    container: str
    name: str
    size: int

    def fault(self, problem: str) -> Fault:
        return Fault(self.container, as_given(self.name), problem)

    def fault_of(self, state: os.stat_result | None) -> Fault | None:
        if state is None:
            return self.fault("is missing")
        if state.st_size != self.size:
            return self.fault(f"has {state.st_size} of {self.size} bytes")
        return None


class Check:
    """Runs of the check, each in a thread."""

    def __init__(self, directory: Path, disk: Disk, clock: Clock) -> None:
        self._directory = directory
        self._disk = disk
        self._clock = clock
        self._stop = threading.Event()

    def stop(self) -> None:
        """Lets every run end soon, as if there were nothing more to look at."""
        self._stop.set()

    def at_start(self) -> None:
        """The latest folders, unless another process is at it; the log names what is found."""
        with self._connection() as connection:
            if self._claim(connection):
                _report(self._run(connection, full=False))

    def full(self) -> list[Fault]:
        """All folders, every file read from its first byte to its last; the database, too.

        Raises `StoreRefused` where that is damaged.
        """
        with self._connection() as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StoreRefused(f"The database {self._directory / FILE_NAME} is damaged: {verdict}")
            return self._run(connection, full=True)

    def _connection(self) -> closing[sqlite3.Connection]:
        return closing(connect(self._directory, durable=False, busy_seconds=BUSY_SECONDS))

    def _claim(self, connection: sqlite3.Connection) -> bool:
        now = self._clock()
        claimed = connection.execute(
            "INSERT INTO note (name, value) VALUES ('check', ?1)"
            " ON CONFLICT (name) DO UPDATE SET value = ?1 WHERE value NOT BETWEEN ?1 - ?2 AND ?1",
            (now, CLAIM),
        )
        return claimed.rowcount > 0

    def _run(self, connection: sqlite3.Connection, *, full: bool) -> list[Fault]:
        self._remove_litter(connection)
        remove_unknown_folders(connection, self._disk)
        faults: list[Fault] = []
        for folder in self._folders(connection, full=full):
            if self._stop.is_set():
                break
            faults += self._look_at(connection, folder, reading=full)
        return faults

    def _folders(self, connection: sqlite3.Connection, *, full: bool) -> Iterator[int]:
        chosen = "" if full else " WHERE verified = 0"
        found = connection.execute(f"SELECT id FROM folder{chosen} ORDER BY id DESC").fetchall()  # noqa: S608
        if not full and len(found) > MOST_FOLDERS:
            _log.warning(
                "The check of the store looks at the latest %d of %d folders; a full check looks at all.",
                MOST_FOLDERS,
                len(found),
            )
            found = found[:MOST_FOLDERS]
        return (number for (number,) in found)

    def _remove_litter(self, connection: sqlite3.Connection) -> None:
        for (number,) in connection.execute("SELECT id FROM litter").fetchall():
            if self._stop.is_set():
                return
            if self._disk.remove(number):
                connection.execute("DELETE FROM litter WHERE id = ?", (number,))

    def _look_at(self, connection: sqlite3.Connection, folder: int, *, reading: bool) -> list[Fault]:
        expected = {row.number: row for row in _rows(connection, folder)}
        files = dict(self._disk.files(folder))
        faults: list[Fault] = []
        for number, row in expected.items():
            if row.fault_of(files.get(number)):
                faults += self._look_again(connection, row)
            elif reading and (problem := self._read(row)):
                faults.append(row.fault(problem))
        left = [number for number in files.keys() - expected.keys() if not self._clear_away(connection, number, files)]
        if not faults and not left:
            self._verify(connection, folder)
        return faults

    def _look_again(self, connection: sqlite3.Connection, row: _Expected) -> list[Fault]:
        """The fault, unless the blob was removed meanwhile."""
        try:
            state = os.stat(self._disk.path(row.number))
        except OSError:
            state = None
        there = connection.execute("SELECT 1 FROM blob WHERE id = ?", (row.number,)).fetchone()
        fault = row.fault_of(state)
        return [fault] if fault and there else []

    def _read(self, row: _Expected) -> str:
        """What keeps the file from being read, if anything does."""
        try:
            for offset in range(0, row.size, CHUNK):
                if self._stop.is_set():
                    break
                self._disk.read(row.number, offset, CHUNK)
        except FileNotFoundError:  # deleted meanwhile
            return ""
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return ""

    def _clear_away(self, connection: sqlite3.Connection, number: int, files: dict[int, os.stat_result]) -> bool:
        """Removes a file without a row unless it may be on its way to one; whether it is of no concern any more."""
        if (time.time() - files[number].st_mtime) * SECOND < ABANDONED:
            return False
        if connection.execute("SELECT 1 FROM blob WHERE id = ?", (number,)).fetchone():
            return True
        return self._disk.remove(number)

    def _verify(self, connection: sqlite3.Connection, folder: int) -> None:
        """Closes the folder, if all its files are certainly on the disk by now and nobody is likely to add one."""
        first = folder * FOLDER_SIZE
        connection.execute(
            "UPDATE folder SET verified = 1 WHERE id = :folder AND iif(sealed IS NOT NULL, sealed < :on_disk,"
            " max(opened, (SELECT coalesce(max(modified), 0) FROM blob WHERE id BETWEEN :first AND :last))"
            " < :abandoned)",
            {
                "folder": folder,
                "first": first,
                "last": first + FOLDER_SIZE - 1,
                "on_disk": self._clock() - ON_DISK,
                "abandoned": self._clock() - ABANDONED,
            },
        )


def remove_unknown_folders(connection: sqlite3.Connection, disk: Disk) -> None:
    """What a reset leaves to be done: a folder's row is made before the folder, and removed by a reset alone."""
    there = disk.folders()
    known = {number for (number,) in connection.execute("SELECT id FROM folder")}
    for folder in there:
        if folder not in known:
            disk.remove_folder(folder)


def _rows(connection: sqlite3.Connection, folder: int) -> Iterator[_Expected]:
    first = folder * FOLDER_SIZE
    rows = connection.execute(
        "SELECT id, container, name, size FROM blob WHERE id BETWEEN ? AND ?", (first, first + FOLDER_SIZE - 1)
    )
    return (_Expected(*row) for row in rows.fetchall())


def _report(faults: list[Fault]) -> None:
    for fault in faults[:MOST_NAMED]:
        _log.error("Lost by a power cut or from outside: blob %s.", fault)
    if len(faults) > MOST_NAMED:
        _log.error("Lost by a power cut or from outside: %d more blobs.", len(faults) - MOST_NAMED)
