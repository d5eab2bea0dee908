"""Rows of the embedded store that this process has read or written before, by their ETag.

No two writes ever give a row the same ETag, so an ETag that is read again says that the row behind it is the one that
is known: SQLite need not give its contents, nor are they parsed again. Which rows there are, and with which ETags, the
database is asked each time; of rows that this process has read by their number, or written, not even that as long as
no other commits anything.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ..bounded_dict import BoundedDict
from ..clock import Ticks
from .embedded_values import in_order
from .primitives import Entity, Value

MOST_ROWS = 8192
"""Rows of one table that are kept: of studies and series some 2 KB each."""

_PLAIN = (str, int, bool)


@dataclass(slots=True)
class KnownRow:
    """A row with all of its properties, for conditions. Nobody may change these, nor what `selected` gives."""

    partition: str
    row: str
    etag: int
    timestamp: Ticks
    values: dict[str, Value]
    _given: AbstractSet[str] | None = None
    _entity: Entity | None = None

    def selected(self, names: AbstractSet[str]) -> Entity:
        """The row with the properties of these names; the same object as long as the same ones are asked for."""
        if self._entity is None or (self._given is not names and self._given != names):
            values = {name: self.values[name] for name in names if name in self.values}
            self._entity = Entity(self.partition, self.row, values, str(self.etag), self.timestamp)
            self._given = names
        return self._entity


State = tuple[sqlite3.Connection, int]
"""What changes with each commit to the database by another connection than this one. A durable store is written
through another connection than it is read."""

Placed = tuple[str, str, KnownRow]
"""A row behind its key, whose parts are in order (`in_order`)."""


@dataclass(frozen=True, slots=True)
class Written:
    """A row of this number was written, with this ETag; `entity` is None if it is gone or nothing leads to it."""

    number: int
    entity: Entity | None
    etag: int = 0
    timestamp: Ticks = 0

    def known(self) -> KnownRow | None:
        """None if something of it has to be encoded on its way into the database."""
        if self.entity is None or not all(type(value) in _PLAIN for value in self.entity.values.values()):
            return None
        entity = self.entity
        return KnownRow(entity.partition, entity.row, self.etag, self.timestamp, dict(entity.values))


def state_of(connection: sqlite3.Connection) -> State:
    """A few microseconds, where a row costs one or two."""
    (others,) = connection.execute("PRAGMA data_version").fetchone()
    return connection, others


class KnownRows(BoundedDict[int, KnownRow]):
    """The rows of one table that were read or written last, by ETag."""

    def __init__(self) -> None:
        super().__init__(MOST_ROWS)
        self._state: State | None = None
        self._numbered: BoundedDict[int, Placed] = BoundedDict(MOST_ROWS)

    def add_written(self, state: State, rows: Iterable[Written]) -> None:
        """Rows that were committed in a transaction in which the database was in `state`."""
        for each in rows:
            row = each.known()
            if row is not None:
                self.add(row.etag, row)
                self.place(state, each.number, (in_order(row.partition), in_order(row.row), row))
            elif state == self._state:
                self._numbered.pop(each.number, None)

    def place(self, state: State, number: int, row: Placed) -> None:
        """A row that was read by its number after the database was in `state`, or written in it."""
        if state != self._state:
            self._state = state
            self._numbered.clear()
        self._numbered.add(number, row)

    def placed(self, state: State, numbers: Sequence[int]) -> list[Placed | None]:
        """The rows of these numbers that are known to be as they were; there is nothing to ask for them."""
        if state != self._state:
            return [None] * len(numbers)
        return [self._numbered.get(number) for number in numbers]

    @property
    def full(self) -> bool:
        """Whether rows are forgotten for each new one."""
        return len(self) >= MOST_ROWS

    def displace(self) -> None:
        """Nobody knows what was written: the database has to be asked for each row."""
        self._state = None
        self._numbered.clear()
