"""Bulk update: other values of some attributes for all instances of studies (PLT-59 to PLT-81).

It runs from the queue in steps of a few seconds, study after study: its instances are written down, then new files of
all of them are made, and only then are these committed, some at a time. Each of these is followed by a write of the
operation, under the ETag of the last one: a step that is killed is taken up there, and of two that run at once one
ends. An instance row says which update made it, so that none is made twice of what an update has made already.
"""

import logging
import time
import uuid
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..dicomweb.bulk_update_request import BulkUpdate
from ..errors import Conflict
from ..storage.operations import Operation, Operations, OperationStatus
from ..storage.primitives import EntityChanged, EntityMissing
from .operation_progress import Told, nobody, resume_if_stalled, save, send, step_end
from .study_update import StudyUpdate
from .update_progress import UPDATE, Progress, UpdateState

if TYPE_CHECKING:
    from ..composition import Services

log = logging.getLogger(__name__)


class UpdateRunning(Conflict):
    """Only one update at a time is active (PLT-69)."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"There is already an active update operation with ID '{operation}'.")


async def start_update(services: "Services", partition: str, update: BulkUpdate) -> str:
    """Writes the update down and sends it on its way; returns the operation's id. Raises `UpdateRunning`."""
    operations = Operations(services.storage)
    active = await operations.active(UPDATE)
    if active is None:
        now = services.clock()
        state = UpdateState(partition, update.studies, {f"{tag:08X}": text for tag, text in update.changes.items()})
        operation = Operation(uuid.uuid4().hex, UPDATE, now, now, state=asdict(state))
        active = await operations.create_alone(operation)
        if active.id == operation.id:
            await send(services, operation)
            return operation.id
    await resume_if_stalled(services, active)
    raise UpdateRunning(active.id)


async def run_update_step(services: "Services", id_: str, told: Told = nobody) -> None:
    """One step, as the queue calls for it; sends the message for the next one."""
    operation = await Operations(services.storage).get(id_)
    if operation is None or operation.status.finished:
        return
    progress = Progress(services, operation)
    end = step_end()
    try:
        await progress.keep()  # from here on whoever was at it before cannot go on
        if operation.status is OperationStatus.NOT_STARTED:
            told(operation.status)
        while progress.state.index < len(progress.state.studies):
            await progress.alive(_advance(services, progress))
            if time.monotonic() > end:
                await send(services, operation)
                return
        await progress.finish()
        told(progress.operation.status)
    except (EntityChanged, EntityMissing):
        log.info("Another step of operation %s is under way.", id_)


async def _advance(services: "Services", progress: Progress) -> None:
    await progress.keep(await StudyUpdate(services, progress).advance())


async def active_update(services: "Services") -> Operation | None:
    """The update that is under way."""
    return await Operations(services.storage).active(UPDATE)


async def fail_update(services: "Services", id_: str, reason: str, told: Told = nobody) -> None:
    """Ends an operation that could not be carried out; what it has updated by then stays."""
    operation = await Operations(services.storage).get(id_)
    if operation is not None and not operation.status.finished:
        state = UpdateState(**operation.state)
        state = replace(state, errors=[*state.errors, reason], changes={})
        await save(services, replace(operation, status=OperationStatus.FAILED, reason=reason, state=asdict(state)))
        told(OperationStatus.FAILED)


def update_results(operation: Operation) -> dict[str, Any] | None:
    """What an update that is finished has done (PLT-70 to PLT-72)."""
    if not operation.status.finished:
        return None
    state = UpdateState(**operation.state)
    results: dict[str, Any] = {
        "studyProcessed": state.index,
        "studyUpdated": state.updated,
        "studyFailed": state.failed,
        "instanceUpdated": state.instances,
    }
    return results | {"errors": state.errors} if state.errors else results
