"""The embedded store: `Storage` on SQLite and plain files, for one machine and any number of processes on it.

    {path}/store.db        rows, names of blobs, messages (embedded_schema.py)
    {path}/blobs/…         contents of blobs (embedded_files.py)

What an operation has acknowledged survives the death of every process: it has been handed to the operating system. With
`durable`, it has reached the disk and survives a power cut, too. Without, a power cut takes the last commits, in whole
transactions, and perhaps files written in the last half minute; the check at the next start names them
(embedded_check.py).
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

from ..clock import Clock, wall_clock
from ..errors import Unavailable
from .embedded_check import BUSY_SECONDS, Check, Fault, remove_unknown_folders
from .embedded_connection import FILE_NAME, connect, failure
from .embedded_database import Database
from .embedded_disk import STORE_GONE, Disk
from .embedded_files import Blobs
from .embedded_query import Query, asked
from .embedded_queues import Queues, as_message, numbers_of
from .embedded_tables import Tables, clear_tables
from .primitives import BlobItem, BlobSource, Condition, Entity, Operation, QueueMessage, Range

_log = logging.getLogger(__name__)


class EmbeddedStorage:
    """`Storage` in a directory of its own."""

    compact = False
    distant = False
    value_rows = False
    """A hundred rows are inflated slower than read."""

    def __init__(self, path: str | os.PathLike[str], durable: bool = False, clock: Clock = wall_clock) -> None:
        self._directory = Path(path).absolute()
        self._durable = durable
        self._database = Database(self._directory, durable)
        self._disk = Disk(self._directory, durable)
        self._tables = Tables(self._database, clock)
        self._blobs = Blobs(self._database, self._disk, clock)
        self._queues = Queues(self._database, clock)
        self._check = Check(self._directory, self._disk, clock)
        self._background: set[asyncio.Task[None]] = set()

    # -- life

    async def prepare(self) -> None:
        """Opens the store, which makes it, and begins the check of the latest files in a thread.

        Raises `StoreRefused` for a store of a newer version and for what is no store at all.
        """
        await self.ping()
        self._in_background(self._check.at_start)

    async def ping(self) -> None:
        def look(connection: sqlite3.Connection) -> None:
            connection.execute("SELECT 1 FROM note").fetchone()
            if not os.path.exists(self._directory / FILE_NAME):  # what is open is read even so, and goes at the end
                raise Unavailable(STORE_GONE)

        await self._database.read(look)

    async def reset(self) -> None:
        """Removes every row, blob and message. The files go a little later, in a thread."""
        await asyncio.to_thread(self._empty)
        self._in_background(self._clear_away)

    async def close(self) -> None:
        """Waits for what is under way. Further operations raise `Unavailable`."""
        self._check.stop()
        if self._background:
            await asyncio.wait(self._background)
        await self._blobs.settle()
        await self._database.close()

    async def check(self) -> list[Fault]:
        """Reads every file, while others may be at work: blobs whose file is missing, short or unreadable."""
        return await asyncio.to_thread(self._checked)

    def _in_background(self, work: Callable[[], object]) -> None:
        """Runs it in a thread; `close` waits for it."""
        task = asyncio.create_task(asyncio.to_thread(_logged, work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _connect(self) -> sqlite3.Connection:
        return connect(self._directory, durable=self._durable, busy_seconds=BUSY_SECONDS)

    def _empty(self) -> None:
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                clear_tables(connection)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise failure(error) from None

    def _checked(self) -> list[Fault]:
        try:
            return self._check.full()
        except sqlite3.Error as error:
            raise failure(error) from None
        except OSError as error:
            raise Unavailable(f"The files of the store cannot be read: {error}") from None

    def _clear_away(self) -> None:
        with closing(self._connect()) as connection:
            remove_unknown_folders(connection, self._disk)

    # -- tables

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None = None) -> Entity | None:
        return await self._tables.get(table, partition, row, select)

    async def write(self, table: str, operation: Operation) -> str:
        return await self._tables.write(table, operation)

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        return await self._tables.transact(table, operations)

    def query(
        self,
        table: str,
        partitions: str | Range | None = None,
        rows: Range | None = None,
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        top: int | None = None,
    ) -> AsyncIterator[Entity]:
        question = asked(partitions, rows, where, select, top)
        return Query(self._database, self._tables, table, question).entities()

    # -- blobs

    async def put_blob(self, container: str, name: str, content: bytes | BlobSource) -> None:
        await self._blobs.put(container, name, content)

    async def get_blob(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return await self._blobs.get(container, name, offset, length)

    async def delete_blob(self, container: str, name: str) -> bool:
        return await self._blobs.delete(container, name)

    def list_blobs(self, container: str, prefix: str = "") -> AsyncIterator[BlobItem]:
        return self._blobs.listed(container, prefix)

    async def copy_blob(self, container: str, source: str, target: str) -> None:
        await self._blobs.copy(container, source, target)

    # -- queues

    async def send_message(self, queue: str, text: str, delay: float = 0) -> None:
        await self._queues.send(queue, text, delay)

    async def receive_messages(self, queue: str, count: int, visibility: float) -> list[QueueMessage]:
        return [as_message(held) for held in await self._queues.receive(queue, count, visibility)]

    async def delete_message(self, queue: str, message: QueueMessage) -> None:
        await self._queues.delete(queue, *numbers_of(message))


def _logged(work: Callable[[], object]) -> None:
    """Nobody waits for the work: the log has the last word."""
    try:
        work()
    except Exception:
        _log.exception("Work on the files of the store failed; the next start repeats it.")
