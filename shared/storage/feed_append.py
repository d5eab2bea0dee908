"""Appending to the change feed (protocol, section 5)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..clock import Clock
from . import names
from .feed_rows import entry_entity, entry_of, feed_partition, feed_row, left_in_partition
from .feed_tail import FeedTail
from .memory import StudyKey
from .primitives import (
    ANY,
    MOST_OPERATIONS,
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
    Unanswered,
)
from .rows import Event

Owed = Callable[[Event], Awaitable[bool]]
"""Whether the study row still lists the event as pending; reads it again if the last look is too long ago."""


@dataclass(frozen=True, slots=True, eq=False)
class _Owing:
    """An event on its way into the feed."""

    study: StudyKey
    event: Event
    owed: Owed


@dataclass(slots=True)
class _Waiting:
    owing: list[_Owing]
    done: asyncio.Future[None]


class FeedAppender:
    """The one appender of a process: carries all that waited in each transaction (rules 16 and 17)."""

    def __init__(self, storage: Storage, tail: FeedTail, clock: Clock) -> None:
        self._storage = storage
        self._tail = tail
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, study: StudyKey, events: tuple[Event, ...], owed: Owed) -> None:
        """Returns when every event that is `owed` is in the feed, once, whoever put it there.

        Raises `Unanswered` when a write got no answer, or storage has lost entries: whether the events are still owed
        has to be read before the next attempt. Raises `Unavailable` when storage cannot be reached.
        """
        if not events:
            return
        owing = [_Owing(study, event, owed) for event in events]
        waiting = _Waiting(owing, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await waiting.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._carry(batch)
        finally:
            self._task = None

    async def _carry(self, batch: list[_Waiting]) -> None:
        try:
            async with self._tail.lock:
                await self._append([owing for waiting in batch for owing in waiting.owing])
        except BaseException as error:
            self._tail.forget()
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_result(None)

    async def _append(self, pending: list[_Owing]) -> None:
        """Looks through all positions after the lowest `after`, then takes the one behind the end.

        An insert at `end` + 1 succeeds only if nothing is there, and everything before it was looked through: an event
        cannot be in twice, and a request that arrives late finds its place taken.
        """
        await self._tail.locate()
        await self._tail.remember()
        there = await self._already_there(pending)
        while True:
            pending = self._missing(pending, there)
            pending = [each for each in pending if await each.owed(each.event)]
            if not pending:
                return
            try:
                pending = await self._insert(pending)
            except (EntityExists, EntityChanged):
                await self._tail.read_on()
            except TransactionRefused as refusal:
                if isinstance(refusal.cause, EntityMissing):  # the guard: storage has lost what was known to be there
                    raise Unanswered("The change feed has lost entries.") from refusal
                await self._tail.read_on()

    async def _already_there(self, pending: list[_Owing]) -> set[str]:
        """Which of the events stand between the lowest `after` and the first position that is remembered."""
        lowest = min(self._tail.surely_before(each.event) for each in pending)
        if lowest >= self._tail.seen:
            return set()
        return await self._tail.look_for({each.event.id for each in pending}, lowest)

    def _missing(self, pending: list[_Owing], there: set[str]) -> list[_Owing]:
        """What is not in the feed, each event once, in order."""
        missing: dict[str, _Owing] = {}
        for each in pending:
            if each.event.id not in there and not self._tail.holds(each.event.id):
                missing.setdefault(each.event.id, each)
        return list(missing.values())

    async def _insert(self, pending: list[_Owing]) -> list[_Owing]:
        """One transaction, up to the end of the feed's partition; what is left of `pending` after it."""
        tail = self._tail
        first = tail.end + 1
        guard = self._guard()
        count = min(len(pending), left_in_partition(first), MOST_OPERATIONS - len(guard))
        timestamp = max(self._clock(), tail.timestamp, tail.seal.until if tail.seal else 0)
        entries = [
            entry_of(*each.study, each.event, first + index, timestamp) for index, each in enumerate(pending[:count])
        ]
        operations: list[Operation] = [Insert(entry_entity(entry)) for entry in entries]
        if tail.seal:
            operations[0] = Replace(entry_entity(entries[0]), tail.seal.etag)
        if guard or count > 1:
            await self._storage.transact(names.CHANGE_FEED, [*guard, *operations])
        else:
            await self._storage.write(names.CHANGE_FEED, operations[0])
        for entry in entries:
            tail.learn(entry)
        tail.used()
        return pending[count:]

    def _guard(self) -> list[Operation]:
        """An operation that changes nothing, but fails if the last entry known is not there: another process, `dev.py
        reset` for one, may have emptied the store a moment ago, and an entry behind a hole would never be read."""
        end = self._tail.end
        if not end or left_in_partition(end) == 1:
            return []
        return [Merge(Entity(feed_partition(end), feed_row(end)), ANY)]
