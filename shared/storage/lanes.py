"""One lane per study: within a process the changes of a study go one after another, stores that wait in groups.

Writers of other processes meet at the ETag of the study row.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .attempt import MOST_BYTES, MOST_ROWS, Storing
from .memory import StudyKey
from .records import InstanceKey, Outcome


@dataclass(slots=True, eq=False)
class Waiting:
    """An instance that waits for its turn to be committed."""

    item: Storing
    done: asyncio.Future[Outcome]


@dataclass(slots=True, eq=False)
class Turn:
    """A change that wants the lane for itself."""

    run: Callable[[], Awaitable[None]]


Group = Callable[[StudyKey, list[Waiting]], Awaitable[None]]


class Lanes:
    """Runs what is put into the lanes; `group` commits stores, `quiet` is called when a lane has become empty."""

    def __init__(self, group: Group, quiet: Callable[[StudyKey], None]) -> None:
        self._group = group
        self._quiet = quiet
        self._lanes: dict[StudyKey, deque[Waiting | Turn]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def enter(self, study: StudyKey, *jobs: Waiting | Turn) -> None:
        """Puts jobs at the end of the study's lane."""
        lane = self._lanes.get(study)
        if lane is not None:
            lane.extend(jobs)
            return
        self._lanes[study] = deque(jobs)
        task = asyncio.create_task(self._run(study))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Waits until every lane is empty."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, study: StudyKey) -> None:
        lane = self._lanes[study]
        try:
            while lane:
                first = lane[0]
                if isinstance(first, Turn):
                    lane.popleft()
                    await first.run()
                else:
                    await self._group(study, take_group(lane))
        finally:
            del self._lanes[study]
        self._quiet(study)


def take_group(lane: deque[Waiting | Turn]) -> list[Waiting]:
    """As many of the waiting stores as one transaction carries; an instance comes once in it (rule 10)."""
    group: list[Waiting] = []
    keys: set[InstanceKey] = set()
    series: set[str] = set()
    weight = 0
    while lane:
        job = lane[0]
        if isinstance(job, Turn) or job.item.key in keys:
            break
        series.add(job.item.key.series)
        weight += job.item.weight
        if group and (1 + len(series) + len(group) + 1 > MOST_ROWS or weight > MOST_BYTES):
            break
        keys.add(job.item.key)
        group.append(job)
        lane.popleft()
    return group
