"""Drives the real code one storage operation at a time, on a real storage, in an order that the test chooses.

A `Process` is a set of services of its own over a gate: each operation that its code begins waits there until the test
lets it pass, loses its answer, holds it back as a request that is still under way, or kills the process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shared.clock import Ticks, wall_clock
from shared.composition import Services, assemble
from shared.settings import Settings
from shared.storage.primitives import (
    BlobItem,
    BlobSource,
    Condition,
    Delete,
    Entity,
    Operation,
    QueueMessage,
    Range,
    Storage,
    Unanswered,
)
from shared.storage.records import (
    DEFAULT_PARTITION,
    InstanceKey,
    NewInstance,
    Outcome,
    UpdatedInstance,
    UpdateOutcome,
)

T = TypeVar("T")

MOST_STEPS = 5000
SETTLE_ROUNDS = 4

_SETTINGS = Settings(local_copies_bytes=0)
"""Without local copies: they would go round the gate, and belong to a machine, not to a process that dies alone."""


@dataclass(eq=False)
class Step:
    """One operation at the gate: what it is (`transact index`, `get index study`, `put blob` ...) and how to do it."""

    what: str
    run: Callable[[], Awaitable[Any]]
    done: "asyncio.Future[Any]"

    async def let_pass(self) -> None:
        """The operation takes place and is answered."""
        try:
            result = await self.run()
        except Exception as error:
            if not self.done.done():
                self.done.set_exception(error)
        else:
            if not self.done.done():
                self.done.set_result(result)

    async def lose_answer(self) -> None:
        """The operation takes place; the process never hears of it."""
        with contextlib.suppress(Exception):
            await self.run()
        self.lose_request()

    def lose_request(self) -> None:
        """The process gets no answer. `run` may be called later: the request was under way all the time."""
        if not self.done.done():
            self.done.set_exception(Unanswered(f"no answer: {self.what}"))


class Gate:
    """A `Storage` whose operations wait for the test."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.compact = storage.compact
        self.distant = storage.distant
        self.value_rows = storage.value_rows
        self.open = True
        self.dead = False
        self.steps: list[Step] = []

    async def _step(self, what: str, run: Callable[[], Awaitable[T]]) -> T:
        if self.dead:
            await asyncio.Future()
        if self.open:
            return await run()
        step = Step(what, run, asyncio.get_running_loop().create_future())
        self.steps.append(step)
        try:
            result: T = await step.done
            return result
        finally:
            with contextlib.suppress(ValueError):
                self.steps.remove(step)

    async def prepare(self) -> None:
        await self._storage.prepare()

    async def ping(self) -> None:
        await self._storage.ping()

    async def reset(self) -> None:
        await self._storage.reset()

    async def close(self) -> None:
        """The storage belongs to the test."""

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None = None) -> Entity | None:
        return await self._step(f"get {table} {row}", lambda: self._storage.get(table, partition, row, select))

    async def write(self, table: str, operation: Operation) -> str:
        row = operation.row if isinstance(operation, Delete) else operation.entity.row
        kind = type(operation).__name__.lower()
        return await self._step(f"{kind} {table} {row}", lambda: self._storage.write(table, operation))

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        return await self._step(f"transact {table}", lambda: self._storage.transact(table, operations))

    async def query(
        self,
        table: str,
        partitions: str | Range | None = None,
        rows: Range | None = None,
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        top: int | None = None,
    ) -> AsyncIterator[Entity]:
        async def read() -> list[Entity]:
            return [entity async for entity in self._storage.query(table, partitions, rows, where, select, top)]

        for entity in await self._step(f"query {table}", read):
            yield entity

    async def put_blob(self, container: str, name: str, content: bytes | BlobSource) -> None:
        await self._step(f"put {container}", lambda: self._storage.put_blob(container, name, content))

    async def get_blob(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return await self._step(f"get {container}", lambda: self._storage.get_blob(container, name, offset, length))

    async def delete_blob(self, container: str, name: str) -> bool:
        return await self._step(f"delete {container}", lambda: self._storage.delete_blob(container, name))

    async def list_blobs(self, container: str, prefix: str = "") -> AsyncIterator[BlobItem]:
        async def read() -> list[BlobItem]:
            return [item async for item in self._storage.list_blobs(container, prefix)]

        for item in await self._step(f"list {container}", read):
            yield item

    async def copy_blob(self, container: str, source: str, target: str) -> None:
        await self._step(f"copy {container}", lambda: self._storage.copy_blob(container, source, target))

    async def send_message(self, queue: str, text: str, delay: float = 0) -> None:
        await self._storage.send_message(queue, text, delay)

    async def receive_messages(self, queue: str, count: int, visibility: float) -> list[QueueMessage]:
        return await self._storage.receive_messages(queue, count, visibility)

    async def delete_message(self, queue: str, message: QueueMessage) -> None:
        await self._storage.delete_message(queue, message)


@dataclass(eq=False)
class TestClock:
    """A clock that the test may move; it never stands still, since versions are made from it."""

    __test__ = False
    ahead: Ticks = 0
    frozen: Ticks | None = None

    def __call__(self) -> Ticks:
        return (wall_clock() if self.frozen is None else self.frozen) + self.ahead


@dataclass(eq=False)
class Process:
    """One process of the product."""

    storage: Storage
    name: str = ""
    clock: TestClock = field(default_factory=TestClock)
    tasks: "list[asyncio.Task[Any]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate(self.storage)
        self.services: Services = assemble(_SETTINGS, self.gate, self.clock)

    def begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Starts work whose operations wait at the gate from now on."""
        self.gate.open = False
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task

    async def reach(self, what: str) -> Step:
        """Lets operations pass until one that contains `what` waits at the gate."""
        for _ in range(MOST_STEPS):
            await self._arrive()
            for step in self.gate.steps:
                if what in step.what:
                    return step
            assert self.gate.steps, f"{self.name} ended without reaching {what!r}"
            step = self.gate.steps.pop(0)
            await step.let_pass()
        raise AssertionError(f"{self.name} never reached {what!r}")

    async def _arrive(self) -> None:
        """Waits until the process is at the gate, or has nothing left to do."""
        for _ in range(200):
            for _ in range(SETTLE_ROUNDS):
                await asyncio.sleep(0)
            if self.gate.steps or all(task.done() for task in self.tasks):
                return
            await asyncio.sleep(0.01)

    async def finish(self, task: "asyncio.Task[T]") -> T:
        """Opens the gate and waits for the work."""
        self.gate.open = True
        while not task.done():
            for step in [step for step in self.gate.steps if not step.done.done()]:
                await step.let_pass()
            await asyncio.wait([task], timeout=0.01)
        return task.result()

    def kill(self) -> None:
        """Nothing of the process takes place from here on."""
        self.gate.dead = True
        for task in (*self.tasks, self.services.repairs.task):
            if task is not None:
                task.cancel()
        for step in list(self.gate.steps):
            step.done.cancel()

    # ---------------------------------------------------------------- what a process is asked for

    async def upload(self, instance: str, content: bytes = b"DICM", study: str = "1.2", series: str = "1.2.3") -> str:
        key = InstanceKey(DEFAULT_PARTITION, study, series, instance)
        return await self.services.files.upload(key, content)

    async def uploaded(self, instance: str) -> NewInstance:
        """An instance whose file is there, ready for its commit."""
        return await self._new(InstanceKey(DEFAULT_PARTITION, "1.2", "1.2.3", instance), "")

    async def store(
        self,
        instance: str,
        *,
        study: str = "1.2",
        series: str = "1.2.3",
        name: str = "",
        replace: bool = False,
        expires: Ticks | None = None,
    ) -> Outcome:
        """POST, or PUT with `replace`, of an instance whose patient has this name."""
        began = self.clock()
        new = await self._new(InstanceKey(DEFAULT_PARTITION, study, series, instance), name)
        outcomes = await self.services.committer.store([new], replace=replace, expires=expires, began=began)
        return outcomes[0]

    async def _new(self, key: InstanceKey, name: str) -> NewInstance:
        file = await self.services.files.upload(key, f"{self.name} {key.instance} {name}".encode())
        attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}} if name else {}
        return NewInstance(
            key=key,
            file=file,
            size=10,
            transfer_syntax="1.2.840.10008.1.2.1",
            study_attributes=attributes,
            series_attributes={"00080060": {"vr": "CS", "Value": ["CT"]}},
            metadata=b'{"00080018":{"vr":"UI","Value":["%s"]}}' % key.instance.encode(),
        )

    async def update(self, *instances: str, name: str = "", operation: str = "") -> list[UpdateOutcome]:
        """Bulk update of instances of a study, by default all that are there, by the operation of this process or
        another: as that carries out its step, those that it has done already left out."""
        began = self.clock()
        operation = operation or self.name
        found = await self.services.index.instances(DEFAULT_PARTITION, "1.2")
        items = [
            UpdatedInstance(await self._new(each.key, name), each.file, operation)
            for each in found
            if each.operation != operation and (not instances or each.key.instance in instances)
        ]
        return await self.services.committer.update((DEFAULT_PARTITION, "1.2"), items, began=began)

    async def delete(self, instance: str | None = None, *, study: str = "1.2", series: str | None = None) -> None:
        if instance is not None and series is None:
            series = "1.2.3"
        await self.services.committer.delete(DEFAULT_PARTITION, study, series, instance)

    async def repair(self, study: str = "1.2") -> None:
        await self.services.committer.repair(DEFAULT_PARTITION, study)
