"""Reading the change feed (protocol, section 9)."""

import asyncio
from collections.abc import AsyncIterator

from ..clock import SECOND, Clock, Ticks
from ..errors import Unavailable
from . import names
from .feed_rows import feed_entry, feed_partition, feed_row, is_seal, left_in_partition, seal_entity
from .feed_tail import FeedTail, Seal
from .primitives import (
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Operation,
    Replace,
    Storage,
    Unanswered,
)
from .records import FeedEntry

MOST_UNANSWERED = 8

SHORT_WAIT: Ticks = SECOND
"""A window that closes sooner than this is waited for."""


class FeedReader:
    """Pages, windows and the last entry."""

    def __init__(self, storage: Storage, tail: FeedTail, clock: Clock) -> None:
        self._storage = storage
        self._tail = tail
        self._clock = clock

    async def page(self, start: Ticks, end: Ticks | None, offset: int, limit: int) -> list[FeedEntry]:
        """Entries with `start` <= time < `end`, the first `offset` of them skipped, at most `limit` (CHG-07, CHG-08).

        A window whose end is not after the clock is closed before it is answered, so that nothing can enter it later.
        """
        if end is not None:
            await self._close(end)
        first = 1 if start <= 0 else await self._first_at(start)
        entries: list[FeedEntry] = []
        async for entry in self.entries(first + offset):
            if len(entries) == limit or (end is not None and entry.timestamp >= end):
                break
            entries.append(entry)
            if len(entries) == limit:
                break
        return entries

    async def after(self, sequence: int, limit: int) -> list[FeedEntry]:
        """Entries with `sequence` < their own <= `sequence` + `limit` (CHG-31)."""
        entries: list[FeedEntry] = []
        async for entry in self.entries(sequence + 1):
            entries.append(entry)
            if len(entries) == limit:
                break
        return entries

    async def latest(self) -> FeedEntry | None:
        """The last entry; None while the feed is empty."""
        async with self._tail.lock:
            await self._tail.locate()
            await self._tail.read_on()
            end = self._tail.end
        return await self._entry(end) if end else None

    async def entries(self, position: int) -> AsyncIterator[FeedEntry]:
        """Entries in order, up to the first hole or seal."""
        while position < 10**18:
            expected = position
            rows = self._storage.query(
                names.CHANGE_FEED,
                feed_partition(position),
                rows=(feed_row(position), None),
                top=min(left_in_partition(position), 256),
            )
            async for entity in rows:
                if is_seal(entity) or int(entity.row) != expected:
                    return
                yield feed_entry(entity)
                expected += 1
            if expected == position:
                return
            position = expected

    async def _first_at(self, start: Ticks) -> int:
        """The first position whose time is not before `start`, by halving; behind the end if there is none."""
        async with self._tail.lock:
            await self._tail.locate()
            await self._tail.read_on()
            low, high = 0, self._tail.end + 1
        while high - low > 1:
            middle = (low + high) // 2
            entry = await self._entry(middle)
            if entry.timestamp >= start:
                high = middle
            else:
                low = middle
        return high

    async def _entry(self, position: int) -> FeedEntry:
        entity = await self._storage.get(names.CHANGE_FEED, feed_partition(position), feed_row(position))
        if entity is None or is_seal(entity):
            self._tail.forget()
            raise Unavailable("The change feed changed while it was read.")
        return feed_entry(entity)

    async def _close(self, end: Ticks) -> None:
        """Rule 29: after this no entry below `end` can appear behind those that are there."""
        ahead = end - self._clock()
        if ahead > SHORT_WAIT:
            return
        for _ in range(100):
            if (ahead := end - self._clock()) <= 0:
                break
            await asyncio.sleep(ahead / SECOND)
        async with self._tail.lock:
            tail = self._tail
            await tail.locate()
            unanswered = 0
            while True:
                await tail.read_on()
                if tail.end and tail.timestamp >= end:
                    return
                if tail.seal and tail.seal.until >= end:
                    return
                try:
                    await self._seal()
                except (EntityExists, EntityMissing, EntityChanged):
                    continue
                except Unanswered:
                    unanswered += 1
                    if unanswered >= MOST_UNANSWERED:
                        raise

    async def _seal(self) -> None:
        tail = self._tail
        until = self._clock()
        entity = seal_entity(tail.end + 1, until)
        operation: Operation = Replace(entity, tail.seal.etag) if tail.seal else Insert(entity)
        tail.seal = Seal(await self._storage.write(names.CHANGE_FEED, operation), until)
