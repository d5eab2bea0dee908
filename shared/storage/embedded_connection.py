"""Connections to the SQLite database of the embedded store, what their errors mean, and the write-ahead log."""

import logging
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..errors import Unavailable
from .embedded_schema import StoreRefused, check_library, settle_schema
from .primitives import Unanswered

FILE_NAME = "store.db"

CACHE_KIBIBYTES = 32_768

CHECKPOINT_ROWS = 1000
"""Rows after which a process copies the write-ahead log into the database, beside its other work."""
OVERGROWN_PAGES = 8192
"""A log of 32 MB is brought to its end and begun anew, for which writers must wait some milliseconds."""
CHECKPOINT_SECONDS = 5.0

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FAILURES = {
    sqlite3.SQLITE_FULL: "The disk of the store is full.",
    sqlite3.SQLITE_IOERR: "The disk of the store reports an error.",
    sqlite3.SQLITE_CANTOPEN: "The store cannot be opened.",
    sqlite3.SQLITE_READONLY: "The store cannot be written.",
    sqlite3.SQLITE_CORRUPT: "The database of the store is damaged.",
    sqlite3.SQLITE_NOTADB: "The database of the store is damaged.",
}

_log = logging.getLogger(__name__)


def connect(directory: Path, *, durable: bool, busy_seconds: float = 0.0) -> sqlite3.Connection:
    """A connection to the store in `directory`, which is made, or brought up to date, if need be.

    Raises `StoreRefused`, and sqlite3's own error while it is another process' turn.
    """
    check_library()
    path = directory / FILE_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except (OSError, sqlite3.Error) as error:
        raise StoreRefused(f"The store {directory} cannot be opened: {error}") from None
    try:
        _set_up(connection, path, durable)
    except sqlite3.Error as error:
        connection.close()
        if is_busy(error):
            raise
        raise StoreRefused(f"The store {path} cannot be opened: {error}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, durable: bool) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreRefused(f"The store {path} is where SQLite cannot share it between processes (journal mode {mode}).")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if durable:  # macOS: down to the medium, not just to the drive
        connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA checkpoint_fullfsync = 1")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    settle_schema(connection, path)


def roll_back(connection: sqlite3.Connection) -> None:
    """Ends the transaction, unless SQLite has done so itself, as it does after some errors."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


# ---------------------------------------------------------------- errors


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it is only another process' turn."""
    return _primary_code(error) in _BUSY


def failure(error: sqlite3.Error, *, committing: bool = False) -> Exception:
    """What to raise for an error that is the store's and not the work's.

    A commit that met an error of the disk may have arrived on it all the same.
    """
    code = _primary_code(error)
    if code not in _FAILURES:
        return error
    _log.error("%s (%s)", _FAILURES[code], error)
    return Unanswered(_FAILURES[code]) if committing and code == sqlite3.SQLITE_IOERR else Unavailable(_FAILURES[code])


# ---------------------------------------------------------------- the write-ahead log


class Checkpoints:
    """Copies the log into the database in a thread: SQLite's own checkpoints would make the event loop wait for the
    disk.

    While `restarting`, the thread needs the write lock, which a busy event loop would hardly leave to it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.restarting = False
        self._rows = 0
        self._executor: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def after(self, rows: int) -> None:
        """`rows` is the number of rows that the process has written so far."""
        if rows - self._rows < CHECKPOINT_ROWS or (self._running and not self._running.done()):
            return
        self._rows = rows
        # The thread stays: to start one keeps the event loop waiting for it, up to some milliseconds.
        self._executor = self._executor or ThreadPoolExecutor(1, "checkpoint")
        self._running = self._executor.submit(self._run)

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(
                self._directory / FILE_NAME, timeout=CHECKPOINT_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if pages > OVERGROWN_PAGES:
                    self.restarting = True
                    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            finally:
                self.restarting = False
                connection.close()
        except sqlite3.Error as error:  # the log stays; the next checkpoint tries again
            _log.warning("The write-ahead log of the store could not be copied: %s", error)

    def close(self) -> None:
        if self._executor:
            self._executor.shutdown()
