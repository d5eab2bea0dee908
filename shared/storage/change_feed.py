"""The change feed as one thing: where it ends, how it grows, how it is read."""

from collections.abc import Callable

from ..clock import Clock, Ticks
from .feed_append import FeedAppender, Owed
from .feed_reader import FeedReader
from .feed_tail import FeedTail
from .memory import StudyKey
from .primitives import Storage
from .records import FeedEntry
from .rows import Event


class ChangeFeed:
    """One feed for all data partitions, kept for ever (CHG-02, CHG-19).

    `on_loss` is called when storage has lost what it held.
    """

    def __init__(self, storage: Storage, clock: Clock, on_loss: Callable[[], None] = lambda: None) -> None:
        self._tail = FeedTail(storage, clock, on_loss)
        self._appender = FeedAppender(storage, self._tail, clock)
        self._reader = FeedReader(storage, self._tail, clock)

    @property
    def position(self) -> int:
        """A position known to be taken, or 0."""
        return self._tail.position

    async def freshen(self) -> None:
        """Makes sure that `position` is not one which storage has lost; costs nothing when it was used just now."""
        await self._tail.freshen()

    def forget(self) -> None:
        """After a transport error: the end is found anew before the next use."""
        self._tail.forget()

    async def contains(self, operation: str, after: int) -> bool:
        """Whether an event of the operation stands at a position after `after`."""
        async for entry in self._reader.entries(after + 1):
            if entry.id.partition(".")[0] == operation:
                return True
        return False

    async def append(self, study: StudyKey, events: tuple[Event, ...], owed: Owed) -> None:
        """Returns when every event that is `owed` is in the feed, once, whoever put it there; raises `Unanswered`
        (rule 17)."""
        await self._appender.append(study, events, owed)

    async def page(self, start: Ticks, end: Ticks | None, offset: int, limit: int) -> list[FeedEntry]:
        """At most `limit` entries with `start` <= time < `end`, the first `offset` of them skipped (CHG-07, CHG-08)."""
        return await self._reader.page(start, end, offset, limit)

    async def after(self, sequence: int, limit: int) -> list[FeedEntry]:
        """Entries with `sequence` < their own <= `sequence` + `limit` (CHG-31)."""
        return await self._reader.after(sequence, limit)

    async def latest(self) -> FeedEntry | None:
        """The last entry; None while the feed is empty."""
        return await self._reader.latest()
