"""Values of extended query tags in the rows that are there already: what a reindex reads and writes.

A study or series row keeps them beside its other attributes, each with the version of the instance that it comes
from, so that whatever order they arrive in, the value of the newest instance stays (TAG-25). Its transaction is
guarded as every change of a study is; it has no events. An instance row is given its values under its own ETag alone:
who replaces or deletes the instance writes or ends values of its own.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..clock import Ticks
from . import names
from .attempt import Attempt
from .commit import new_operation
from .index import Index
from .memory import StudyKey, StudyView
from .primitives import (
    BlobMissing,
    Condition,
    Entity,
    EntityChanged,
    EntityMissing,
    Merge,
    Operation,
    Replace,
    Storage,
    TransactionRefused,
)
from .records import Attributes, InstanceKey
from .rows import (
    METADATA_PROPERTIES,
    Mark,
    SeriesRow,
    instance_row,
    instance_row_key,
    instance_rows_of,
    key_of_entity,
    partition_key,
    record,
    series_entity,
    study_entity,
)
from .settle import Settler
from .tag_columns import differ, newer

_INSTANCES = ("instance|", "instance}")

MOST_ROWS = 100
"""Rows in one transaction."""

Cursor = tuple[str, str]
"""Partition key and row key of the last instance row that was read."""

START: Cursor = ("", "")


@dataclass(frozen=True, slots=True)
class Visited:
    """An instance row as it was read, with its metadata."""

    key: InstanceKey
    version: int
    metadata: bytes
    etag: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Valued:
    """An instance and the values of tags, by property, that its row holds."""

    key: InstanceKey
    version: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StudyValues:
    """Elements for the row of a study and the rows of its series, by column. Each carries a version: `stamped`."""

    study: Attributes = field(default_factory=dict)
    series: Mapping[str, Attributes] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        return not self.study and not any(self.series.values())

    def parts(self) -> Iterator["StudyValues"]:
        """The same values, cut so that each part goes into one transaction: its series, and the study row."""
        series = list(self.series.items())
        for start in range(0, max(len(series), 1), MOST_ROWS - 1):
            yield StudyValues(self.study, dict(series[start : start + MOST_ROWS - 1]))


class IndexTags:
    """A change of a study in the commit loop: values for its row and those of its series."""

    def __init__(self, settler: Settler, study: StudyKey, values: StudyValues) -> None:
        self.operation = new_operation()
        self._settler = settler
        self._study = study
        self._values = values

    async def look(self, *, rows: bool) -> StudyView:
        return await self._settler.read(self._study, frozenset(self._values.series))

    def settles_first(self, view: StudyView) -> bool:
        return False

    def overdue(self, now: Ticks) -> bool:
        return False

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        """None if the study is gone, or has all of it."""
        if view.row is None or view.row.gone:
            return None
        version = max(view.row.last + 1, now)
        attributes = newer(view.row.attributes, self._values.study)
        marks = {(mark.series, mark.created): mark for mark in view.unprojected}
        if differ(attributes, view.row.attributes):
            marks["", view.row.created] = Mark("", view.row.created, version)
        changed: dict[str, SeriesRow | None] = {}
        for uid, values in self._values.series.items():
            there = view.series.get(uid)
            if there is None or newer(there.attributes, values) == there.attributes:
                continue
            after_ = replace(there, attributes=newer(there.attributes, values))
            changed[uid] = after_
            if differ(after_.attributes, there.attributes):
                marks[uid, there.created] = Mark(uid, there.created, version)
        if attributes == view.row.attributes and not changed:
            return None
        row = replace(
            view.row, last=version, attributes=attributes, pending=view.unfed, unprojected=tuple(marks.values())
        )
        key = partition_key(*self._study)
        operations: list[Operation] = [Replace(study_entity(key, row), view.etag)]
        operations += [Replace(series_entity(key, uid, row_), "*") for uid, row_ in changed.items() if row_]
        return Attempt(row, changed, operations, after)


class TagIndexing:
    """Walks over all instances of all data partitions, and gives instance rows their values."""

    def __init__(self, storage: Storage, index: Index) -> None:
        self._storage = storage
        self._index = index

    async def count(self) -> int:
        """About how many instances there are."""
        rows = self._storage.query(names.INDEX, rows=("study", "study!"), select=("PartitionKey", "RowKey", "live"))
        return sum([int(entity.values["live"]) async for entity in rows])

    async def after(self, cursor: Cursor, limit: int) -> list[Visited]:
        """The next instances behind the cursor, in order of their keys; none at the end."""
        entities: list[Entity] = []
        partition, row = cursor
        if partition:
            rest = self._storage.query(
                names.INDEX, partition, (row + "!", _INSTANCES[1]), select=METADATA_PROPERTIES, top=limit
            )
            entities = [entity async for entity in rest]
        if len(entities) < limit:
            behind = (partition + "!", None) if partition else None
            entities += [
                entity
                async for entity in self._storage.query(
                    names.INDEX, behind, _INSTANCES, select=METADATA_PROPERTIES, top=limit - len(entities)
                )
            ]
        return [visited async for visited in self._visited(entities)]

    async def of_instances(self, keys: Sequence[InstanceKey]) -> list[Visited]:
        """The instances that are there."""
        entities = []
        for key in keys:
            entity = await self._storage.get(
                names.INDEX,
                partition_key(key.partition, key.study),
                instance_row_key(key.series, key.instance),
                METADATA_PROPERTIES,
            )
            if entity is not None:
                entities.append(entity)
        return [visited async for visited in self._visited(entities)]

    async def _visited(self, entities: Sequence[Entity]) -> AsyncIterator[Visited]:
        """An instance that was replaced since, and whose metadata is gone with it, has no metadata here."""
        for entity in entities:
            found = record(key_of_entity(entity), instance_row(entity))
            try:
                metadata = await self._index.metadata(found)
            except BlobMissing:
                metadata = b"{}"
            yield Visited(found.key, found.version, metadata, entity.etag, (entity.partition, entity.row))

    async def valued(
        self, partition: str, study: str | None, series: str | None, properties: Sequence[str], where: Condition | None
    ) -> AsyncIterator[Valued]:
        """The instances of a series, a study or a data partition with those of their values that are asked for.

        Those that do not meet `where` are left out.
        """
        rows = _INSTANCES if study is None or series is None else instance_rows_of(series)
        found = self._storage.query(
            names.INDEX,
            (f"{partition}|", f"{partition}}}") if study is None else partition_key(partition, study),
            rows,
            where,
            select=("PartitionKey", "RowKey", "v", *properties),
        )
        async for entity in found:
            values = {name: str(entity.values[name]) for name in properties if name in entity.values}
            yield Valued(key_of_entity(entity), int(entity.values["v"]), values)

    async def write(self, values: Sequence[tuple[Visited, Mapping[str, str]]]) -> list[InstanceKey]:
        """Adds properties to instance rows of one study; returns the instances that have changed meanwhile."""
        changed: list[InstanceKey] = []
        left = list(values)
        while left:
            part, left = left[:MOST_ROWS], left[MOST_ROWS:]
            operations = [
                Merge(Entity(*visited.cursor, dict(properties)), visited.etag) for visited, properties in part
            ]
            try:
                if len(operations) == 1:
                    await self._storage.write(names.INDEX, operations[0])
                else:
                    await self._storage.transact(names.INDEX, list(operations))
            except TransactionRefused as refusal:
                changed.append(part.pop(refusal.index)[0].key)
                left = part + left
            except (EntityMissing, EntityChanged):
                changed.append(part[0][0].key)
        return changed
