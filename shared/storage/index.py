"""Reading table `index`: what is stored (protocol, section 10). The committer is what writes it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace

from . import metadata_packing, names
from .files import Files
from .memory import StudyKey
from .newest import named
from .primitives import BlobMissing, Entity, Storage
from .recollection import BY_VERSION, Recollection
from .records import InstanceKey, InstanceRecord, SeriesRecord, StudyRecord
from .rows import (
    FIRST_ROW,
    HEAD_PROPERTIES,
    METADATA_PROPERTIES,
    OVERFLOWED_FRAMES,
    OVERFLOWED_METADATA,
    RECORD_PROPERTIES,
    STUDY_ROW,
    InstanceRow,
    SeriesRow,
    StudyRow,
    instance_row,
    instance_row_key,
    instance_rows_of,
    key_of_entity,
    original_row_key,
    original_rows_of,
    partition_key,
    record,
    series_row,
    study_row,
)

_STUDY_PROPERTIES = ("last", "created", "live", "expiry", "a", "deleting", "newest")
_INSTANCE_ROWS = (FIRST_ROW, "instance}")
_SERIES_ROWS = ("series|", None)
"""The rows of all series of a study and, behind them, its own."""

MOST_POINT_READS = 3
"""Of so many instances of one study the rows are read one by one; of more with one query."""


class Index:
    """Studies, series and instances as they stand."""

    def __init__(self, storage: Storage, files: Files, recollection: Recollection) -> None:
        self._storage = storage
        self._files = files
        self._recollection = recollection

    async def study(self, partition: str, study: str) -> StudyRecord | None:
        """The study; None if it has no instances or is being deleted."""
        row = await self._study_row(partition, study)
        return _study_record(partition, study, row) if row and not row.gone else None

    async def series(self, partition: str, study: str) -> list[SeriesRecord]:
        """The series of a study, oldest first; empty if there is no such study."""
        if self._recollection.has_series((partition, study)):
            owner = await self._study_row(partition, study)
            if owner is None:
                return []
            rows = self._recollection.series((partition, study), owner.last)
            if rows is not None:
                return _series_records(study, owner, rows)
        before = self._recollection.last((partition, study))
        found = self._storage.query(
            names.INDEX,
            partition_key(partition, study),
            rows=_SERIES_ROWS,
            select=("PartitionKey", "RowKey", *_STUDY_PROPERTIES),
        )
        entities = [entity async for entity in found]
        if not entities or entities[-1].row != STUDY_ROW:
            return []
        owner = self._seen(partition, study, entities.pop())
        rows = _series_rows(entities)
        if owner.last == before:
            self._recollection.keep((partition, study), owner.last, rows=rows)
        return _series_records(study, owner, rows)

    async def instances(
        self, partition: str, study: str, series: str | None = None, *, metadata: bool = False
    ) -> list[InstanceRecord]:
        """The instances of a study or series in order of their versions; empty if there are none. Nobody may change the
        list."""
        if self._recollection.has_instances((partition, study), series, metadata=metadata):
            owner = await self._study_row(partition, study)
            if owner is None:
                return []
            found = self._recollection.instances((partition, study), series, owner.last, metadata=metadata)
            if found is not None:
                return _shown(owner, found)
        before = self._recollection.last((partition, study))
        if series is None:
            entities = [entity async for entity in self._rows(partition, study, (FIRST_ROW, None), metadata)]
            if not entities or entities[-1].row != STUDY_ROW:
                return []
            owner = self._seen(partition, study, entities.pop())
        else:
            owner, entities = await asyncio.gather(
                self._study_row(partition, study), self._instance_rows(partition, study, series, metadata)
            )
        if owner is None:
            return []
        found = [record(key_of_entity(row), instance_row(row)) for row in entities if row.row.startswith(FIRST_ROW)]
        if owner.last == before:
            rows = _series_rows(row for row in entities if not row.row.startswith(FIRST_ROW))
            by_series: dict[str, list[InstanceRecord]] = {uid: [] for uid in rows if series is None}
            for each in found:
                by_series.setdefault(each.key.series, []).append(each)
            self._recollection.keep(
                (partition, study),
                owner.last,
                rows=rows if series is None else None,
                instances=by_series,
                metadata=metadata,
            )
        return _visible(owner, found)

    async def _instance_rows(self, partition: str, study: str, series: str, metadata: bool) -> list[Entity]:
        return [entity async for entity in self._rows(partition, study, instance_rows_of(series), metadata)]

    def _rows(self, partition: str, study: str, rows: tuple[str, str | None], metadata: bool) -> AsyncIterator[Entity]:
        select = METADATA_PROPERTIES if metadata else RECORD_PROPERTIES
        if rows[1] is None:
            select = (*select, *_STUDY_PROPERTIES)
        return self._storage.query(names.INDEX, partition_key(partition, study), rows=rows, select=select)

    async def sizes(self, partition: str, study: str) -> list[tuple[InstanceKey, int]]:
        """The instances of a study in order of their row keys, with the bytes of their files; empty without any."""
        owner = await self._study_row(partition, study)
        if owner is None:
            return []
        found = self._storage.query(
            names.INDEX, partition_key(partition, study), rows=_INSTANCE_ROWS, select=("PartitionKey", "RowKey", "n")
        )
        return [
            (key, int(entity.values["n"]))
            async for entity in found
            if not owner.hides((key := key_of_entity(entity)).series)
        ]

    async def instance(self, key: InstanceKey, *, metadata: bool = False) -> InstanceRecord | None:
        """One instance, its frame table included."""
        entity = await self._storage.get(
            names.INDEX,
            partition_key(key.partition, key.study),
            instance_row_key(key.series, key.instance),
            METADATA_PROPERTIES if metadata else RECORD_PROPERTIES,
        )
        if entity is None:
            return None
        found = record(key, instance_row(entity))
        try:
            return await self.with_frames(found)
        except BlobMissing:
            return await self._changed_meanwhile(found, metadata)

    def remembered(self, key: InstanceKey) -> InstanceRecord | None:
        """What `instance` will probably give, where that takes a while; but for a frame table that lies in a blob."""
        return self._recollection.instance(key) if self._storage.distant else None

    async def with_frames(self, found: InstanceRecord) -> InstanceRecord:
        """The record with its frame table, wherever that lies; raises `BlobMissing`.

        Records of lists have none that lies in a blob.
        """
        if found.frames or not found.overflow & OVERFLOWED_FRAMES:
            return found
        _, frames = await self._files.read_overflow(found.file)
        return replace(found, frames=frames)

    async def _changed_meanwhile(self, before: InstanceRecord, metadata: bool) -> InstanceRecord | None:
        """What is there now that a blob of `before` is gone (rule 31)."""
        versions = await self.versions([before.key])
        if versions.get(before.key) == before.version:
            raise BlobMissing(f"{before.file} is missing.")
        return await self.instance(before.key, metadata=metadata)

    async def original(self, found: InstanceRecord, *, metadata: bool = False) -> InstanceRecord | None:
        """The version that was stored of an instance that was just read (RET-110), its frame table included; itself if
        it is that. None if the instance is gone meanwhile (rule 31a)."""
        now: InstanceRecord | None = found
        while now is not None and now.original:
            entity = await self._storage.get(
                names.INDEX,
                partition_key(now.key.partition, now.key.study),
                original_row_key(now.key.series, now.key.instance),
                METADATA_PROPERTIES if metadata else RECORD_PROPERTIES,
            )
            if entity is not None and instance_row(entity).called == now.original:
                with contextlib.suppress(BlobMissing):
                    return await self.with_frames(record(now.key, instance_row(entity)))
            before, now = now, await self.instance(found.key, metadata=metadata)
            if now is not None and now.version == before.version:
                raise BlobMissing(f"What is to be known of the original of {before.file} is missing.")
        return now

    async def originals(self, records: Sequence[InstanceRecord], *, metadata: bool = False) -> list[InstanceRecord]:
        """The versions that were stored of instances of one study, which were just read, in order of their versions.

        Costs nothing where none was updated, else one query. Instances that are gone meanwhile are left out.
        """
        updated = [each for each in records if each.original]
        if len(updated) > MOST_POINT_READS:
            there = await self._original_rows(updated, metadata)
        else:
            there = {}
        stored = [each for each in records if not each.original]
        unsure: list[InstanceRecord] = []
        for each in updated:
            row = there.get(each.key)
            if row is not None and row.called == each.original:
                stored.append(record(each.key, row))
            else:
                unsure.append(each)
        read = await asyncio.gather(*(self.original(each, metadata=metadata) for each in unsure))
        return sorted([*stored, *filter(None, read)], key=lambda each: each.version)

    async def _original_rows(self, updated: Sequence[InstanceRecord], metadata: bool) -> dict[InstanceKey, InstanceRow]:
        key = updated[0].key
        series = {each.key.series for each in updated}
        rows = self._storage.query(
            names.INDEX,
            partition_key(key.partition, key.study),
            rows=original_rows_of(key.series if len(series) == 1 else None),
            select=METADATA_PROPERTIES if metadata else RECORD_PROPERTIES,
        )
        return {key_of_entity(entity): instance_row(entity) async for entity in rows}

    async def metadata(self, found: InstanceRecord) -> bytes:
        """The DICOM JSON object of an instance that was read with `metadata`.

        Raises `BlobMissing` if it was replaced or deleted meanwhile and had overflowed.
        """
        content = metadata_at_hand(found)
        if content is None:
            packed, _ = await self._files.read_overflow(found.file)
            content = metadata_packing.unpack(packed)
        return content

    async def all_instances(self, partition: str, *, metadata: bool = False) -> AsyncIterator[InstanceRecord]:
        """Every instance of a data partition, in order of study, series and instance UID; a scan of the table."""
        rows = self._storage.query(
            names.INDEX,
            partitions=(f"{partition}|", f"{partition}}}"),
            rows=(FIRST_ROW, None),
            select=(*(METADATA_PROPERTIES if metadata else RECORD_PROPERTIES), *_STUDY_PROPERTIES),
        )
        study: list[InstanceRecord] = []
        async for entity in rows:
            if entity.row == STUDY_ROW:
                owner = study_row(entity)
                for each in study:
                    if not owner.hides(each.key.series):
                        yield each
                study = []
            elif entity.row.startswith(FIRST_ROW):
                study.append(record(key_of_entity(entity), instance_row(entity)))

    async def versions(self, keys: Iterable[InstanceKey]) -> dict[InstanceKey, int]:
        """The present versions of the instances that are there (CHG-13)."""
        found = await self.current(keys, metadata=False)
        return {key: each.version for key, each in found.items()}

    async def current(self, keys: Iterable[InstanceKey], *, metadata: bool) -> dict[InstanceKey, InstanceRecord]:
        """The instances as they stand, each study's read together; what is not there is left out (rule 30)."""
        studies: dict[StudyKey, set[InstanceKey]] = {}
        for key in keys:
            studies.setdefault((key.partition, key.study), set()).add(key)
        found = await asyncio.gather(*(self._of_study(study, wanted, metadata) for study, wanted in studies.items()))
        return {each.key: each for records in found for each in records}

    async def _of_study(self, study: StudyKey, wanted: set[InstanceKey], metadata: bool) -> list[InstanceRecord]:
        """One query over the span of the rows wanted; those that a wide span hides are then read one by one."""
        recalled = await self._recalled(study, wanted, metadata)
        if recalled is not None:
            return recalled
        select = METADATA_PROPERTIES if metadata else HEAD_PROPERTIES
        left = {instance_row_key(key.series, key.instance): key for key in wanted}
        found: list[InstanceRecord] = []
        if len(left) > MOST_POINT_READS:
            first, last = min(left), max(left)
            top = 4 * len(left) + 50
            reached = first
            rows = self._storage.query(
                names.INDEX, partition_key(*study), rows=(first, last + "\x7f"), select=select, top=top
            )
            count = 0
            async for entity in rows:
                count += 1
                reached = entity.row
                if (key := left.get(entity.row)) is not None:
                    found.append(record(key, instance_row(entity)))
            left = {row: key for row, key in left.items() if count == top and row > reached}
        entities = await asyncio.gather(
            *(self._storage.get(names.INDEX, partition_key(*study), row, select) for row in left)
        )
        found += [
            record(key, instance_row(entity)) for key, entity in zip(left.values(), entities, strict=True) if entity
        ]
        return found

    async def _recalled(self, study: StudyKey, wanted: set[InstanceKey], metadata: bool) -> list[InstanceRecord] | None:
        """Some instances by one read of their study row, if that is possible and fewer than reading their rows."""
        series = {key.series for key in wanted}
        if len(wanted) < 2 or not all(
            self._recollection.has_instances(study, uid, metadata=metadata) for uid in series
        ):
            return None
        owner = await self._study_row(*study)
        if owner is None:
            return []
        found: list[InstanceRecord] = []
        for uid in series:
            of_series = self._recollection.instances(study, uid, owner.last, metadata=metadata)
            if of_series is None:
                return None
            found += [each for each in of_series if each.key in wanted]
        return found

    async def _study_row(self, partition: str, study: str) -> StudyRow | None:
        entity = await self._storage.get(names.INDEX, partition_key(partition, study), STUDY_ROW, _STUDY_PROPERTIES)
        return self._seen(partition, study, entity) if entity else None

    def _seen(self, partition: str, study: str, entity: Entity) -> StudyRow:
        row = study_row(entity)
        self._recollection.saw((partition, study), row.last)
        return row


def _study_record(partition: str, study: str, row: StudyRow) -> StudyRecord:
    newest = named(partition, study, row.newest)
    return StudyRecord(partition, study, row.created, row.last, row.live, row.attributes, row.expiry, newest)


def _series_rows(entities: Iterable[Entity]) -> dict[str, SeriesRow]:
    return {entity.row.removeprefix("series|"): series_row(entity) for entity in entities}


def _series_records(study: str, owner: StudyRow, rows: Mapping[str, SeriesRow]) -> list[SeriesRecord]:
    found = (
        SeriesRecord(study, uid, row.created, row.live, row.attributes)
        for uid, row in rows.items()
        if not owner.hides(uid)
    )
    return sorted(found, key=lambda series: series.created)


def metadata_at_hand(found: InstanceRecord) -> bytes | None:
    """The DICOM JSON object of an instance that was read with `metadata`; None if it has overflowed."""
    return None if found.overflow & OVERFLOWED_METADATA else metadata_packing.unpack(found.packed_metadata or b"")


def _visible(owner: StudyRow, records: Iterable[InstanceRecord]) -> list[InstanceRecord]:
    return _shown(owner, sorted(records, key=BY_VERSION))


def _shown(owner: StudyRow, records: list[InstanceRecord]) -> list[InstanceRecord]:
    if owner.gone or owner.deleting is not None:
        return [each for each in records if not owner.hides(each.key.series)]
    return records
