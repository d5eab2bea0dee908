"""Table `studies`: what search sees of studies and series, newest first (protocol, section 6).

One row per life of a study or series: partition `{partition}|{inverted yyyymm of created}`, row
`study|{inverted created}|{study}` or `series|{inverted created}|{study}|{series}`. A row holds each searchable
attribute in its normal form, for filters, and the original elements, for results. `shown` false is a tombstone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from ..clock import to_datetime
from ..dicom.normal_form import normal_form, projected_name
from . import names
from .memory import StudyKey
from .primitives import (
    MOST_OPERATIONS,
    And,
    Compare,
    Condition,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Operation,
    Range,
    Replace,
    Storage,
    TransactionRefused,
    Unanswered,
)
from .records import Attributes, Projection
from .rows import Mark

_MOST = 10**20 - 1
_LAST_MONTH = 999999

SERIES_UID_PROPERTY = projected_name("0020000E")
"""Of the row of a series: keys begin with the time, so that a UID alone does not lead to one."""

MOST_KNOWN = 10_000

MOST_PARSED = 1000
"""Rows that this process keeps parsed: some 5 KB each."""


def projection_partition(partition: str, created: int) -> str:
    """Newest months first."""
    moment = to_datetime(created)
    return f"{partition}|{_LAST_MONTH - (moment.year * 100 + moment.month):06d}"


def projection_row(study: str, series: str, created: int) -> str:
    inverted = f"{_MOST - created:020d}"
    return f"series|{inverted}|{study}|{series}" if series else f"study|{inverted}|{study}"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a mark is answered with: the present attributes, or None at the end of a life."""

    mark: Mark
    attributes: Attributes | None


def _entity(study: StudyKey, shown: Shown) -> Entity:
    mark = shown.mark
    values: dict[str, str | int | float | bool | bytes] = {
        "rev": mark.version,
        "shown": shown.attributes is not None,
    }
    if mark.series and shown.attributes is not None:
        values[SERIES_UID_PROPERTY] = mark.series
    if shown.attributes:
        values["o"] = orjson.dumps(shown.attributes).decode()
        for tag, element in shown.attributes.items():
            normal = normal_form(element["vr"], element)
            if normal is not None:
                values[projected_name(tag)] = normal
    return Entity(
        projection_partition(study[0], mark.created), projection_row(study[1], mark.series, mark.created), values
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """A row as this process last wrote it: a hint that spares the read before the next write."""

    etag: str
    rev: int


class Projections:
    """Reads and writes the table."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def write(self, study: StudyKey, shown: Iterable[Shown], recent: Callable[[], bool]) -> None:
        """Answers each mark, unless the row is newer already (rules 19 and 20).

        Raises `Unanswered` when a write got no answer, or `recent` says before one that the marks were read too long
        ago: whether they still stand has to be read before the next (rule 21).
        """
        groups: dict[str, list[Entity]] = {}
        blind: set[str] = set()
        for each in shown:
            entity = _entity(study, each)
            groups.setdefault(entity.partition, []).append(entity)
            if each.mark.begins_life and each.attributes is not None:
                blind.add(entity.row)
        await asyncio.gather(
            *(
                self._write_rows(entities[start : start + MOST_OPERATIONS], blind, recent)
                for entities in groups.values()
                for start in range(0, len(entities), MOST_OPERATIONS)
            )
        )

    async def _write_rows(self, entities: list[Entity], blind: set[str], recent: Callable[[], bool]) -> None:
        """The rows of one partition in one transaction: what begins a life without reading, the rest after it."""
        trusting = True
        while True:
            found = await asyncio.gather(*(self._operation(entity, trusting, blind) for entity in entities))
            entities = [entity for entity, operation in zip(entities, found, strict=True) if operation]
            operations = [operation for operation in found if operation]
            if not operations:
                return
            if not recent():
                raise Unanswered("The study row was read too long ago.")
            try:
                if len(operations) == 1:
                    etags = [await self._storage.write(names.STUDIES, operations[0])]
                else:
                    etags = await self._storage.transact(names.STUDIES, operations)
            except (TransactionRefused, EntityExists, EntityMissing, EntityChanged):
                trusting = False
            else:
                self._remember(entities, etags)
                return

    async def _operation(self, entity: Entity, trusting: bool, blind: set[str]) -> Operation | None:
        """What brings the row up to its mark; None if it is there already."""
        key = (entity.partition, entity.row)
        rev = int(entity.values["rev"])
        known = self._known.get(key) if trusting else None
        if known is not None and known.rev < rev:
            return Replace(entity, known.etag)
        if trusting and known is None and entity.row in blind:
            return Insert(entity)
        there = await self._storage.get(names.STUDIES, *key, ("PartitionKey", "RowKey", "rev"))
        if there is None:
            return Insert(entity)
        return Replace(entity, there.etag) if int(there.values["rev"]) < rev else None

    def _remember(self, entities: list[Entity], etags: list[str]) -> None:
        for entity, etag in zip(entities, etags, strict=True):
            self._known[entity.partition, entity.row] = _Known(etag, int(entity.values["rev"]))
            self._known.move_to_end((entity.partition, entity.row))
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def studies(
        self, partition: str, where: Condition | None = None, *, first: int | None = None
    ) -> AsyncIterator[Projection]:
        """Studies that are shown and meet `where`, newest first; `first` is how many the caller hopes to need."""
        return self._read(partition, "study", where, first)

    def series(
        self, partition: str, where: Condition | None = None, *, first: int | None = None
    ) -> AsyncIterator[Projection]:
        """Series that are shown and meet `where`, newest first; `first` as for studies."""
        return self._read(partition, "series", where, first)

    async def _read(
        self, partition: str, level: str, where: Condition | None, first: int | None
    ) -> AsyncIterator[Projection]:
        """All of them in any case: a query for the first few, if wanted, and then for what lies behind them."""
        shown: Condition = Compare("shown", "eq", True)
        condition = And((shown, where)) if where else shown
        rows, end = (f"{level}|", f"{level}}}"), f"{partition}}}"
        last: Entity | None = None
        count = 0
        async for last in self._rows((f"{partition}|", end), rows, condition, first):
            count += 1
            yield _of_entity(last)
        if last is None or count != first:
            return
        # no character of a key comes before "!"
        async for entity in self._rows(last.partition, (last.row + "!", rows[1]), condition):
            yield _of_entity(entity)
        async for entity in self._rows((last.partition + "!", end), rows, condition):
            yield _of_entity(entity)

    def _rows(
        self, partitions: str | Range, rows: Range, where: Condition, top: int | None = None
    ) -> AsyncIterator[Entity]:
        return self._storage.query(
            names.STUDIES, partitions, rows, where, select=("PartitionKey", "RowKey", "o"), top=top
        )


@lru_cache(maxsize=MOST_PARSED)
def _projection(row: str, text: str) -> Projection:
    """What a row says. Those that searches show again and again, above all the newest, are parsed once."""
    _, inverted, study, *series = row.split("|")
    return Projection(study, series[0] if series else "", _MOST - int(inverted), orjson.loads(text), text)


def _of_entity(entity: Entity) -> Projection:
    return _projection(entity.row, str(entity.values.get("o", "{}")))
