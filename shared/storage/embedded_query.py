"""Range queries of the embedded store.

A query is read piece by piece, each with a statement that ends before the event loop goes on and looks at no more than
a few thousand rows. It goes one of two ways:

- along the key, through the rows of the range asked for, partition by partition;
- in an indexed table, from the terms of the condition to the rows, if these are few.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import orjson

from .embedded_conditions import Terms, choices, narrowing
from .embedded_database import Database
from .embedded_known_rows import KnownRows, Placed, State, state_of
from .embedded_schema import INDEXED, entity_table, terms_table
from .embedded_tables import Row, Tables
from .embedded_values import BinaryNeeded, behind_prefix, in_order
from .primitives import Condition, Entity, Range

T = TypeVar("T")

SMALLEST_PIECE = 128
LARGEST_PIECE = 2048
"""Rows that one piece looks at; the number doubles from piece to piece."""
LARGEST_ANSWER = 256
"""Rows that one piece gives."""
MOST_FOUND = 1000
"""Rows that are gone to from terms; where there are more, the way along the key meets them soon."""

Key = tuple[str, str]

Head = tuple[int, int, str, str]
"""ETag, number and key of a row."""

_BEHIND_ALL = behind_prefix("")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks for; all strings are in order (`in_order`)."""

    partitions: str | Range | None
    rows: Range | None
    condition: Condition | None
    select: Sequence[str] | None
    top: int | None


def asked(
    partitions: str | Range | None,
    rows: Range | None,
    where: Condition | None,
    select: Sequence[str] | None,
    top: int | None,
) -> Asked:
    """The arguments of `Storage.query`."""
    span = in_order(partitions) if isinstance(partitions, str) else _ordered(partitions)
    return Asked(span, _ordered(rows), where, select, top)


def _ordered(span: Range | None) -> Range | None:
    return None if span is None else (in_order(span[0]), None if span[1] is None else in_order(span[1]))


@dataclass(frozen=True, slots=True)
class Where:
    """The conditions of an SQL statement, and their arguments."""

    sql: tuple[str, ...] = ()
    arguments: tuple[str | int, ...] = ()

    def also(self, sql: str, *arguments: str | int) -> "Where":
        return Where((*self.sql, sql), (*self.arguments, *arguments))

    @property
    def clause(self) -> str:
        return " WHERE " + " AND ".join(self.sql)


def stretch(partitions: str | Range | None, rows: Range | None, after: Key | None, last: Key | None) -> Where:
    """The rows behind `after` and up to `last`, where these are given. A range of rows needs a single partition.

    At each end stands one comparison, so that SQLite finds it in the tree.
    """
    where = Where()
    if isinstance(partitions, str):
        where = where.also("pk = ?", partitions)
        low, high = rows or ("", None)
        where = where.also("rk > ?", after[1]) if after else where.also("rk >= ?", low)
        if last:
            return where.also("rk <= ?", last[1])
        return where if high is None else where.also("rk < ?", high)
    low, high = partitions or ("", None)
    where = where.also("(pk, rk) > (?, ?)", *after) if after else where.also("pk >= ?", low)
    if last:
        return where.also("(pk, rk) <= (?, ?)", *last)
    return where if high is None else where.also("pk < ?", high)


class Query:
    """One query of one table."""

    def __init__(self, database: Database, tables: Tables, table: str, question: Asked) -> None:
        condition = question.condition
        self._database = database
        self._table = table
        self._asked = question
        self._selection = tables.selection(table, question.select, condition)
        self._known = tables.known_rows(table, question.select)
        self._piece = SMALLEST_PIECE
        self._few_match = False

    async def entities(self) -> AsyncIterator[Entity]:
        """Rows in order of their keys, at most `top`."""
        left = self._asked.top
        if left is not None and left <= 0:
            return
        async for piece in self._pieces():
            for entity in piece:
                yield entity
                if left is not None:
                    left -= 1
                    if not left:
                        return

    async def _pieces(self) -> AsyncIterator[list[Entity]]:
        keys = await self._found()
        if keys is not None:
            for start in range(0, len(keys), SMALLEST_PIECE):
                numbers = keys[start : start + SMALLEST_PIECE]
                yield await self._read(lambda connection, numbers=numbers: self._numbered(connection, numbers))  # type: ignore[misc]
            return
        if isinstance(self._asked.partitions, str) or self._asked.rows is None:
            async for piece in self._along(self._asked.partitions):
                yield piece
            return
        span = self._asked.partitions
        partition = await self._next_partition(span, None)
        while partition is not None:
            async for piece in self._along(partition):
                yield piece
            await asyncio.sleep(0)
            partition = await self._next_partition(span, partition)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            try:
                return await self._database.read(work)
            except BinaryNeeded as missing:
                self._selection.learn(missing)

    def _rows(
        self, connection: sqlite3.Connection, rest: str, arguments: Sequence[str | int]
    ) -> tuple[list[Entity], int, Key | None]:
        """Of the rows that `rest` of a statement finds: those that match the condition, how many were looked at, and
        the key of the last one."""
        table = entity_table(self._table)
        if self._known is not None:
            return self._rows_by_etag(connection, self._known, f"FROM {table}{rest}", arguments)
        sql = f"SELECT {self._selection.columns} FROM {table}{rest}"  # noqa: S608
        rows: list[Row] = connection.execute(sql, arguments).fetchall()
        entities = [entity for row in rows if (entity := self._selection.entity(row)) is not None]
        return entities, len(rows), rows[-1][:2] if rows else None

    def _rows_by_etag(
        self, connection: sqlite3.Connection, known: KnownRows, rest: str, arguments: Sequence[str | int]
    ) -> tuple[list[Entity], int, Key | None]:
        """The same, with the contents of those rows alone that this process does not know."""
        state = state_of(connection)
        heads: list[Head] = connection.execute(f"SELECT etag, id, pk, rk {rest}", arguments).fetchall()
        rows = self._of_heads(connection, known, state, heads)
        return self._matching(rows), len(heads), heads[-1][2:] if heads else None

    def _of_heads(
        self, connection: sqlite3.Connection, known: KnownRows, state: State, heads: Sequence[Head]
    ) -> list[Placed]:
        """The rows of which ETags and numbers were read; one that was removed since is left out."""
        found = [known.get(head[0]) for head in heads]
        read: dict[int, Placed] = {}
        if None in found:
            unknown = [head[1] for head, row in zip(heads, found, strict=True) if row is None]
            read = self._contents(connection, known, state, unknown)
        rows: list[Placed] = []
        for (_, number, partition, row), there in zip(heads, found, strict=True):
            if there is not None:
                rows.append((partition, row, there))
                known.place(state, number, rows[-1])
            elif number in read:
                rows.append(read[number])
        return rows

    def _contents(
        self, connection: sqlite3.Connection, known: KnownRows, state: State, numbers: Collection[int]
    ) -> dict[int, Placed]:
        where = _numbered(numbers)
        sql = f"SELECT id, {self._selection.columns} FROM {entity_table(self._table)}{where.clause}"  # noqa: S608
        read: dict[int, Placed] = {}
        for number, *row in connection.execute(sql, where.arguments):
            there = self._selection.known_row(cast(Row, row))
            read[number] = row[0], row[1], there
            known.add(there.etag, there)
            known.place(state, number, read[number])
        return read

    def _matching(self, rows: Iterable[Placed]) -> list[Entity]:
        matching = self._selection.entity_of
        return [entity for _, _, row in rows if (entity := matching(row)) is not None]

    # -- along the key

    async def _next_partition(self, span: Range | None, after: str | None) -> str | None:
        """The first partition of the range behind `after`: each is entered at the first of the rows asked for."""
        low, high = span or ("", None)
        where = Where().also("pk >= ?", low) if after is None else Where().also("pk > ?", after)
        where = where if high is None else where.also("pk < ?", high)
        sql = f"SELECT pk FROM {entity_table(self._table)}{where.clause} ORDER BY pk LIMIT 1"  # noqa: S608
        found = await self._read(lambda connection: connection.execute(sql, where.arguments).fetchone())
        return found[0] if found else None

    async def _along(self, partitions: str | Range | None) -> AsyncIterator[list[Entity]]:
        after: Key | None = None
        while True:
            entities, after = await self._read(
                lambda connection, after=after: self._piece_behind(connection, partitions, after)  # type: ignore[misc]
            )
            yield entities
            if after is None:
                return
            self._piece = min(2 * self._piece, LARGEST_PIECE)
            await asyncio.sleep(0)

    def _piece_behind(
        self, connection: sqlite3.Connection, partitions: str | Range | None, after: Key | None
    ) -> tuple[list[Entity], Key | None]:
        """The next piece, and the key of the last row that it looked at; None at the end."""
        table = entity_table(self._table)
        last: Key | None = None
        where = stretch(partitions, self._asked.rows, after, None)
        condition = self._asked.condition
        narrower = narrowing(condition) if condition and self._few_match else None
        if narrower:
            sql = f"SELECT pk, rk FROM {table}{where.clause} ORDER BY pk, rk LIMIT 1 OFFSET ?"  # noqa: S608
            last = connection.execute(sql, (*where.arguments, self._piece - 1)).fetchone()
            where = stretch(partitions, self._asked.rows, after, last).also(narrower.sql, *narrower.arguments)
        most = LARGEST_ANSWER if narrower else min(self._piece, LARGEST_ANSWER)
        if self._asked.condition is None and self._asked.top is not None:
            most = min(most, self._asked.top)
        rest = f"{where.clause} ORDER BY pk, rk LIMIT ?"
        entities, count, key = self._rows(connection, rest, (*where.arguments, most))
        if count == most:
            last = key
        if not narrower:
            self._few_match = 2 * len(entities) < count
        return entities, last

    # -- from the terms

    async def _found(self) -> list[int] | None:
        """The numbers of all rows that may match the condition, in order of their keys unless one piece holds them all;
        None if these are many or the terms do not tell."""
        prefix, condition = INDEXED.get(self._table), self._asked.condition
        if prefix is None or condition is None:
            return None
        unions = choices(condition, prefix)
        return await self._read(lambda connection: self._look_up(connection, unions)) if unions else None

    def _look_up(self, connection: sqlite3.Connection, unions: list[tuple[Terms, ...]]) -> list[int] | None:
        numbers: set[int] | None = None
        for union in unions:
            found = self._of_terms(connection, union)
            if found is not None:
                numbers = found if numbers is None else numbers & found
        if numbers is None or len(numbers) <= SMALLEST_PIECE:
            return None if numbers is None else list(numbers)
        where = self._among(numbers)
        sql = f"SELECT id FROM {entity_table(self._table)}{where.clause} ORDER BY pk, rk"  # noqa: S608
        return [number for (number,) in connection.execute(sql, where.arguments)]

    def _among(self, numbers: Collection[int]) -> Where:
        """Those of the numbered rows that are in the ranges asked for."""
        where = _numbered(numbers)
        # The plus keeps SQLite from going along the key after all.
        for part in (_comparisons("+pk", self._asked.partitions), _comparisons("+rk", self._asked.rows)):
            for sql, argument in part:
                where = where.also(sql, argument)
        return where

    def _covered(self, rows: Iterable[Placed]) -> list[Placed]:
        """Those in the ranges asked for, in order of their keys."""
        first, end = _bounds(self._asked.partitions)
        low, high = _bounds(self._asked.rows)
        return sorted(row for row in rows if first <= row[0] < end and low <= row[1] < high)

    def _of_terms(self, connection: sqlite3.Connection, union: tuple[Terms, ...]) -> set[int] | None:
        """The rows with one of these terms; None if there are too many."""
        numbers: set[int] = set()
        for terms in union:
            where = Where().also("name = ?", terms.name)
            where = where if terms.low is None else where.also("value >= ?", terms.low)
            where = where if terms.high is None else where.also("value <= ?", terms.high)
            sql = f"SELECT id FROM {terms_table(self._table)}{where.clause} LIMIT ?"  # noqa: S608
            numbers.update(number for (number,) in connection.execute(sql, (*where.arguments, MOST_FOUND + 1)))
            if len(numbers) > MOST_FOUND:
                return None
        return numbers

    def _numbered(self, connection: sqlite3.Connection, numbers: list[int]) -> list[Entity]:
        if self._known is None:
            where = self._among(numbers)
            return self._rows(connection, f"{where.clause} ORDER BY +pk, +rk", where.arguments)[0]
        known, state = self._known, state_of(connection)
        rows = known.placed(state, numbers)
        missing = [number for number, row in zip(numbers, rows, strict=True) if row is None]
        there = [row for row in rows if row is not None]
        if missing and known.full:  # then it hardly knows them by their ETags
            there += self._contents(connection, known, state, missing).values()
        elif missing:
            where = _numbered(missing)
            sql = f"SELECT etag, id, pk, rk FROM {entity_table(self._table)}{where.clause}"  # noqa: S608
            heads: list[Head] = connection.execute(sql, where.arguments).fetchall()
            there += self._of_heads(connection, known, state, heads)
        return self._matching(self._covered(there))


def _bounds(span: str | Range | None) -> tuple[str, str]:
    """The same as half open range in any case."""
    if span is None:
        return "", _BEHIND_ALL
    if isinstance(span, str):
        return span, span + "\0"
    return span[0], _BEHIND_ALL if span[1] is None else span[1]


def _numbered(numbers: Collection[int]) -> Where:
    return Where().also("id IN (SELECT value FROM json_each(?))", orjson.dumps(list(numbers)).decode())


def _comparisons(column: str, span: str | Range | None) -> list[tuple[str, str]]:
    if span is None:
        return []
    if isinstance(span, str):
        return [(f"{column} = ?", span)]
    low, high = span
    return [(f"{column} >= ?", low)] + ([] if high is None else [(f"{column} < ?", high)])
