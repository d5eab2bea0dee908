"""The SQLite database of the embedded store, shared by the event loops of several processes.

Work runs inline in the event loop: a look-up takes 5 µs, a transaction 50. When another process holds the write lock,
the loop goes on and the work is tried again a moment later. With `durable`, a commit waits for the disk; then writes
run in a thread of their own (`embedded_writer.py`).

Work may run more than once and must leave nothing behind but rows.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import Unavailable
from .embedded_connection import Checkpoints, connect, failure, is_busy, roll_back
from .embedded_writer import DurableWriter

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

PATIENCE_SECONDS = 60.0
"""How long work waits for its turn among other processes before it is given up."""
LONGEST_PAUSE_SECONDS = 0.005


class Database:
    """The database as one process sees it; it belongs to one event loop at a time."""

    def __init__(self, directory: Path, durable: bool) -> None:
        self.directory = directory
        self.durable = durable
        self._connection: sqlite3.Connection | None = None
        self._writer: DurableWriter | None = None
        self._checkpoints = Checkpoints(directory)
        self._line = asyncio.Lock()
        self._process = 0
        self._of_the_parent: list[object] = []
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """Runs `work`, which reads. Each of its statements sees one state of the store."""
        turn: _Turn | None = None
        while True:
            try:
                return work(self._open())
            except sqlite3.Error as error:
                _raise_unless_busy(error)
            turn = turn or _Turn()
            await turn.wait()

    async def write(self, work: Work[T]) -> T:
        """Runs `work` as one transaction: all of it or, if it raises, nothing."""
        if self.durable:
            writer = await self.read(self._durable_writer)
            return await writer.run(work)
        try:
            return self._transaction(work)
        except sqlite3.Error as error:
            _raise_unless_busy(error)
        turn = _Turn()
        async with self._line:  # one of this process tries at a time
            while True:
                await turn.wait()
                try:
                    return self._transaction(work)
                except sqlite3.Error as error:
                    _raise_unless_busy(error)

    def _transaction(self, work: Work[T]) -> T:
        """Raises sqlite3's own error while it is another process' turn."""
        connection = self._open()
        if self._checkpoints.restarting:
            raise _Restarting
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            roll_back(connection)
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(connection)
            raise failure(error, committing=True) from None
        self._checkpoints.after(connection.total_changes)
        return result

    def _open(self) -> sqlite3.Connection:
        """This process' connection. Raises sqlite3's own error while it is another process' turn."""
        if self._process == os.getpid() and self._connection:
            return self._connection
        if self._closed:
            raise Unavailable("The store is closed.")
        if self._connection:
            # Inherited by fork: closing or using it would break the locks of the parent, so it is only kept.
            self._of_the_parent += [self._connection, self._writer]
            self._connection = self._writer = None
            self._checkpoints = Checkpoints(self.directory)
        self._connection = connect(self.directory, durable=self.durable)
        self._process = os.getpid()
        return self._connection

    def _durable_writer(self, _: sqlite3.Connection) -> DurableWriter:
        """This process' writer, once it has a connection."""
        self._writer = self._writer or DurableWriter(self.directory, self._checkpoints)
        return self._writer

    async def close(self) -> None:
        """Waits for what is being written. Further work raises `Unavailable`."""
        self._closed = True
        if self._process != os.getpid():
            return
        if self._writer:
            await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._checkpoints.close)
        if self._connection:
            self._connection.close()
            self._connection = None


class _Restarting(sqlite3.OperationalError):
    """The checkpoint's turn."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


def _raise_unless_busy(error: sqlite3.Error) -> None:
    """Raises what the error means if trying again does not help."""
    if not is_busy(error):
        raise failure(error) from None


class _Turn:
    """Waiting for the write lock: short pauses of uneven length, so that processes do not meet again and again."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._give_up = time.monotonic() + PATIENCE_SECONDS

    async def wait(self) -> None:
        if time.monotonic() > self._give_up:
            raise Unavailable("The store is busy. Please try again later.")
        await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311  no secret
        self._pause = min(max(2 * self._pause, 0.001), LONGEST_PAUSE_SECONDS)
