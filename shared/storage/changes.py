"""The changes that go through the commit loop: stores, bulk updates, deletions and expiry."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..clock import Clock, Ticks
from . import names
from .attempt import (
    MOST_BYTES,
    MOST_ROWS,
    Attempt,
    Doomed,
    Held,
    Storing,
    Updating,
    delete_attempt,
    mark_attempt,
    store_attempt,
    update_attempt,
    weight_of,
)
from .commit import new_operation
from .deletion import fits_one_transaction
from .memory import StudyKey, StudyMemory, StudyView
from .partition import StudyPartition, read_partition
from .primitives import Storage
from .records import InstanceKey, Outcome, UpdateOutcome
from .rows import HEAD_PROPERTIES, instance_row, instance_row_key, partition_key, tag_values, upload_of
from .settle import WRITE_LIMIT, Settler

MOST_UPDATED = (MOST_ROWS - 1) // 2
"""Instances of one transaction of an update: each may be two rows."""


async def held(storage: Storage, key: InstanceKey) -> Held | None:
    """The instance row as it stands."""
    entity = await storage.get(
        names.INDEX,
        partition_key(key.partition, key.study),
        instance_row_key(key.series, key.instance),
        HEAD_PROPERTIES,
    )
    return Held(instance_row(entity), entity.etag) if entity else None


async def held_whole(storage: Storage, key: InstanceKey) -> Held | None:
    """The same with all that it says."""
    entity = await storage.get(
        names.INDEX, partition_key(key.partition, key.study), instance_row_key(key.series, key.instance)
    )
    return Held(replace(instance_row(entity), tag_values=tag_values(entity)), entity.etag) if entity else None


class StoreInstances:
    """A group of instances of one study, each once, that one transaction carries. Where some replace updated instances,
    whose originals go with them, it may not carry all: those that it does not are `left`."""

    def __init__(self, storage: Storage, settler: Settler, study: StudyKey, items: Sequence[Storing]) -> None:
        self.operation = new_operation()
        self.items = list(items)
        self.left: list[Storing] = []
        self._storage = storage
        self._settler = settler
        self._study = study
        self._series = frozenset(item.key.series for item in items)

    async def look(self, *, rows: bool) -> StudyView:
        if rows:
            every = self.items + self.left
            found = await asyncio.gather(*(held(self._storage, item.key) for item in every))
            for item, there in zip(every, found, strict=True):
                item.held = there
        return await self._settler.read(self._study, self._series)

    def settles_first(self, view: StudyView) -> bool:
        ends = {mark.series for mark in view.unprojected}
        if not ends or view.row is None:
            return False
        if not view.row.live and "" in ends:
            return True
        return any(uid in ends and view.series.get(uid) is None for uid in self._series)

    def overdue(self, now: Ticks) -> bool:
        return any(now - item.began > WRITE_LIMIT for item in self.items)

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        """POST of an instance that is there is refused; the rest of the group goes on."""
        self._divide([item for item in self.items + self.left if item.replace or item.held is None])
        for item in self.items:
            item.outcome = Outcome.CREATED if item.held is None else Outcome.REPLACED
        return store_attempt(self._study, view, self.items, self.operation, now, after) if self.items else None

    def _divide(self, items: list[Storing]) -> None:
        rows = 1 + len(self._series)
        fitting = 0
        for item in items:
            rows += item.held.rows if item.held else 1
            fitting += rows <= MOST_ROWS
        self.items, self.left = items[:fitting], items[fitting:]


class UpdateInstances:
    """New versions of some instances of a study, at most MOST_UPDATED: as many of them as one transaction carries."""

    def __init__(
        self, storage: Storage, settler: Settler, study: StudyKey, items: Sequence[Updating], began: Ticks
    ) -> None:
        self.operation = new_operation()
        self._storage = storage
        self._settler = settler
        self._study = study
        self._items = items
        self._began = began

    async def look(self, *, rows: bool) -> StudyView:
        if rows:
            found = await asyncio.gather(*(held_whole(self._storage, item.key) for item in self._items))
            for item, there in zip(self._items, found, strict=True):
                item.held = there
        return await self._settler.read(self._study)

    def settles_first(self, view: StudyView) -> bool:
        return False

    def overdue(self, now: Ticks) -> bool:
        return now - self._began > WRITE_LIMIT

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        """Where the row names another file than the new version was made from, it is left as it is."""
        ready: list[Updating] = []
        weight = 0
        for item in self._items:
            item.outcome = _obstacle(item) if view.row else UpdateOutcome.GONE
            if item.outcome is not None or item.held is None:
                continue
            weight += weight_of(item.row) + weight_of(item.held.row)
            if not ready or weight <= MOST_BYTES:
                item.outcome = UpdateOutcome.UPDATED
                ready.append(item)
        return update_attempt(self._study, view, ready, self.operation, now, after) if ready else None


def _obstacle(item: Updating) -> UpdateOutcome | None:
    """What keeps the new version from being written, if anything does."""
    if item.held is None:
        return UpdateOutcome.GONE
    if item.held.row.operation == item.update.operation:
        return UpdateOutcome.ALREADY
    if item.held.row.upload != upload_of(item.update.made_from):
        return UpdateOutcome.REPLACED
    return None


class DeleteInstance:
    """DELETE of one instance: from its row, then the study row."""

    def __init__(self, storage: Storage, settler: Settler, key: InstanceKey) -> None:
        self.operation = new_operation()
        self._storage = storage
        self._settler = settler
        self._key = key
        self._held: Held | None = None

    async def look(self, *, rows: bool) -> StudyView:
        if rows or self._held is None:
            self._held = await held(self._storage, self._key)
        study = (self._key.partition, self._key.study)
        return await self._settler.read(study, frozenset({self._key.series}))

    def settles_first(self, view: StudyView) -> bool:
        return False

    def overdue(self, now: Ticks) -> bool:
        return False

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        if self._held is None or view.row is None or view.series.get(self._key.series) is None:
            return None
        doomed = Doomed(self._key.series, self._key.instance, self._held)
        return delete_attempt((self._key.partition, self._key.study), view, [doomed], self.operation, now, after)


class DeleteAll:
    """DELETE of a study or of one series: from one query of its partition."""

    def __init__(self, storage: Storage, memory: StudyMemory, clock: Clock, study: StudyKey, series: str = "") -> None:
        self.operation = new_operation()
        self._storage = storage
        self._memory = memory
        self._clock = clock
        self._study = study
        self._series = series
        self._there: StudyPartition | None = None

    async def look(self, *, rows: bool) -> StudyView:
        self._there = await read_partition(self._storage, self._memory, self._clock, self._study)
        return self._there.view

    def settles_first(self, view: StudyView) -> bool:
        return False

    def overdue(self, now: Ticks) -> bool:
        return False

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        assert self._there is not None
        doomed = self._there.of_series(self._series) if self._series else self._there.instances
        if not doomed or view.row is None:
            return None
        if fits_one_transaction(doomed):
            return delete_attempt(self._study, view, doomed, self.operation, now, after)
        return mark_attempt(self._study, view, self._series, self.operation, now, after)


class Expire(DeleteAll):
    """Deletion of a study whose expiry has passed, looked at on the row that guards the transaction (rule 27)."""

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        if view.row is None or view.row.expiry is None or view.row.expiry > now:
            return None
        return super().attempt(view, now, after)
