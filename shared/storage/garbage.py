"""Removing what nobody can reach any more (protocol, section 11). Nothing of this happens inside a request."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..clock import HOUR, Clock, Ticks
from . import names
from .change_feed import ChangeFeed
from .files import Files
from .memory import StudyKey
from .primitives import (
    ANY,
    BlobItem,
    Compare,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Operation,
    Replace,
    Storage,
    Unanswered,
    Upsert,
)
from .records import InstanceKey
from .rows import (
    FIRST_ROW,
    HEAD_PROPERTIES,
    STUDY_ROW,
    StudyRow,
    files_called,
    instance_row,
    instance_row_key,
    key_of_entity,
    key_of_file,
    partition_key,
    study_entity,
)

FILE_GRACE: Ticks = 24 * HOUR
"""How long a file outlives what named it: readers and slow stores may still be at work with it."""

ROW_KEEP: Ticks = 72 * HOUR
"""How long empty study rows and tombstones stay; nothing may stand still longer between two steps and go on."""

_POSITIONS = "positions"
_FEED_POSITION = "changefeed"
_CANDIDATES = "candidates|"


@dataclass(frozen=True, slots=True)
class Ages:
    """The ages after which things are removed."""

    file_grace: Ticks = FILE_GRACE
    row_keep: Ticks = ROW_KEEP


class GarbageCollector:
    """Housekeeping of files and rows."""

    def __init__(
        self, storage: Storage, files: Files, feed: ChangeFeed, clock: Clock, ages: Ages | None = None
    ) -> None:
        self._storage = storage
        self._files = files
        self._feed = feed
        self._clock = clock
        self._ages = ages or Ages()

    # ---------------------------------------------------------------- files that the feed calls garbage

    async def follow_feed(self) -> int:
        """Removes the files that changes older than FILE_GRACE replaced or deleted (rule 33); how many."""
        row = await self._storage.get(names.HOUSEKEEPING, _POSITIONS, _FEED_POSITION)
        position = int(row.values["position"]) if row else 0
        removed = 0
        while entries := await self._feed.after(position, 200):
            due = [entry for entry in entries if entry.timestamp <= self._clock() - self._ages.file_grace]
            for entry in due:
                for file, overflow in files_called(entry.old, entry.key):
                    await self._files.discard(file, overflow=overflow)
                    removed += 1
            if due:
                position = due[-1].sequence
                stored = Entity(_POSITIONS, _FEED_POSITION, {"position": position})
                await self._storage.write(names.HOUSEKEEPING, Upsert(stored))
            if len(due) < len(entries):
                break
        return removed

    # ---------------------------------------------------------------- files without a row

    async def sweep(self) -> int:
        """Removes files that no row named at this and at the previous sweep (rule 34); how many.

        Such files are left by processes that died between upload and commit, and by requests that ended with 503.
        """
        removed = 0
        for container in (names.DICOM, names.OVERFLOW):
            candidates = await self._candidates(container)
            orphans: set[str] = set()
            async for blob in self._without_row(container):
                orphans.add(blob)
                since = candidates.get(blob)
                if since is None:
                    await self._remember(container, blob)
                elif since <= self._clock() - self._ages.file_grace and await self._remove(container, blob):
                    removed += 1
                    orphans.discard(blob)
            for blob in candidates.keys() - orphans:
                await self._unlist(container, blob)
        return removed

    async def _candidates(self, container: str) -> dict[str, Ticks]:
        """Files found without a row before, and when first."""
        rows = self._storage.query(names.HOUSEKEEPING, _CANDIDATES + container)
        return {entity.row.replace("|", "/"): int(entity.values["since"]) async for entity in rows}

    async def _remember(self, container: str, blob: str) -> None:
        row = Entity(_CANDIDATES + container, blob.replace("/", "|"), {"since": self._clock()})
        await self._storage.write(names.HOUSEKEEPING, Upsert(row))

    async def _unlist(self, container: str, blob: str) -> None:
        with contextlib.suppress(EntityMissing):
            await self._storage.write(names.HOUSEKEEPING, Delete(_CANDIDATES + container, blob.replace("/", "|"), ANY))

    async def _without_row(self, container: str) -> AsyncIterator[str]:
        """Files older than FILE_GRACE that no row names, in order; the files of a study lie together in the list."""
        batch: list[BlobItem] = []
        study: StudyKey | None = None
        async for item in self._storage.list_blobs(container):
            key = key_of_file(item.name)
            if key is None:
                continue
            if (key.partition, key.study) != study:
                async for orphan in self._orphans(study, batch):
                    yield orphan
                study, batch = (key.partition, key.study), []
            if item.modified <= self._clock() - self._ages.file_grace:
                batch.append(item)
        async for orphan in self._orphans(study, batch):
            yield orphan

    async def _orphans(self, study: StudyKey | None, batch: list[BlobItem]) -> AsyncIterator[str]:
        if study is None or not batch:
            return
        rows = self._storage.query(
            names.INDEX, partition_key(*study), rows=(FIRST_ROW, "series|"), select=HEAD_PROPERTIES
        )
        named = {
            file
            async for entity in rows
            for file, _ in files_called(instance_row(entity).garbage, key_of_entity(entity))
        }
        for item in batch:
            if item.name not in named:
                yield item.name

    async def _remove(self, container: str, blob: str) -> bool:
        """Fences the study, so that a slow store of this very file fails at its ETag and meets its time limit."""
        key = key_of_file(blob)
        if key is None or not await self._fence(key, blob):
            return False
        await self._storage.delete_blob(container, blob)
        return True

    async def _fence(self, key: InstanceKey, blob: str) -> bool:
        """Replaces the study row by itself; False where that failed or a row names the file after all."""
        partition = partition_key(key.partition, key.study)
        study = await self._storage.get(names.INDEX, partition, STUDY_ROW)
        held = await self._storage.get(
            names.INDEX, partition, instance_row_key(key.series, key.instance), HEAD_PROPERTIES
        )
        if held is not None and blob in {file for file, _ in files_called(instance_row(held).garbage, key)}:
            return False
        operation: Operation = Insert(study_entity(partition, StudyRow()))
        if study is not None:
            operation = Replace(Entity(partition, STUDY_ROW, study.values), study.etag)
        try:
            await self._storage.write(names.INDEX, operation)
        except (EntityExists, EntityMissing, EntityChanged, Unanswered):
            return False
        return True

    # ---------------------------------------------------------------- rows

    async def remove_old_rows(self) -> int:
        """Removes study rows that have been empty, and tombstones that have lain, for ROW_KEEP (rule 35); how many."""
        removed = 0
        empty = self._storage.query(names.INDEX, rows=(STUDY_ROW, None), where=Compare("live", "eq", 0))
        async for entity in empty:
            if "dirty" not in entity.values:
                removed += await self._remove_row(names.INDEX, entity)
        tombstones = self._storage.query(
            names.STUDIES, where=Compare("shown", "eq", False), select=("PartitionKey", "RowKey", "Timestamp")
        )
        async for entity in tombstones:
            removed += await self._remove_row(names.STUDIES, entity)
        return removed

    async def _remove_row(self, table: str, entity: Entity) -> bool:
        """By the time that the service gave at its last write, not by a clock that was read before it."""
        if entity.timestamp > self._clock() - self._ages.row_keep:
            return False
        try:
            await self._storage.write(table, Delete(entity.partition, entity.row, entity.etag))
        except (EntityMissing, EntityChanged):
            return False
        return True
