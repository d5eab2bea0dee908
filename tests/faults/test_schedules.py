"""Random schedules of several processes over one store: kills, lost answers, requests that arrive late.

Where the traces show single orders, this walks many: at each step a random process does its next storage operation.
After each schedule everything that was acknowledged must hold, and index, feed and search must tell the same story.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.errors import DicomServiceError, NotFound, Unavailable
from shared.storage.primitives import Storage
from shared.storage.records import DEFAULT_PARTITION, Action, Outcome, UpdateOutcome
from tests.faults.conftest import NewProcess
from tests.support.invariants import check_store, whole_feed
from tests.support.stepping import Process, Step

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

MOST_STEPS = 3000


@dataclass
class Actor:
    """A process and the one request that it carries out."""

    process: Process
    kind: str
    instance: str
    task: "asyncio.Task[Any]" = field(init=False)
    killed: bool = False
    checked: bool = False

    def begin(self) -> None:
        work: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "post": lambda: self.process.store(self.instance, name=self.process.name),
            "put": lambda: self.process.store(self.instance, name=self.process.name, replace=True),
            "update": lambda: self.process.update(self.instance, name=self.process.name),
            "step of an update": lambda: self.process.update(name=self.kind, operation=self.kind),
            "delete": lambda: self.process.delete(self.instance),
            "delete study": self.process.delete,
            "repair": self.process.repair,
        }
        self.task = self.process.begin(work[self.kind]())


@dataclass
class Schedule:
    """One walk: `late` are requests without an answer that are still under way."""

    chance: random.Random
    actors: list[Actor]
    reader: Process
    late: list[Step] = field(default_factory=list)
    kills: int = 1
    losses: int = 2

    async def run(self) -> None:
        for actor in self.actors:
            actor.begin()
        for _ in range(MOST_STEPS):
            for _ in range(4):
                await asyncio.sleep(0)
            for actor in self.actors:
                if actor.task.done() and not actor.killed and not actor.checked:
                    actor.checked = True
                    await self._check_answer(actor)
            waiting = [(a, step) for a in self.actors if not a.killed for step in a.process.gate.steps]
            if not waiting:
                if all(a.task.done() or a.killed for a in self.actors):
                    break
                await asyncio.sleep(0.005)
                continue
            await self._one(*self.chance.choice(waiting))
            if self.late and self.chance.random() < 0.1:
                await self._deliver(self.late.pop())
        for step in self.late:
            await self._deliver(step)

    async def _check_answer(self, actor: Actor) -> None:
        """What an answer shows is in the feed and in search (rules 13 and 14)."""
        if actor.task.exception() is not None or actor.kind == "repair":
            return
        entries = [e for e in await whole_feed(self.reader.services) if e.key.instance == actor.instance]
        if actor.kind == "update" and UpdateOutcome.UPDATED in actor.task.result():
            assert any(e.action is Action.UPDATE for e in entries)
        elif actor.kind == "delete":
            assert any(e.action is Action.DELETE for e in entries)
        elif actor.kind in {"post", "put"}:
            assert any(e.action is not Action.DELETE for e in entries)
            shown = [each async for each in self.reader.services.projections.studies(DEFAULT_PARTITION)]
            assert len(shown) <= 1
            alive = entries[-1].action is not Action.DELETE and await self._is_there(entries[-1].version)
            assert shown or not alive, "the study of a stored instance is found"

    async def _is_there(self, version: int) -> bool:
        records = await self.reader.services.index.instances(DEFAULT_PARTITION, "1.2")
        return any(each.version == version for each in records)

    async def _one(self, actor: Actor, step: Step) -> None:
        actor.process.gate.steps.remove(step)
        changes = step.what.split()[0] in {"transact", "insert", "replace"}
        luck = self.chance.random()
        if self.kills and luck < 0.03:
            self.kills -= 1
            actor.killed = True
            if changes and self.chance.random() < 0.5:
                self.late.append(step)
            actor.process.kill()
        elif self.losses and changes and luck < 0.13:
            self.losses -= 1
            if self.chance.random() < 0.5:
                await step.lose_answer()
            else:
                step.lose_request()
                if self.chance.random() < 0.7:
                    self.late.append(step)
        else:
            await step.let_pass()

    @staticmethod
    async def _deliver(step: Step) -> None:
        with contextlib.suppress(DicomServiceError):  # refused, as it should be when the world has moved on
            await step.run()


THEMES = (
    ("post", "post", "put", "delete", "delete study", "repair"),
    ("put", "put", "put", "repair"),
    ("post", "delete study"),
    ("post", "delete", "delete study"),
    ("update", "update", "put", "post", "delete", "delete study", "repair"),
    ("step of an update", "step of an update", "put", "update"),
)


async def _walk(seed: int, process: NewProcess, storage: Storage) -> None:
    chance = random.Random(seed)
    storage.value_rows = bool(seed % 2)
    await storage.reset()
    for number in range(chance.choice((0, 0, 1, 2))):
        assert await process("first").store(str(number), name="first") is Outcome.CREATED
    actors = [
        Actor(process(f"{kind} {number}"), kind, str(chance.randrange(2)))
        for number, kind in enumerate(chance.choices(chance.choice(THEMES), k=chance.choice((2, 3, 4))))
    ]
    schedule = Schedule(chance, actors, process("reader"))
    await schedule.run()
    repairer = process("repairer")
    await repairer.repair()
    if any(actor.kind == "step of an update" for actor in actors):
        await repairer.update(operation="step of an update")
        await repairer.repair()
    feed = await check_store(repairer.services, storage)
    posted = [entry.key.instance for entry in feed if entry.action is Action.CREATE]
    for actor in actors:
        if actor.killed:
            continue
        error = actor.task.exception()
        assert error is None or isinstance(error, NotFound | Unavailable), f"{actor.kind}: {error!r}"
        if actor.kind == "post" and error is None and actor.task.result() is Outcome.CREATED:
            assert actor.instance in posted
    for actor in actors:
        actor.process.kill()


async def test_schedules(size: Callable[[str], int], process: NewProcess, storage: Storage) -> None:
    """As many random schedules as the table of sizes says, each with up to one kill and two lost answers; half of them
    with value rows."""
    for seed in range(size("random schedules of several processes")):
        try:
            await asyncio.wait_for(_walk(seed, process, storage), 30)
        except Exception as error:
            raise AssertionError(f"schedule {seed}: {error!r}") from error
