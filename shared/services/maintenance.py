"""What the timer does: repair, expiry of studies, housekeeping."""

import logging
from typing import TYPE_CHECKING

from ..storage.repair import open_or_expired_studies
from ..storage.workitem_garbage import WorkitemGarbage
from .extended_query_tags import forget_gone_errors
from .reindex import resume_stalled

if TYPE_CHECKING:
    from ..composition import Services

log = logging.getLogger(__name__)


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
        except Exception:
            log.exception("Study %s could not be repaired; the next run tries again.", study)
    try:
        await forget_gone_errors(services)
    except Exception:
        log.exception("Errors of extended query tags could not be tidied up; the next run tries again.")
    return len(studies)


async def housekeeping(services: "Services") -> None:
    """Removes files and rows that nobody can reach any more."""
    garbage, workitems = services.garbage, WorkitemGarbage(services.storage, services.clock)
    for job in (garbage.follow_feed, garbage.sweep, garbage.remove_old_rows, workitems.sweep):
        try:
            await job()
        except Exception:
            log.exception("Housekeeping failed; the next run tries again.")


async def run(services: "Services") -> None:
    """All of it, as the timer does every hour."""
    await repair(services)
    await resume_stalled(services)
    await housekeeping(services)
