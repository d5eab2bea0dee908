"""Windows of the change feed, by a reader that remembers times of entries: the feed grows, storage loses some of it."""

import random
from collections.abc import Sequence

import pytest

from shared.clock import wall_clock
from shared.storage import names
from shared.storage.change_feed import ChangeFeed
from shared.storage.feed_rows import entry_entity, feed_partition, feed_row
from shared.storage.primitives import ANY, MOST_OPERATIONS, Delete, Insert, Operation, Replace, Storage
from shared.storage.records import Action, FeedEntry, InstanceKey
from tests.support.counted_reads import counted_reads

pytestmark = pytest.mark.integration

BEGIN = 1_700_000_000 * 10_000_000


def _entries(first: int, times: Sequence[int]) -> list[FeedEntry]:
    """Entries from position `first` on, so many ticks after `BEGIN`."""
    return [
        FeedEntry(
            position,
            InstanceKey("p", "1", "1.1", "1.1.1"),
            Action.CREATE,
            position,
            BEGIN + time,
            "",
            f"{time}.{position}",
        )
        for position, time in enumerate(times, first)
    ]


async def _add(storage: Storage, entries: Sequence[FeedEntry], seal: str = "") -> None:
    """As appends leave them; the first one in the place of a seal, if there is one."""
    operations: list[Operation] = [Insert(entry_entity(entry)) for entry in entries]
    if seal and operations:
        operations[0] = Replace(entry_entity(entries[0]), seal)
    for at in range(0, len(operations), MOST_OPERATIONS):
        await storage.transact(names.CHANGE_FEED, operations[at : at + MOST_OPERATIONS])


def _expected(entries: Sequence[FeedEntry], start: int, end: int | None, offset: int, limit: int) -> list[FeedEntry]:
    window = [entry for entry in entries if entry.timestamp >= start and (end is None or entry.timestamp < end)]
    return window[offset : offset + limit]


async def test_chg_07_windows_are_what_they_are_defined_to_be(storage: Storage) -> None:
    """CHG-07, CHG-08: both edges, equal times, offsets, in any order, with and without what earlier windows taught."""
    entries = _entries(1, [number // 7 * 10 for number in range(620)])
    await _add(storage, entries)
    feed = ChangeFeed(storage, wall_clock)
    chance = random.Random(620)
    times = [entry.timestamp + change for entry in entries[::7] for change in (-1, 0, 1)]
    for number in range(150):
        start, end = sorted(chance.sample(times, 2))
        window = (
            start,
            None if chance.random() < 0.2 else end,
            chance.choice((0, 0, 1, 40, 700)),
            chance.choice((1, 30, 200)),
        )
        reader = feed if number % 5 else ChangeFeed(storage, wall_clock)
        assert await reader.page(*window) == _expected(entries, *window), window


async def test_chg_17_a_consumer_meets_every_entry_once(storage: Storage) -> None:
    """CHG-17: window after window, each beginning where the last one ended, while the feed grows."""
    feed = ChangeFeed(storage, wall_clock)
    entries: list[FeedEntry] = []
    found: list[FeedEntry] = []
    start = 0
    for grown in (3, 0, 250, 40, 1, 600):
        seal = await storage.get(names.CHANGE_FEED, feed_partition(len(entries) + 1), feed_row(len(entries) + 1))
        now = wall_clock() - BEGIN
        new = _entries(len(entries) + 1, [now + number // 3 for number in range(grown)])
        await _add(storage, new, seal.etag if seal else "")
        entries += new
        end = BEGIN + now + grown // 3 + 1
        offset = 0
        while page := await feed.page(start, end, offset, 200):
            found += page
            offset += 200
        assert found == entries
        start = end


async def test_chg_07_times_of_entries_that_storage_lost(storage: Storage) -> None:
    """CHG-07, rule 28: positions were given out again, and nothing told the reader of it."""
    old = _entries(1, [number * 10 for number in range(500)])
    await _add(storage, old)
    readers = {first: ChangeFeed(storage, wall_clock) for first in (0, 2500, 4000, 4299)}
    for feed in readers.values():
        for time in range(0, 5000, 300):
            await feed.page(BEGIN + time, None, 0, 10)
    for first in range(200, 500, 100):
        await storage.transact(
            names.CHANGE_FEED,
            [
                Delete(feed_partition(entry.sequence), feed_row(entry.sequence), ANY)
                for entry in old[first : first + 100]
            ],
        )
    new = _entries(201, [4000 + number for number in range(300)])
    await _add(storage, new)
    for first, feed in readers.items():
        for time in (first, *range(0, 5000, 310), 4001, 4300):
            for offset in (0, 5):
                window = (BEGIN + time, None, offset, 10)
                assert await feed.page(*window) == _expected([*old[:200], *new], *window), (first, time)


async def test_chg_07_what_a_window_costs(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHG-07: the first window takes a point read for each doubling of the feed, less those that the page itself saves;
    the next ones a few, wherever they begin."""
    entries = _entries(1, [number * 10 for number in range(900)])
    await _add(storage, entries)
    feed = ChangeFeed(storage, wall_clock)
    await feed.freshen()
    made = counted_reads(storage, monkeypatch)
    costs = []
    for start in (300, 300, 400, 500):
        made.update(get=0, query=0)
        assert await feed.page(BEGIN + start * 10, BEGIN + start * 10 + 1000, 0, 200) == entries[start : start + 100]
        costs.append((made["get"], made["query"]))
    assert costs[0] == (6, 1)
    assert costs[1:] == [(3, 1)] * 3
