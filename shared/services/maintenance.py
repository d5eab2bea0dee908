"""What the timer does: repair, expiry of studies, housekeeping."""

import asyncio
import logging
from typing import TYPE_CHECKING

from ..errors import Unavailable
from ..storage.repair import open_or_expired_studies
from ..storage.workitem_garbage import WorkitemGarbage
from .extended_query_tags import forget_gone_errors
from .operation_steps import resume_stalled

if TYPE_CHECKING:
    from ..composition import Services

log = logging.getLogger(__name__)

LONGEST_SECONDS = 60.0
"""Between two attempts at a repair."""

AFTER_LOSS_SECONDS = 3.0
"""How long writers that are under way have to finish by themselves."""


async def repair(services: "Services") -> int:
    """Completes what dead processes left open and deletes expired studies; how many studies were looked at.

    Errors of extended query tags go with what was deleted (STO-152). A failure on one study is logged and does not
    keep the others waiting (STO-123).
    """
    studies = [study async for study in open_or_expired_studies(services.storage, services.clock)]
    for partition, study in studies:
        try:
            await services.committer.repair(partition, study)
            await services.committer.expire(partition, study)
        except Exception as error:
            _tell("Study %s could not be repaired; the next run tries again.", error, study)
    try:
        await forget_gone_errors(services)
    except Exception as error:
        _tell("Errors of extended query tags could not be tidied up; the next run tries again.", error)
    return len(studies)


def _tell(message: str, error: Exception, *values: object) -> None:
    """One line where storage is away, which is nobody's fault here; with what led to it for anything else."""
    log.error(message, *values, exc_info=None if isinstance(error, Unavailable) else error)


async def housekeeping(services: "Services") -> None:
    """Removes files and rows that nobody can reach any more."""
    garbage, workitems = services.garbage, WorkitemGarbage(services.storage, services.clock)
    for job in (garbage.follow_feed, garbage.sweep, garbage.remove_old_rows, workitems.sweep):
        try:
            await job()
        except Exception as error:
            _tell("Housekeeping failed; the next run tries again.", error)


async def complete_value_rows(services: "Services") -> None:
    """Gives value rows to what was stored by processes that wrote none."""
    try:
        await services.value_completion.advance()
    except Exception as error:
        _tell("Rows by value could not be completed; the next run goes on.", error)


async def run(services: "Services") -> None:
    """All of it, as the timer does every hour."""
    await repair(services)
    await resume_stalled(services)
    await housekeeping(services)
    await complete_value_rows(services)


class Repairs:
    """Repairs in the background: at the start, and when storage turns out to have lost its last seconds, so that what
    it forgot to be finished does not wait for the timer."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self.task: asyncio.Task[None] | None = None

    def soon(self, seconds: float) -> None:
        """One repair, `seconds` from now, and again later if it fails; not a second one while one is due."""
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await repair(self._services)
                await resume_stalled(self._services)
                await complete_value_rows(self._services)
                return
            except Exception as error:
                _tell("A repair failed; it is tried again.", error)
                seconds = min(2 * max(seconds, 1), LONGEST_SECONDS)

    async def close(self) -> None:
        """Gives up what is due or under way; the next start sees to it."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
