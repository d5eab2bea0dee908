"""What operations of every kind have in common: how far they have come is written down, and messages carry them on."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from ..clock import SECOND
from ..storage import names
from ..storage.operations import Operation, Operations, OperationStatus
from ..storage.primitives import EntityChanged

if TYPE_CHECKING:
    from ..composition import Services

STEP_SECONDS = 4.0
"""How long one step goes on; less than a message stays invisible to others."""

STALLED_SECONDS = 8
"""After so long without progress a message is sent again. The queue gives back that of a killed process only after
ten minutes."""


Told = Callable[[OperationStatus], None]
"""Is told when an operation begins (`NOT_STARTED`) and how it has ended, once each, by whoever brought that about."""


def nobody(status: OperationStatus) -> None:
    """For operations whose steps nobody wants to hear of."""


def step_end() -> float:
    """When a step that begins now hands over to the next one, by the monotonic clock."""
    return time.monotonic() + STEP_SECONDS


async def save(services: "Services", operation: Operation) -> Operation:
    """Writes the operation down as it stands now; raises `EntityChanged` if somebody else has done so meanwhile."""
    return await Operations(services.storage).save(replace(operation, updated=services.clock()))


async def send(services: "Services", operation: Operation, delay: float = 0) -> None:
    """Asks for the next step, `delay` seconds from now."""
    message = orjson.dumps({"operation": operation.id, "type": operation.type}).decode()
    await services.storage.send_message(names.OPERATIONS_QUEUE, message, delay)


async def resume_if_stalled(services: "Services", operation: Operation) -> None:
    """Sends the message again if nothing has been heard of an operation for long; of several callers one does."""
    idle = services.clock() - operation.updated
    if operation.status.finished or idle < STALLED_SECONDS * SECOND:
        return
    try:
        await save(services, operation)
    except EntityChanged:
        return
    await send(services, operation)
