"""The list of the newest studies comes from memory, and is what a query would find (protocol, rule 22b)."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.clock import HOUR, Ticks, wall_clock
from shared.storage import newest_studies
from shared.storage.primitives import Storage
from shared.storage.projections import Projections, Shown
from shared.storage.records import Projection
from shared.storage.rows import Mark
from tests.support.counted_reads import counted_reads

pytestmark = pytest.mark.integration

DAY = 24 * HOUR
NAME = "00100010"


@dataclass
class Writer:
    """A process that writes studies into one data partition, as marks of their rows ask for it."""

    projections: Projections
    partition: str
    lives: dict[str, Ticks] = field(default_factory=dict)

    async def show(self, study: str, version: Ticks, created: Ticks | None = None, name: str = "x") -> None:
        attributes = {NAME: {"vr": "PN", "Value": [{"Alphabetic": name}]}}
        await self._write(study, Shown(Mark("", created or version, version), attributes))

    async def end(self, study: str, created: Ticks, version: Ticks) -> None:
        await self._write(study, Shown(Mark("", created, version), None))

    async def _write(self, study: str, shown: Shown) -> None:
        await self.projections.write((self.partition, study), [shown], lambda: True)

    async def newest(self, count: int) -> list[Projection]:
        return await self.projections.newest_studies(self.partition, count)


@pytest.fixture
def writers(storage: Storage, partition: str) -> tuple[Writer, Writer]:
    return Writer(Projections(storage, wall_clock), partition), Writer(Projections(storage, wall_clock), partition)


async def queried(writer: Writer, count: int) -> list[Projection]:
    """What is there, without anything remembered."""
    rows = [row async for row in writer.projections.studies(writer.partition)]
    return rows[:count]


@pytest.mark.parametrize("seed", range(2))
async def test_the_list_is_what_is_there(writers: tuple[Writer, Writer], seed: int) -> None:
    """QRY-70: after each of 60 changes by either process both give the same lists as a query, of three lengths."""
    chance = random.Random(seed)
    lives: dict[str, Ticks] = {}
    for step in range(60):
        writer = chance.choice(writers)
        study, now = f"1.2.{chance.randrange(12)}", wall_clock() - chance.choice((0, 0, 0, 40 * DAY))
        if study not in lives:
            lives[study] = now
            await writer.show(study, now)
        elif chance.random() < 0.5:
            await writer.show(study, wall_clock(), lives[study], name=f"{step}")
        else:
            await writer.end(study, lives.pop(study), wall_clock())
        for count in (1, 4, 100):
            expected = await queried(writer, count)
            for each in writers * 3:
                assert await each.newest(count) == expected


async def test_an_unchanged_list_costs_point_reads(
    writers: tuple[Writer, Writer], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for this month, one for the month before or behind it if a clock may be there; a change costs a query."""
    writer, other = writers
    for number in range(5):
        await writer.show(f"1.2.{number}", wall_clock())
    for _ in range(2):
        first = await writer.newest(5)
    made = counted_reads(storage, monkeypatch)
    assert await writer.newest(5) == first
    assert made["query"] == 0
    assert 1 <= made["get"] <= 2
    await other.show("1.3", wall_clock())
    made.update(query=0)
    assert [each.study for each in await writer.newest(5)] == ["1.3", "1.2.4", "1.2.3", "1.2.2", "1.2.1"]
    assert made["query"] >= 1


async def test_months(storage: Storage, partition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that reach into the month before; a new month begins; studies of hosts whose clocks are hours ahead; lists
    over more months than are watched."""
    now = 1_800_000_000 * 10_000_000
    reader = Writer(Projections(storage, lambda: now), partition)
    made = Counter[str]()
    for number in range(8):
        created = now - number * 9 * DAY
        await reader.show(f"1.2.{number}", created)

    async def check() -> None:
        made.update(await reads_of(reader, storage, monkeypatch))

    for _ in range(16):
        await check()
        now += 9 * DAY
        await reader.show(f"1.3.{now}", now + 20 * HOUR)
        await check()
    assert made["from memory"] > 10
    assert made["read"] > 10
    now += 400 * DAY
    await reader.show("1.4", now)
    for _ in range(3):
        await check()


async def reads_of(reader: Writer, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Asks three times for lists of some lengths, and how they came."""
    how = Counter[str]()
    for count in (1, 3, 5, 8):
        expected = await queried(reader, count)
        for _ in range(3):
            with monkeypatch.context() as patch:
                made = counted_reads(storage, patch)
                assert await reader.newest(count) == expected
            how["read" if made["query"] else "from memory"] += 1
    return how


async def test_few_lists_are_kept(writers: tuple[Writer, Writer]) -> None:
    writer, _ = writers
    for number in range(30):
        await writer.show(f"1.2.{number}", wall_clock())
    for count in range(1, 31):
        for _ in range(2):
            assert len(await writer.newest(count)) == count
    kept: dict[Any, Any] = writer.projections._newest._kept
    assert list(kept) == [(writer.partition, count) for count in range(31 - newest_studies.MOST_KEPT, 31)]
