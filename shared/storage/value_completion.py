"""Whether every study and series has its value rows, and giving them to those that have none yet.

A row in table `studies` says so. It is written when a walk over all rows, begun an hour after the first one, found none
without: by then no process runs any more that writes rows without them. What a walk finds it puts right, so that one
that is killed leaves less to the next. Emptying the store completes it; a process that writes no value rows takes the
row away before it writes anything.
"""

import contextlib
from collections.abc import AsyncIterator

from ..clock import HOUR, Clock, Ticks
from . import names
from .primitives import (
    ANY,
    MOST_OPERATIONS,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    Storage,
    TransactionRefused,
    Upsert,
)
from .value_rows import LAYOUT, STAMP, most_operations, properties_of, value_operations

_PARTITION = "values"
"""The partitions of studies and series have a `|` in their key."""
_ROW = "all"

GRACE: Ticks = HOUR
"""For how long processes of before may still run; a request lasts no longer (rule 5)."""

_LEVELS = ("study|", "series|")


async def is_complete(storage: Storage) -> bool:
    """Whether look-ups find everything."""
    state = await storage.get(names.STUDIES, _PARTITION, _ROW)
    return state is not None and bool(state.values["complete"])


class ValueCompletion:
    """Sees to it that they do."""

    def __init__(self, storage: Storage, clock: Clock, grace: Ticks = GRACE) -> None:
        self._storage = storage
        self._clock = clock
        self._grace = grace

    async def open(self) -> None:
        """Before the first write of a process: one that writes no value rows leaves the store incomplete."""
        if not self._storage.value_rows and await self._storage.get(names.STUDIES, _PARTITION, _ROW):
            with contextlib.suppress(EntityMissing):
                await self._storage.write(names.STUDIES, Delete(_PARTITION, _ROW, ANY))

    async def emptied(self) -> None:
        """The store has just been emptied."""
        if self._storage.value_rows:
            await self._storage.write(names.STUDIES, Upsert(_state(self._clock(), complete=True)))

    async def advance(self) -> None:
        """Walks over all rows unless the store is complete. Any number of processes may do so at once."""
        if not self._storage.value_rows:
            return
        began = self._clock()
        state = await self._storage.get(names.STUDIES, _PARTITION, _ROW)
        if state is None:
            state = _state(began, complete=False)
            with contextlib.suppress(EntityExists):  # another process begins, too: nothing is lost by letting it
                state.etag = await self._storage.write(names.STUDIES, Insert(state))
        if state.values["complete"]:
            return
        since = int(state.values["since"])
        if await self._give_all() == 0 and began >= since + self._grace and state.etag:
            with contextlib.suppress(EntityChanged, EntityMissing):  # the store was emptied, or opened by another kind
                await self._storage.write(names.STUDIES, Replace(_state(since, complete=True), state.etag))

    async def _give_all(self) -> int:
        """Gives value rows to what has none; how many rows that were."""
        given = 0
        for level in _LEVELS:
            waiting: list[Entity] = []
            async for entity in self._without(level):
                if waiting and (
                    waiting[0].partition != entity.partition
                    or (len(waiting) + 1) * most_operations(entity.row) > MOST_OPERATIONS
                ):
                    await self._give(waiting)
                    waiting = []
                waiting.append(entity)
                given += 1
            await self._give(waiting)
        return given

    async def _without(self, level: str) -> AsyncIterator[Entity]:
        """The rows that have no value rows; what is not shown needs none."""
        rows = (level, level[:-1] + "}")
        select = ("PartitionKey", "RowKey", "shown", *properties_of(level))
        async for entity in self._storage.query(names.STUDIES, rows=rows, select=select):
            if entity.values["shown"] and STAMP not in entity.values:
                yield entity

    async def _give(self, entities: list[Entity]) -> None:
        """One transaction, guarded by the rows themselves. One that changed meanwhile is left to the next walk."""
        if not entities:
            return
        operations: list[Operation] = [
            Merge(Entity(entity.partition, entity.row, {STAMP: LAYOUT}), entity.etag) for entity in entities
        ]
        for entity in entities:
            operations += value_operations(entity, {})
        try:
            await self._storage.transact(names.STUDIES, operations)
        except TransactionRefused:
            if len(entities) > 1:
                for entity in entities:
                    await self._give([entity])


def _state(since: Ticks, *, complete: bool) -> Entity:
    return Entity(_PARTITION, _ROW, {"since": since, "complete": complete})
