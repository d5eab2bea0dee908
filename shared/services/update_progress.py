"""How far a bulk update has come, and the writes that say so."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..storage.operations import Operation, OperationStatus
from .operation_progress import save

if TYPE_CHECKING:
    from ..composition import Services

UPDATE = "update"

SIGN_OF_LIFE_SECONDS = 3.0
"""Between two writes while nothing else is to be told: less than what makes others think that an operation stalls."""

MOST_NAMED = 5
"""Instances that failed and are named for a study (PLT-72)."""

Phase = Literal["list", "make", "commit", "discard", "clear"]


@dataclass(frozen=True, slots=True)
class UpdateState:
    """What the next step starts from. It is kept as JSON.

    `changes` are texts by tag of eight hex digits. `index` is the study under way and `phase` where it is: at `batch`
    of `batches`, which has been `tried` if a commit may have begun. `done` counts its instances that are updated, and
    `faulty` are series and instance of those that failed. The other numbers are results (PLT-71).
    """

    partition: str
    studies: Sequence[str]
    changes: Mapping[str, str]
    index: int = 0
    phase: Phase = "list"
    batch: int = 0
    batches: int = 0
    tried: bool = False
    done: int = 0
    faulty: Sequence[Sequence[str]] = field(default_factory=list)
    updated: int = 0
    failed: int = 0
    instances: int = 0
    errors: Sequence[str] = field(default_factory=list)

    @property
    def study(self) -> str:
        """UID of the study under way."""
        return self.studies[self.index]

    def texts(self) -> dict[int, str]:
        """The changes by tag."""
        return {int(tag, 16): text for tag, text in self.changes.items()}

    def in_phase(self, phase: Phase) -> "UpdateState":
        """At the first batch of a phase."""
        return replace(self, phase=phase, batch=0, tried=False)

    def next_batch(self, then: Phase) -> "UpdateState":
        """At the next batch, or the phase behind the last one."""
        if self.batch + 1 < self.batches:
            return replace(self, batch=self.batch + 1, tried=False)
        return self.in_phase(then)

    def next_study(self) -> "UpdateState":
        """The study under way is over: counted as PLT-71 says, and its errors told as in PLT-72."""
        following = replace(
            self, index=self.index + 1, phase="list", batch=0, batches=0, tried=False, done=0, faulty=[]
        )
        if self.faulty:
            return replace(following, failed=self.failed + 1, errors=[*self.errors, *self._lines()])
        if not self.done:
            return following
        return replace(following, updated=self.updated + 1, instances=self.instances + self.done)

    def _lines(self) -> list[str]:
        lines = [f"Failed to update instances for study {self.study}"]
        lines += [
            f"Failed to update instance. PartitionKey: {self.partition}, StudyInstanceUID: {self.study}, "
            f"SeriesInstanceUID: {series}, SOPInstanceUID: {instance}"
            for series, instance in self.faulty[:MOST_NAMED]
        ]
        if len(self.faulty) > MOST_NAMED:
            lines.append(f"More than {MOST_NAMED} instances of study {self.study} failed to update.")
        return lines


class Progress:
    """The operation as this step has it. Every write raises `EntityChanged` once another step has taken over."""

    def __init__(self, services: "Services", operation: Operation) -> None:
        self._services = services
        self._writing = asyncio.Lock()
        self.operation = operation
        self.state = UpdateState(**operation.state)

    async def keep(self, state: UpdateState | None = None) -> None:
        """Writes a new state down or, without one, a sign of life."""
        async with self._writing:
            self.state = state or self.state
            percent = 100 * self.state.index // len(self.state.studies)
            await self._save(OperationStatus.RUNNING, min(99, percent))

    async def finish(self) -> None:
        """The end; with any error the operation has failed (PLT-72). The new values are kept no longer."""
        async with self._writing:
            self.state = replace(self.state, changes={})
            await self._save(OperationStatus.FAILED if self.state.errors else OperationStatus.SUCCEEDED, 100)

    async def alive(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work` with signs of life; it is broken off when one cannot be given."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([task], timeout=SIGN_OF_LIFE_SECONDS))[0]:
                await self.keep()
        except BaseException:
            task.cancel()
            await asyncio.wait([task])
            raise
        await task

    async def _save(self, status: OperationStatus, percent: int) -> None:
        operation = replace(self.operation, status=status, percent=percent, state=asdict(self.state))
        self.operation = await save(self._services, operation)
