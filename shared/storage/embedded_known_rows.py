"""Rows of the embedded store that this process has read or written before, by their ETag.

No two writes ever give a row the same ETag, so an ETag that is read again says that the row behind it is the one that
is known: SQLite need not give its contents, nor are they parsed again. Which rows there are, and with which ETags, the
database is asked each time.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ..bounded_dict import BoundedDict
from ..clock import Ticks
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
        if self._entity is None or self._given != names:
            values = {name: self.values[name] for name in names if name in self.values}
            self._entity = Entity(self.partition, self.row, values, str(self.etag), self.timestamp)
            self._given = names
        return self._entity


class KnownRows(BoundedDict[int, KnownRow]):
    """The rows of one table that were read or written last, by ETag."""

    def __init__(self) -> None:
        super().__init__(MOST_ROWS)

    def add_written(self, entity: Entity, etag: int, timestamp: Ticks) -> None:
        """A row that was committed. What has to be encoded on its way into the database is not kept."""
        if all(type(value) in _PLAIN for value in entity.values.values()):
            self.add(etag, KnownRow(entity.partition, entity.row, etag, timestamp, dict(entity.values)))
