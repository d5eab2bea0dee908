"""What a process knows of the end of the change feed (protocol, section 2, rule 7)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

from ..clock import SECOND, Clock, Ticks
from ..errors import Unavailable
from . import names
from .feed_rows import feed_entry, feed_partition, feed_row, is_seal, left_in_partition
from .primitives import Entity, Storage
from .records import FeedEntry
from .rows import Event

MOST_POINT_READS = 16
"""Further behind than this a range query is cheaper."""

MOST_REMEMBERED = 20_000

FRESH: Ticks = SECOND
"""For how long the end counts as known; storage that was restarted may have lost its last seconds."""

LAST = 1_000
"""Entries before the end that a process reads when it has found the end, before it appends: more than there are events
that are in the feed and still on their rows."""

UNSURE: Ticks = 10 * SECOND
"""How long after a loss was noticed others may still commit events with positions of before it: FRESH, and what a
commit takes."""


@dataclass(frozen=True, slots=True)
class Seal:
    etag: str
    until: Ticks


class FeedTail:
    """Position and time of the last entry known, and the ids of the entries just before it.

    Whoever changes it holds `lock`. `on_loss` is called when storage turns out to have lost entries: all that is
    remembered of it is worthless then.
    """

    def __init__(self, storage: Storage, clock: Clock, on_loss: Callable[[], None]) -> None:
        self._storage = storage
        self._clock = clock
        self._on_loss = on_loss
        self.lock = asyncio.Lock()
        self._found = False
        self._checked: Ticks = 0
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last_id = ""
        self.seen = 0
        self.end = 0
        self.timestamp: Ticks = 0
        self.seal: Seal | None = None
        self._remembered = True
        self._left = 0
        self._lost: Ticks = 0

    def forget(self) -> None:
        """After a transport error nothing is sure: the end is found anew before the next use."""
        self._found = False

    @property
    def position(self) -> int:
        """A position known to be taken, or 0: what an event's `after` is set to."""
        return self.end if self._found else 0

    def surely_before(self, event: Event) -> int:
        """A position that the event cannot be at or before.

        Once storage has lost entries, or another process has emptied it, positions are given out a second time: an
        event that was committed with what was known before may stand below its `after`.
        """
        return min(event.after, self._left) if event.version < self._lost + UNSURE else event.after

    def holds(self, id_: str) -> bool:
        """Whether the event is among the entries after `seen`."""
        return id_ in self._ids

    async def freshen(self) -> None:
        """Finds the end if it is not known, or not for certain any more."""
        if self._found and self._clock() - self._checked <= FRESH:
            return
        async with self.lock:
            await self.locate()

    async def locate(self) -> None:
        """The end by point reads: from the last one known, doubling, then halving. Needs the lock."""
        if self._found and self._clock() - self._checked <= FRESH:
            return
        lost = self.end > 0 and not await self._is_still_there()
        if lost:
            self._lose()
        elif self._found:
            await self.read_on()
            return
        low, step = self.end, 1
        while await self._is_entry(low + step):
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if await self._is_entry(middle):
                low = middle
            else:
                high = middle
        if low != self.end:
            last = await self._read(low)
            if last is None or is_seal(last):
                raise Unavailable("The change feed changed while it was read.")
            entry = feed_entry(last)
            self.end, self.timestamp, self._last_id = low, entry.timestamp, entry.id
            self._ids.clear()
            self.seen, self._remembered = self.end, False
        if lost:
            left = max(0, self.end - LAST)
            self._left = min(self._left, left) if self._lost else left
            self._lost = self._clock()
        self._found, self.seal = True, None
        await self.read_on()

    async def remember(self) -> None:
        """Learns the ids of the last entries, unless they are known. Needs the lock.

        What others have put into the feed while this process did not look may be among them, whatever `after` says: the
        process may have been started, or have noticed it, after storage had lost entries.
        """
        if self._remembered:
            return
        ids: OrderedDict[str, int] = OrderedDict()
        first = position = max(0, self.seen - LAST)
        while position < self.seen:
            async for entity in self._partition_from(position + 1, ("PartitionKey", "RowKey", "id")):
                if int(entity.row) <= self.seen:
                    ids[str(entity.values["id"])] = int(entity.row)
            position += left_in_partition(position + 1)
        ids.update(self._ids)
        self._ids, self.seen, self._remembered = ids, first, True

    async def read_on(self) -> None:
        """Learns every entry from `end` + 1 to the first hole or seal. Needs the lock."""
        for reads in range(1_000_000):
            here = self.end + 1
            if reads < MOST_POINT_READS:
                entity = await self._read(here)
                found = [] if entity is None else [entity]
            else:
                found = [entity async for entity in self._partition_from(here)]
            self.seal = None
            for entity in found:
                if is_seal(entity):
                    if int(entity.row) == self.end + 1:
                        self.seal = Seal(entity.etag, int(entity.values["until"]))
                    break
                if int(entity.row) != self.end + 1:
                    break
                self.learn(feed_entry(entity))
            if self.end < here or self.seal:
                break
        self._checked = self._clock()

    def learn(self, entry: FeedEntry) -> None:
        """The entry is the one behind the end."""
        self.end, self.timestamp, self.seal = entry.sequence, entry.timestamp, None
        self._ids[entry.id] = entry.sequence
        self._last_id = entry.id
        while len(self._ids) > MOST_REMEMBERED:
            _, self.seen = self._ids.popitem(last=False)

    def used(self) -> None:
        """The end was right a moment ago: storage said so."""
        self._checked = self._clock()

    async def look_for(self, wanted: Collection[str], after: int) -> set[str]:
        """Which of the ids stand at positions after `after`, up to `seen`."""
        found: set[str] = set()
        position = after + 1
        if self.seen - after <= MOST_POINT_READS:
            while position <= self.seen:
                entity = await self._read(position)
                if entity is not None and entity.values.get("id") in wanted:
                    found.add(str(entity.values["id"]))
                position += 1
            return found
        while position <= self.seen:
            async for entity in self._partition_from(position, ("PartitionKey", "RowKey", "id")):
                if int(entity.row) <= self.seen and entity.values.get("id") in wanted:
                    found.add(str(entity.values["id"]))
            position += left_in_partition(position)
        return found

    def _lose(self) -> None:
        self._found = False
        self.end = self.seen = self.timestamp = 0
        self.seal, self._remembered = None, True
        self._ids.clear()
        self._on_loss()

    async def _read(self, position: int) -> Entity | None:
        return await self._storage.get(names.CHANGE_FEED, feed_partition(position), feed_row(position))

    async def _is_still_there(self) -> bool:
        """Whether the last entry known is the one at its position: lost ones may have been followed by others."""
        entity = await self._read(self.end)
        return entity is not None and entity.values.get("id") == self._last_id

    async def _is_entry(self, position: int) -> bool:
        entity = await self._read(position)
        return entity is not None and not is_seal(entity)

    def _partition_from(self, position: int, select: tuple[str, ...] | None = None) -> AsyncIterator[Entity]:
        return self._storage.query(
            names.CHANGE_FEED, feed_partition(position), rows=(feed_row(position), None), select=select
        )
