"""What the queue `operations` asks for: an operation's next step, or its end when that cannot be carried out."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from ..storage.operations import Operation, Operations, OperationStatus
from .bulk_update import active_update, fail_update, run_update_step
from .operation_progress import resume_if_stalled
from .reindex import REINDEX, active_reindex, fail_reindex, run_reindex_step
from .update_progress import UPDATE

if TYPE_CHECKING:
    from ..composition import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OperationKind:
    """`step` carries an operation on and sends the message for the step after it; `fail` ends it with a reason;
    `active` is the one of its kind that is under way: of each there is one at a time. `audit` is the name by which the
    audit log tells of it (PLT-46), empty if it does not."""

    step: Callable[["Services", str], Awaitable[None]]
    fail: Callable[["Services", str, str], Awaitable[None]]
    active: Callable[["Services"], Awaitable[Operation | None]]
    audit: str = ""


KINDS = {
    REINDEX: OperationKind(run_reindex_step, fail_reindex, active_reindex),
    UPDATE: OperationKind(run_update_step, fail_update, active_update, "update-study-operation"),
}
"""By the type that messages and operations carry (OPS-03)."""


Told = Callable[[str, str, OperationStatus], None]
"""Is told of the beginning and the end of an operation: its audit name, its id, and the status that it had or has."""


async def carry_out(services: "Services", message: str, told: Told | None = None) -> None:
    """One step of the operation that the message names; raises what the step raises, so that the host tries again."""
    if (named := _named(message)) is not None:
        kind, id_ = named
        await _audited(services, kind, id_, kind.step(services, id_), told)


async def give_up(services: "Services", message: str, told: Told | None = None) -> None:
    """Ends the operation of a message that failed as often as the host tries."""
    if (named := _named(message)) is not None:
        kind, id_ = named
        log.error("Operation %s failed again and again; it is given up.", id_)
        end = kind.fail(services, id_, "The operation failed repeatedly and was given up.")
        await _audited(services, kind, id_, end, told)


async def _audited(
    services: "Services", kind: OperationKind, id_: str, work: Awaitable[None], told: Told | None
) -> None:
    if told is None or not kind.audit:
        await work
        return
    operations = Operations(services.storage)
    before = await operations.get(id_)
    if before is not None and before.status is OperationStatus.NOT_STARTED:
        told(kind.audit, id_, before.status)
    await work
    after = await operations.get(id_)
    if before is not None and after is not None and after.status.finished and not before.status.finished:
        told(kind.audit, id_, after.status)


async def resume_stalled(services: "Services") -> None:
    """Carries on whatever was left lying."""
    for kind in KINDS.values():
        operation = await kind.active(services)
        if operation is not None:
            await resume_if_stalled(services, operation)


def _named(message: str) -> tuple[OperationKind, str] | None:
    """The operation and its kind; None, with a line in the log, for a message that is none of ours."""
    try:
        body = orjson.loads(message)
        return KINDS[body["type"]], str(body["operation"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        log.warning("A message of %d characters in the queue of operations names none.", len(message))
        return None
