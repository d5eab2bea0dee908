"""Reading the change feed (protocol, section 9)."""

import asyncio
from collections.abc import AsyncIterator

from ..clock import SECOND, Clock, Ticks
from ..errors import Unavailable
from . import names
from .feed_rows import feed_entry, feed_partition, feed_row, is_seal, left_in_partition, seal_entity
from .feed_tail import FeedTail, Seal
from .feed_times import KnownTimes
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

NEAR = 32
"""So many entries are as quickly read with the page as the edge of the window is found among them."""

SHORT_WAIT: Ticks = SECOND
"""A window that closes sooner than this is waited for."""


class FeedReader:
    """Pages, windows and the last entry."""

    def __init__(self, storage: Storage, tail: FeedTail, clock: Clock) -> None:
        self._storage = storage
        self._tail = tail
        self._clock = clock
        self._times = KnownTimes()

    async def page(self, start: Ticks, end: Ticks | None, offset: int, limit: int) -> list[FeedEntry]:
        """Entries with `start` <= time < `end`, the first `offset` of them skipped, at most `limit` (CHG-07, CHG-08).

        A window whose end is not after the clock is closed before it is answered, so that nothing can enter it later.
        """
        last = None if end is None else await self._close(end)
        before, first = (0, 1) if start <= 0 else await self._edge(start, last, 1 if offset else NEAR)
        entries: list[FeedEntry] = []
        read: FeedEntry | None = None
        async for entry in self.entries(before + 1 + offset, first - before - 1 + limit):
            if read is None:
                self._times.note(entry.sequence, entry.timestamp)
            read = entry
            if entry.timestamp < start:
                continue
            if len(entries) == limit or (end is not None and entry.timestamp >= end):
                break
            entries.append(entry)
        for known in (*entries[-1:], read):  # where the next window begins
            if known is not None:
                self._times.note(known.sequence, known.timestamp)
        return entries

    async def after(self, sequence: int, limit: int) -> list[FeedEntry]:
        """Entries with `sequence` < their own <= `sequence` + `limit` (CHG-31)."""
        return [entry async for entry in self.entries(sequence + 1, limit)]

    async def latest(self) -> FeedEntry | None:
        """The last entry; None while the feed is empty."""
        end = await self._last()
        return await self._entry(end) if end else None

    async def entries(self, position: int, most: int | None = None) -> AsyncIterator[FeedEntry]:
        """Entries in order, up to the first hole or seal, or so many."""
        left = 10**18 if most is None else most
        while position < 10**18 and left > 0:
            expected = position
            top = min(left_in_partition(position), 256, left)
            rows = self._storage.query(
                names.CHANGE_FEED, feed_partition(position), rows=(feed_row(position), None), top=top
            )
            async for entity in rows:
                if is_seal(entity) or int(entity.row) != expected:
                    return
                yield feed_entry(entity)
                expected += 1
            if expected == position:
                return
            position, left = expected, left - (expected - position)

    async def _last(self) -> int:
        """The position of the last entry; 0 while the feed is empty."""
        async with self._tail.lock:
            await self._tail.locate()
            await self._tail.read_on()
            return self._tail.end

    async def _edge(self, start: Ticks, last: int | None, near: int) -> tuple[int, int]:
        """Two positions: up to the first all entries are before `start`, from the second on none is.

        Found between those that are remembered by halving, until they are not more than `near` apart. `last` is
        where the window ends, if that is known.
        """
        if last is None:
            last = await self._last()
        low, high = await self._remembered(start, last)
        while high - low > near:
            middle = (low + high) // 2
            entry = await self._entry(middle)
            self._times.note(middle, entry.timestamp)
            if entry.timestamp >= start:
                high = middle
            else:
                low = middle
        return low, high

    async def _remembered(self, start: Ticks, last: int) -> tuple[int, int]:
        """What `_edge` begins with. Storage may have lost entries that are remembered of it, so they are read again."""
        low, high = self._times.around(start)
        if high is not None and high > last:
            high = None
        reads = [self._stands(low, start, before=True)] if low else []
        if high is not None:
            reads.append(self._stands(high, start, before=False))
        if not all(await asyncio.gather(*reads)):
            self._times.forget()
            return 0, last + 1
        return low, max(low, last) + 1 if high is None else high

    async def _stands(self, position: int, start: Ticks, *, before: bool) -> bool:
        """Whether an entry is there, and its time before `start`, or not."""
        entity = await self._storage.get(names.CHANGE_FEED, feed_partition(position), feed_row(position))
        if entity is None or is_seal(entity):
            return False
        return (feed_entry(entity).timestamp < start) is before

    async def _entry(self, position: int) -> FeedEntry:
        entity = await self._storage.get(names.CHANGE_FEED, feed_partition(position), feed_row(position))
        if entity is None or is_seal(entity):
            self._times.forget()
            self._tail.forget()
            raise Unavailable("The change feed changed while it was read.")
        return feed_entry(entity)

    async def _close(self, end: Ticks) -> int | None:
        """Rule 29: after this no entry below `end` can appear behind those that are there, which end at the position
        returned. None: the end is too far ahead to be waited for.
        """
        ahead = end - self._clock()
        if ahead > SHORT_WAIT:
            return None
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
                    return tail.end
                if tail.seal and tail.seal.until >= end:
                    return tail.end
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
