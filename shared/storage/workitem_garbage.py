"""Removing overflowed data sets of workitems that no row names any more.

They are left by changes that succeeded, since readers may still be at the old data set, and by processes that died
between upload and change. A blob goes when no row named it at two sweeps that lie a day apart: a reader who still
found its name in a row has had that day, and a writer gives up after an hour to make it current, so that none can
still be on its way when the first of the two sweeps sees a blob that is a day old.
"""

import contextlib
from collections.abc import AsyncIterator

from ..clock import HOUR, Clock, Ticks
from . import names
from .primitives import ANY, Delete, Entity, EntityMissing, Storage, Upsert
from .workitem_rows import BLOBS, ROW, owner_of_blob, partition_key

GRACE: Ticks = 24 * HOUR

_CANDIDATES = "candidates|workitems"


class WorkitemGarbage:
    """Housekeeping of the blobs."""

    def __init__(self, storage: Storage, clock: Clock, grace: Ticks = GRACE) -> None:
        self._storage = storage
        self._clock = clock
        self._grace = grace

    async def sweep(self) -> int:
        """Removes the blobs that are due; how many."""
        candidates = await self._candidates()
        seen = set()
        removed = 0
        async for blob in self._unnamed():
            since = candidates.get(blob)
            if since is None:
                await self._remember(blob)
            elif since <= self._clock() - self._grace:
                await self._storage.delete_blob(names.OVERFLOW, blob)
                removed += 1
                continue
            seen.add(blob)
        for blob in candidates.keys() - seen:
            await self._forget(blob)
        return removed

    async def _unnamed(self) -> AsyncIterator[str]:
        """Blobs of some age that no row names now."""
        async for item in self._storage.list_blobs(names.OVERFLOW, BLOBS):
            owner = owner_of_blob(item.name)
            if owner is None or item.modified > self._clock() - self._grace:
                continue
            partition, uid, overflow = owner
            row = await self._storage.get(
                names.WORKITEMS, partition_key(partition, uid), ROW, ("PartitionKey", "overflow")
            )
            if row is None or row.values.get("overflow") != overflow:
                yield item.name

    async def _candidates(self) -> dict[str, Ticks]:
        """What was without a row at an earlier sweep, and when first."""
        rows = self._storage.query(names.HOUSEKEEPING, _CANDIDATES)
        return {entity.row.replace("|", "/"): int(entity.values["since"]) async for entity in rows}

    async def _remember(self, blob: str) -> None:
        row = Entity(_CANDIDATES, blob.replace("/", "|"), {"since": self._clock()})
        await self._storage.write(names.HOUSEKEEPING, Upsert(row))

    async def _forget(self, blob: str) -> None:
        with contextlib.suppress(EntityMissing):
            await self._storage.write(names.HOUSEKEEPING, Delete(_CANDIDATES, blob.replace("/", "|"), ANY))
