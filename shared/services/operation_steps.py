"""What the queue `operations` asks for: an operation's next step, or its end when that cannot be carried out."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

from ..storage.operations import Operation, OperationStatus
from .bulk_update import active_update, fail_update, run_update_step
from .operation_progress import Told, nobody, resume_if_stalled
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

    step: Callable[["Services", str, Told], Awaitable[None]]
    fail: Callable[["Services", str, str, Told], Awaitable[None]]
    active: Callable[["Services"], Awaitable[Operation | None]]
    audit: str = ""


KINDS = {
    REINDEX: OperationKind(run_reindex_step, fail_reindex, active_reindex),
    UPDATE: OperationKind(run_update_step, fail_update, active_update, "update-study-operation"),
}
"""By the type that messages and operations carry (OPS-03)."""

Audit = Callable[[str, str, OperationStatus], None]
"""Is told of an operation by its audit name, its id, and what `Told` is told."""


async def carry_out(services: "Services", message: str, audit: Audit | None = None) -> None:
    """One step of the operation that the message names; raises what the step raises, so that the host tries again."""
    if (named := _named(message)) is not None:
        kind, id_ = named
        await kind.step(services, id_, _told(kind, id_, audit))


async def give_up(services: "Services", message: str, audit: Audit | None = None) -> None:
    """Ends the operation of a message that failed as often as the host tries."""
    if (named := _named(message)) is not None:
        kind, id_ = named
        log.error("Operation %s failed again and again; it is given up.", id_)
        reason = "The operation failed repeatedly and was given up."
        await kind.fail(services, id_, reason, _told(kind, id_, audit))


def _told(kind: OperationKind, id_: str, audit: Audit | None) -> Told:
    return partial(audit, kind.audit, id_) if audit and kind.audit else nobody


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
