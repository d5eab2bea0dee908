"""Rows of the embedded store: one SQL table for each table, in order of partition and row key."""

import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import orjson

from ..clock import Clock
from ..errors import DicomServiceError
from .conditions import names_in, test_of
from .embedded_conditions import term
from .embedded_database import Database
from .embedded_known_rows import KnownRow, KnownRows, State, Written, state_of
from .embedded_schema import INDEXED, OWN_TABLES, entity_table, terms_table
from .embedded_values import BinaryNeeded, as_given, decode, encode, in_order, resolve
from .names import TABLES
from .primitives import (
    ANY,
    MOST_OPERATIONS,
    Condition,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    TransactionRefused,
    Unanswered,
    Upsert,
    Value,
)

T = TypeVar("T")

_ETAGS = random.Random()  # noqa: S311  no secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ETAGS.seed)
_NO_ETAG = -1

KEYS = ("PartitionKey", "RowKey", "Timestamp")
"""What a selection may name that is no property."""


def new_etag() -> int:
    """63 random bits: no row ever has one that it or its predecessor had."""
    return _ETAGS.getrandbits(63)


def etag_number(etag: str) -> int:
    """The number in an ETag of ours; of any other text one that no row has."""
    return int(etag) if etag.isascii() and etag.isdigit() and len(etag) < 20 else _NO_ETAG


Row = tuple[str, str, int, int, str, bytes | None]
"""Partition, row, ETag, time, properties and, if it was read and the row has one, the binary column."""


class Selection:
    """Which properties a read gives, of rows that match a condition.

    The binary column, which may be far longer than the rest of a row, is read if it is needed; which properties of a
    table lie there is learnt as they are met.
    """

    def __init__(self, binary_names: set[str], select: Sequence[str] | None, condition: Condition | None) -> None:
        self._binary_names = binary_names
        self._passes = test_of(condition) if condition else None
        self._compared = frozenset(names_in(condition)) if condition else frozenset()
        self._given = None if select is None else _properties(tuple(select))
        needed = None if self._given is None else self._given | self._compared
        self._binary = needed is None or not binary_names.isdisjoint(needed)

    @property
    def columns(self) -> str:
        """The columns of a `Row`."""
        return f"pk, rk, etag, ts, data, {'bin' if self._binary else 'NULL'}"

    def learn(self, missing: BinaryNeeded) -> None:
        """From now on the binary column is read with this property."""
        self._binary_names.add(missing.name)
        self._binary = True

    def entity(self, found: Row) -> Entity | None:
        """The row as it was asked for, None if it does not match; raises `BinaryNeeded`."""
        values: dict[str, Value] = orjson.loads(found[4])
        if self._passes is not None:
            resolve(values, self._compared, found[5])
            if not self._passes(values):
                return None
        partition, row, etag, timestamp, _, binary = found
        if self._given is not None:
            values = {name: values[name] for name in self._given if name in values}
        resolve(values, values, binary)
        return Entity(as_given(partition), as_given(row), values, str(etag), timestamp)

    def known_row(self, found: Row) -> KnownRow:
        """The row with all of its properties, whether it matches or not; raises `BinaryNeeded`."""
        partition, row, etag, timestamp, data, binary = found
        return KnownRow(as_given(partition), as_given(row), etag, timestamp, decode(data, binary))

    def entity_of(self, known: KnownRow) -> Entity | None:
        """As `entity`, of a row that need not be read."""
        if self._given is None or (self._passes is not None and not self._passes(known.values)):
            return None
        return known.selected(self._given)


@lru_cache(maxsize=64)
def _properties(select: tuple[str, ...]) -> frozenset[str]:
    return frozenset(select).difference(KEYS)


class Tables:
    """Reads of single rows, and all writes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._binary_names: dict[str, set[str]] = {table: set() for table in TABLES}
        self._known = {table: KnownRows() for table in INDEXED}

    def selection(self, table: str, select: Sequence[str] | None, where: Condition | None = None) -> Selection:
        """How to read rows of the table."""
        return Selection(self._binary_names[_known(table)], select, where)

    def known_rows(self, table: str, select: Sequence[str] | None) -> KnownRows | None:
        """Those of an indexed table, whose rows are small and asked for again and again, if properties are selected."""
        return self._known.get(table) if select is not None else None

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None) -> Entity | None:
        selection = self.selection(table, select)
        key = in_order(partition), in_order(row)
        while True:
            found = await self._database.read(lambda connection: _find(connection, table, selection, key))
            try:
                return selection.entity(found) if found else None
            except BinaryNeeded as missing:
                selection.learn(missing)

    async def write(self, table: str, operation: Operation) -> str:
        def work(change: "_Change") -> str:
            return change.apply(operation)

        return await self._write(table, work)

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        _check_transaction(operations)

        def work(change: "_Change") -> list[str]:
            etags = []
            for index, operation in enumerate(operations):
                try:
                    etags.append(change.apply(operation))
                except (EntityExists, EntityMissing, EntityChanged) as cause:
                    raise TransactionRefused(index, cause) from None
            return etags

        return await self._write(table, work) if operations else []

    async def _write(self, table: str, work: Callable[["_Change"], T]) -> T:
        """Runs `work` as one transaction, and remembers what it has written."""
        known = self._known.get(_known(table))
        state: State | None = None
        written: list[Written] = []

        def run(connection: sqlite3.Connection) -> T:
            nonlocal state, written
            change = _Change(table, connection, self._clock)
            written = change.written
            state = state_of(connection) if known is not None else None
            return work(change)

        try:
            result = await self._database.write(run)
        except Unanswered:
            if known is not None:
                known.displace()
            raise
        if known is not None and state is not None:
            known.add_written(state, written)
        return result


def clear_tables(connection: sqlite3.Connection) -> None:
    """Removes every row, blob row and message."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {entity_table(table)}")  # noqa: S608  a name of ours
    for table in INDEXED:
        connection.execute(f"DELETE FROM {terms_table(table)}")  # noqa: S608
    for table in OWN_TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608


def _known(table: str) -> str:
    if table not in TABLES:
        raise DicomServiceError(f"there is no table {table}")
    return table


def _keys(operation: Operation) -> tuple[str, str]:
    target = operation if isinstance(operation, Delete) else operation.entity
    return target.partition, target.row


def _check_transaction(operations: Sequence[Operation]) -> None:
    keys = [_keys(operation) for operation in operations]
    if len(keys) > MOST_OPERATIONS or len(set(keys)) < len(keys) or len({partition for partition, _ in keys}) > 1:
        raise DicomServiceError("a transaction has at most 100 operations, on different rows of one partition")


def _find(connection: sqlite3.Connection, table: str, selection: Selection, key: tuple[str, str]) -> Row | None:
    sql = f"SELECT {selection.columns} FROM {entity_table(table)} WHERE pk = ? AND rk = ?"  # noqa: S608
    found: Row | None = connection.execute(sql, key).fetchone()
    return found


class _Change:
    """Carries out operations on one table, in a transaction of `connection`."""

    def __init__(self, table: str, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._table = entity_table(table)
        self._terms = terms_table(table)
        self._prefix = INDEXED.get(table)
        self.written: list[Written] = []
        """Rows of an indexed table, if the transaction is accepted."""

    def apply(self, operation: Operation) -> str:
        """The row's new ETag; raises `EntityExists`, `EntityMissing` or `EntityChanged`."""
        if isinstance(operation, Delete):
            self._delete(operation)
            return ""
        if isinstance(operation, Merge):
            if not operation.entity.values and self._prefix is None:
                return self._touch(operation)
            return self._put(self._merged(operation))
        return self._put(operation)

    def _put(self, operation: Insert | Replace | Upsert) -> str:
        entity = operation.entity
        key = in_order(entity.partition), in_order(entity.row)
        etag, now = new_etag(), self._clock()
        content = (etag, now, *encode(entity.values))
        before = None if self._prefix is None or isinstance(operation, Insert) else self._indexed(key)
        if isinstance(operation, Replace):
            guard, guarded = _guard(operation.etag)
            sql = f"UPDATE {self._table} SET etag = ?, ts = ?, data = ?, bin = ? WHERE pk = ? AND rk = ?{guard}"  # noqa: S608
            if self._connection.execute(sql, (*content, *key, *guarded)).rowcount == 0:
                raise self._refusal(key)
        else:
            added = self._add((*key, *content), replace=isinstance(operation, Upsert))
            before = before or (added, set())
        if self._prefix is not None and before is not None:
            number, earlier = before
            terms = self._terms_of(entity.values)
            self._index(number, earlier, terms)
            self.written.append(Written(number, entity if terms else None, etag, now))
        return str(etag)

    def _add(self, row: tuple[object, ...], *, replace: bool) -> int:
        """The number of the row in an indexed table, if it was not there before."""
        sql = f"INSERT INTO {self._table} (pk, rk, etag, ts, data, bin) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
        if replace:
            sql += (
                " ON CONFLICT (pk, rk) DO UPDATE"
                " SET etag = excluded.etag, ts = excluded.ts, data = excluded.data, bin = excluded.bin"
            )
        try:
            return int(self._connection.execute(sql, row).lastrowid or 0)
        except sqlite3.IntegrityError:
            raise EntityExists from None

    def _delete(self, operation: Delete) -> None:
        key = in_order(operation.partition), in_order(operation.row)
        guard, guarded = _guard(operation.etag)
        before = None if self._prefix is None else self._indexed(key)
        sql = f"DELETE FROM {self._table} WHERE pk = ? AND rk = ?{guard}"  # noqa: S608
        if self._connection.execute(sql, (*key, *guarded)).rowcount == 0:
            raise self._refusal(key)
        if before is not None:
            number, terms = before
            self._index(number, terms, set())
            self.written.append(Written(number, None))

    def _touch(self, operation: Merge) -> str:
        """Nothing but the ETag changes: the guard of every append to the change feed."""
        key = in_order(operation.entity.partition), in_order(operation.entity.row)
        guard, guarded = _guard(operation.etag)
        etag = new_etag()
        sql = f"UPDATE {self._table} SET etag = ?, ts = ? WHERE pk = ? AND rk = ?{guard}"  # noqa: S608
        if self._connection.execute(sql, (etag, self._clock(), *key, *guarded)).rowcount == 0:
            raise self._refusal(key)
        return str(etag)

    def _merged(self, operation: Merge) -> Replace:
        """The replacement that comes to the same."""
        entity = operation.entity
        key = in_order(entity.partition), in_order(entity.row)
        sql = f"SELECT etag, data, bin FROM {self._table} WHERE pk = ? AND rk = ?"  # noqa: S608
        found = self._connection.execute(sql, key).fetchone()
        if found is None:
            raise EntityMissing
        etag, data, binary = found
        values = {**decode(data, binary), **entity.values}
        expected = str(etag) if operation.etag == ANY else operation.etag
        return Replace(Entity(entity.partition, entity.row, values), expected)

    def _refusal(self, key: tuple[str, str]) -> EntityMissing | EntityChanged:
        sql = f"SELECT 1 FROM {self._table} WHERE pk = ? AND rk = ?"  # noqa: S608
        return EntityChanged() if self._connection.execute(sql, key).fetchone() else EntityMissing()

    # -- terms

    def _terms_of(self, values: dict[str, Value]) -> set[tuple[str, str]]:
        prefix = str(self._prefix)
        return {
            (name, term(value)) for name, value in values.items() if isinstance(value, str) and name.startswith(prefix)
        }

    def _indexed(self, key: tuple[str, str]) -> tuple[int, set[tuple[str, str]]] | None:
        """Number and terms of the row as it is."""
        sql = f"SELECT id, data FROM {self._table} WHERE pk = ? AND rk = ?"  # noqa: S608
        found = self._connection.execute(sql, key).fetchone()
        return (found[0], self._terms_of(orjson.loads(found[1]))) if found else None

    def _index(self, number: int, before: set[tuple[str, str]], after: set[tuple[str, str]]) -> None:
        if before == after:
            return
        self._connection.executemany(
            f"DELETE FROM {self._terms} WHERE name = ? AND value = ? AND id = ?",  # noqa: S608
            [(*each, number) for each in before - after],
        )
        self._connection.executemany(
            f"INSERT INTO {self._terms} (name, value, id) VALUES (?, ?, ?)",  # noqa: S608
            [(*each, number) for each in after - before],
        )


def _guard(etag: str) -> tuple[str, tuple[int, ...]]:
    """The SQL condition of an ETag, and its argument."""
    return ("", ()) if etag == ANY else (" AND etag = ?", (etag_number(etag),))
