"""Table `studies`: what search sees of studies and series, newest first (protocol, section 6).

One row per life of a study or series: partition `{partition}|{inverted yyyymm of created}`, row
`study|{inverted created}|{study}` or `series|{inverted created}|{study}|{series}`. A row holds each searchable
attribute in its normal form, for filters, and the original elements, for results. `shown` false is a tombstone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache

import orjson

from ..clock import Clock
from ..dicom.normal_form import normal_form, projected_name, projected_tag
from . import names
from .memory import StudyKey
from .months import Months
from .newest_studies import NewestStudies, stamped
from .primitives import (
    MOST_OPERATIONS,
    And,
    Compare,
    Condition,
    Delete,
    Entity,
    Insert,
    Operation,
    Range,
    Replace,
    Storage,
    TransactionRefused,
    Unanswered,
)
from .projection_rows import projection_partition, projection_row, split_projection_row
from .records import Attributes, Projection
from .rows import Mark
from .value_rows import (
    LAYOUT,
    STAMP,
    Forms,
    forms_of,
    held_forms,
    most_operations,
    properties_of,
    target_of,
    value_operations,
)

SERIES_UID_PROPERTY = projected_name("0020000E")
"""Of the row of a series: keys begin with the time, so that a UID alone does not lead to one."""

MOST_KNOWN = 10_000

MOST_KEPT = 12_288
"""Rows of which this process keeps what searches need: some 2.5 KB each."""


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
    """A row as this process last wrote it: a hint that spares the read before the next write. `held` are the values
    that have value rows."""

    etag: str
    rev: int
    held: Forms


@dataclass(frozen=True, slots=True)
class _Write:
    """What brings a row up to its mark, and the values that value rows are there for."""

    entity: Entity
    operation: Insert | Replace
    held: Forms

    @property
    def etag(self) -> str:
        """Of the row as it was."""
        return self.operation.etag if isinstance(self.operation, Replace) else ""


class Projections:
    """Reads and writes the table. `prepare` is called with each study that was written, to have ready what searches
    will make of it."""

    def __init__(self, storage: Storage, clock: Clock, prepare: Callable[[Projection], None] = lambda _: None) -> None:
        self._storage = storage
        self._prepare = prepare
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self.months = Months(storage, clock)
        self._newest = NewestStudies(storage, clock, self._first_studies)

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
                self._write_rows(some, blind, recent)
                for entities in groups.values()
                for some in self._transactions(entities)
            )
        )

    def _transactions(self, entities: list[Entity]) -> Iterable[list[Entity]]:
        """Rows of one partition that, with their value rows, go into one transaction each."""
        if self._storage.value_rows:
            self.months.note(entities[0].partition)
            for entity in entities:
                entity.values[STAMP] = LAYOUT
            most = (MOST_OPERATIONS - 1) // max(most_operations(entity.row) for entity in entities)
        else:
            most = MOST_OPERATIONS - 1
        return (entities[start : start + most] for start in range(0, len(entities), most))

    async def _write_rows(self, entities: list[Entity], blind: set[str], recent: Callable[[], bool]) -> None:
        """The rows of one partition in one transaction: what begins a life without reading, the rest after it."""
        trusting = True
        lost: set[tuple[str, str]] = set()
        while True:
            found = await asyncio.gather(*(self._planned(entity, trusting, blind) for entity in entities))
            writes = [write for write in found if write]
            if not writes:
                return
            entities = [write.entity for write in writes]
            operations: list[Operation] = [write.operation for write in writes]
            if self._storage.value_rows:
                for write in writes:
                    gone = [row for etag, row in lost if etag == write.etag]
                    operations += value_operations(write.entity, write.held, gone)
            operations.append(stamped(entities[0].partition))
            if not recent():
                raise Unanswered("The study row was read too long ago.")
            try:
                etags = await self._storage.transact(names.STUDIES, operations)
            except TransactionRefused as refusal:
                trusting = False
                refused = operations[refusal.index]
                if isinstance(refused, Delete):  # a value row that should be there: do without it
                    lost |= {
                        (write.etag, refused.row) for write in writes if write.entity.row == target_of(refused.row)
                    }
            else:
                self._remember(entities, etags)
                return

    async def _planned(self, entity: Entity, trusting: bool, blind: set[str]) -> _Write | None:
        """What brings the row up to its mark; None if it is there already."""
        key = (entity.partition, entity.row)
        rev = int(entity.values["rev"])
        known = self._known.get(key) if trusting else None
        if known is not None and known.rev < rev:
            return _Write(entity, Replace(entity, known.etag), known.held)
        if trusting and known is None and entity.row in blind:
            return _Write(entity, Insert(entity), {})
        values = properties_of(entity.row) if self._storage.value_rows else ()
        there = await self._storage.get(names.STUDIES, *key, ("PartitionKey", "RowKey", "rev", *values))
        if there is None:
            return _Write(entity, Insert(entity), {})
        if int(there.values["rev"]) >= rev:
            return None
        return _Write(entity, Replace(entity, there.etag), held_forms(there))

    def _remember(self, entities: list[Entity], etags: list[str]) -> None:
        """The first ETags are theirs."""
        for entity, etag in zip(entities, etags, strict=False):
            held = forms_of(entity.row, entity.values) if self._storage.value_rows else {}
            self._known[entity.partition, entity.row] = _Known(etag, int(entity.values["rev"]), held)
            self._known.move_to_end((entity.partition, entity.row))
            if entity.row.startswith("study|"):
                study = _of_entity(entity)
                forms = ((projected_tag(name), value) for name, value in entity.values.items())
                study.forms.update((tag, str(form)) for tag, form in forms if tag)
                self._prepare(study)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def at(self, partition: str, row: str) -> Projection | None:
        """The study or series of this row, by the keys of the table; None unless it is shown."""
        entity = await self._storage.get(names.STUDIES, partition, row, ("PartitionKey", "RowKey", "o", "shown"))
        return _of_entity(entity) if entity is not None and entity.values["shown"] else None

    def studies(
        self, partition: str, where: Condition | None = None, *, first: int | None = None
    ) -> AsyncIterator[Projection]:
        """Studies that are shown and meet `where`, newest first; `first` is how many the caller hopes to need."""
        return self._read(partition, "study", where, first)

    async def newest_studies(self, partition: str, count: int) -> list[Projection]:
        """The newest studies that are shown, at most `count`, from memory if nothing changed; nobody may change it."""
        return await self._newest.first(partition, count)

    async def _first_studies(self, partition: str, count: int) -> list[Projection]:
        studies: list[Projection] = []
        async with aclosing(self._read(partition, "study", None, count)) as rows:
            async for row in rows:
                studies.append(row)
                if len(studies) == count:
                    break
        return studies

    def series(
        self, partition: str, where: Condition | None = None, *, first: int | None = None
    ) -> AsyncIterator[Projection]:
        """Series that are shown and meet `where`, newest first; `first` as for studies."""
        return self._read(partition, "series", where, first)

    async def _read(
        self, partition: str, level: str, where: Condition | None, first: int | None
    ) -> AsyncGenerator[Projection]:
        """All of them in any case: a query for the first few, if wanted, and then for what lies behind them.

        Where there are value rows, each month by itself, so that they need not be gone over.
        """
        shown: Condition = Compare("shown", "eq", True)
        condition = And((shown, where)) if where else shown
        rows, end = (f"{level}|", f"{level}}}"), f"{partition}}}"
        parts: Sequence[str | Range] = [(f"{partition}|", end)]
        if self._storage.value_rows:
            parts = await self.months.of(partition)
        for part in parts:
            last: Entity | None = None
            count = 0
            async for last in self._rows(part, rows, condition, first):
                count += 1
                yield _of_entity(last)
            if last is None or count != first:
                continue
            # no character of a key comes before "!"
            async for entity in self._rows(last.partition, (last.row + "!", rows[1]), condition):
                yield _of_entity(entity)
            if not isinstance(part, str):
                async for entity in self._rows((last.partition + "!", end), rows, condition):
                    yield _of_entity(entity)

    def _rows(
        self, partitions: str | Range, rows: Range, where: Condition, top: int | None = None
    ) -> AsyncIterator[Entity]:
        return self._storage.query(
            names.STUDIES, partitions, rows, where, select=("PartitionKey", "RowKey", "o"), top=top
        )


@lru_cache(maxsize=MOST_KEPT)
def _projection(row: str, text: str) -> Projection:
    """What a row says. Those that searches show again and again, above all the newest, are taken apart once."""
    return Projection(*split_projection_row(row), text=text, made={})


def _of_entity(entity: Entity) -> Projection:
    return _projection(entity.row, str(entity.values.get("o", "{}")))
