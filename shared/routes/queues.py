"""Queue triggers: whatever runs long does so in steps, each started by a message."""

import azure.functions as func

from .. import composition
from ..services import operation_steps
from ..settings import settings
from ..storage.names import OPERATIONS_QUEUE, POISON
from .audit import job_told

CONNECTION = "AzureWebJobsStorage"

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.queue_trigger(arg_name="message", queue_name=OPERATIONS_QUEUE, connection=CONNECTION)
async def operations_step(message: func.QueueMessage) -> None:
    """One step of an operation."""
    await operation_steps.carry_out(await composition.services(), message.get_body().decode(), _audit())


@blueprint.queue_trigger(arg_name="message", queue_name=OPERATIONS_QUEUE + POISON, connection=CONNECTION)
async def operations_poison(message: func.QueueMessage) -> None:
    """The end of an operation whose step failed as often as the host tries."""
    await operation_steps.give_up(await composition.services(), message.get_body().decode(), _audit())


def _audit() -> operation_steps.Audit | None:
    return job_told if settings().audit_log else None
