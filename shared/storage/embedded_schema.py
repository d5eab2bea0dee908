"""The database file of the embedded store: its tables, its version stamp, and the way from one version to the next.

The stamp is SQLite's `user_version`; `application_id` says that the file is ours. A store of an older version is
brought up to date in one transaction when it is opened; a newer one is refused.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..errors import Unavailable
from . import names

APPLICATION_ID = 0x4449434D  # "DICM"
VERSION = 1
"""Of the tables below. A change of them raises it and adds to `MIGRATIONS`."""

OLDEST_SQLITE = (3, 37, 0)

INDEXED: Mapping[str, str] = {names.STUDIES: "q"}
"""Tables whose string properties can be found without a scan, and how the names of these properties begin."""

MIGRATIONS: Mapping[int, tuple[str, ...]] = {}
"""For each version that can still be read, the statements that lead to the next one."""


class StoreRefused(Unavailable):
    """The store on disk cannot be used by this version of the program; the text says why, and what to do."""


def entity_table(table: str) -> str:
    """The SQL table of a table of the store, quoted."""
    return f'"t_{table}"'


def terms_table(table: str) -> str:
    """The SQL table that finds rows of an indexed table by property, quoted."""
    return f'"terms_{table}"'


def _entity_statements(table: str) -> list[str]:
    """Rows lie in order of their key. In an indexed table they have a number, to which its terms point, instead."""
    columns = "pk TEXT NOT NULL, rk TEXT NOT NULL, etag INTEGER NOT NULL, ts INTEGER NOT NULL, data TEXT NOT NULL"
    name = entity_table(table)
    if table not in INDEXED:
        return [f"CREATE TABLE {name} ({columns}, bin BLOB, PRIMARY KEY (pk, rk)) WITHOUT ROWID"]
    return [
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {columns}, bin BLOB, UNIQUE (pk, rk))",
        f"CREATE TABLE {terms_table(table)} (name TEXT NOT NULL, value TEXT NOT NULL, id INTEGER NOT NULL,"
        " PRIMARY KEY (name, value, id)) WITHOUT ROWID",
    ]


_OTHER_STATEMENTS = (
    # A blob is its row: the file in `folder` id // FOLDER_SIZE is written before the row appears.
    "CREATE TABLE blob (id INTEGER PRIMARY KEY, container TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,"
    " modified INTEGER NOT NULL, UNIQUE (container, name))",
    # `sealed` is when the process that filled it went on to the next; `verified` means that nothing can be missing.
    "CREATE TABLE folder (id INTEGER PRIMARY KEY AUTOINCREMENT, opened INTEGER NOT NULL, sealed INTEGER,"
    " verified INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX folder_unverified ON folder (id) WHERE verified = 0",
    # Files whose row is gone and which may still be there.
    "CREATE TABLE litter (id INTEGER PRIMARY KEY)",
    "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, inserted INTEGER NOT NULL,"
    " visible INTEGER NOT NULL, receipt INTEGER NOT NULL, dequeued INTEGER NOT NULL, text TEXT NOT NULL)",
    "CREATE INDEX message_due ON message (queue, visible, id)",
    "CREATE TABLE note (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)

OWN_TABLES = ("blob", "folder", "litter", "message")
"""What a reset empties besides the tables of entities."""


def _statements() -> list[str]:
    entities = [statement for table in names.TABLES for statement in _entity_statements(table)]
    return [*entities, *_OTHER_STATEMENTS]


def check_library() -> None:
    """Raises `StoreRefused` if this Python brings an SQLite that is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreRefused(f"The embedded store needs SQLite {oldest}; this Python has {sqlite3.sqlite_version}.")


def settle_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Creates or migrates the tables if that is needed; several processes may do it at once.

    Raises `StoreRefused`, and sqlite3's own error while another process holds the write lock.
    """
    if _version(connection, path) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)
        if version == 0:
            for statement in _statements():
                connection.execute(statement)
        while 0 < version < VERSION:
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            version += 1
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version on disk, 0 for an empty file."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise StoreRefused(f"{path} is a database, but not a store of this program.")
    if version > VERSION:
        raise StoreRefused(
            f"The store {path} has version {version}; this program reads up to version {VERSION}."
            " Use the newer program that wrote it, or another directory."
        )
    if 0 < version < VERSION and version not in MIGRATIONS:
        raise StoreRefused(
            f"The store {path} has version {version}, which this program cannot read any more."
            " Open it once with an earlier release, or use another directory."
        )
    return version
