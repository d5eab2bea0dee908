"""Table `studies`: what search sees of studies and series, newest first (protocol, section 6).

One row per life of a study or series: partition `{partition}|{inverted yyyymm of created}`, row
`study|{inverted created}|{study}` or `series|{inverted created}|{study}|{series}`. A row holds each searchable
attribute in its normal form, for filters, and the original elements, for results. `shown` false is a tombstone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import orjson

from ..clock import to_datetime
from ..dicom.normal_form import normal_form, projected_name
from . import names
from .memory import StudyKey
from .primitives import (
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

MOST_UNANSWERED = 8


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
    if shown.attributes:
        values["o"] = orjson.dumps(shown.attributes).decode()
        for tag, element in shown.attributes.items():
            normal = normal_form(element["vr"], element)
            if normal is not None:
                values[projected_name(tag)] = normal
    return Entity(
        projection_partition(study[0], mark.created), projection_row(study[1], mark.series, mark.created), values
    )


class Projections:
    """Reads and writes the table."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def write(self, study: StudyKey, shown: Iterable[Shown]) -> None:
        """Answers each mark, unless the row is newer already; raises `Unavailable` (rules 19 and 20)."""
        todo = list(shown)
        begun = [each for each in todo if each.mark.begins_life and each.attributes is not None]
        if len(begun) > 1 and await self._begin_together(study, begun):
            todo = [each for each in todo if each not in begun]
        await asyncio.gather(*(self._write_one(study, each) for each in todo))

    async def _begin_together(self, study: StudyKey, begun: list[Shown]) -> bool:
        """A new study and its first series in one transaction; False if it has to be row by row."""
        entities = [_entity(study, each) for each in begun[:100]]
        if len(begun) > len(entities) or len({entity.partition for entity in entities}) > 1:
            return False
        try:
            await self._storage.transact(names.STUDIES, [Insert(entity) for entity in entities])
        except (TransactionRefused, Unanswered):
            return False
        return True

    async def _write_one(self, study: StudyKey, shown: Shown) -> None:
        entity = _entity(study, shown)
        blind = shown.mark.begins_life
        unanswered = 0
        while True:
            operation: Operation = Insert(entity)
            if not blind:
                there = await self._storage.get(
                    names.STUDIES, entity.partition, entity.row, ("PartitionKey", "RowKey", "rev")
                )
                if there is not None and int(there.values["rev"]) >= shown.mark.version:
                    return
                operation = Replace(entity, there.etag) if there else operation
            blind = False
            try:
                await self._storage.write(names.STUDIES, operation)
                return
            except (EntityExists, EntityMissing, EntityChanged):
                continue
            except Unanswered:
                unanswered += 1
                if unanswered >= MOST_UNANSWERED:
                    raise

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
            yield _projection(last)
        if last is None or count != first:
            return
        # no character of a key comes before "!"
        async for entity in self._rows(last.partition, (last.row + "!", rows[1]), condition):
            yield _projection(entity)
        async for entity in self._rows((last.partition + "!", end), rows, condition):
            yield _projection(entity)

    def _rows(
        self, partitions: str | Range, rows: Range, where: Condition, top: int | None = None
    ) -> AsyncIterator[Entity]:
        return self._storage.query(
            names.STUDIES, partitions, rows, where, select=("PartitionKey", "RowKey", "o"), top=top
        )


def _projection(entity: Entity) -> Projection:
    _, inverted, study, *series = entity.row.split("|")
    attributes = orjson.loads(entity.values.get("o", "{}"))  # type: ignore[arg-type]
    return Projection(study, series[0] if series else "", _MOST - int(inverted), attributes)
