"""The worklist transactions but search: create, retrieve, update, change state, request cancellation (PS3.18 11).

What is refused raises, with the words of the service. Changes are decided on the workitem as it stands and written
under its ETag, so of several callers who claim it at once exactly one succeeds (UPS-10).
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from ..dicom.workitem_attributes import SOP_INSTANCE_UID, STATE, TRANSACTION_UID, StepState
from ..dicomweb.workitem_datasets import Dataset
from ..errors import Conflict, InvalidRequest, NotFound
from ..storage.workitem_rows import Change, Workitem
from ..storage.workitems import TooManyWriters
from . import workitem_contents as contents
from .workitem_checks import check_create, check_final, check_update, first_value, missing_tag
from .workitem_contents import off_the_loop
from .workitem_transitions import CANCELLATION_REFUSED, Holder, Verdict, transition

if TYPE_CHECKING:
    from ..composition import Services

NOT_FOUND = "The workitem instance is not found."
EXISTS = "The workitem instance already exists. Try creating using a different UID."
NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
WRONG_TRANSACTION = "Invalid TransactionUID for the specified Workitem Instance UID."
INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."
ALREADY_COMPLETED = f"{INCONSISTENT} The UPS is already COMPLETED."
ALREADY_CANCELED = "The UPS is already in the requested state of CANCELED."

TARGETS = (StepState.IN_PROGRESS, StepState.COMPLETED, StepState.CANCELED)


# ---------------------------------------------------------------- create and retrieve


async def create_workitem(services: "Services", partition: str, uid: str, sent: Dataset, size: int) -> str | None:
    """Creates the workitem; what the real service would have missed in it, None if nothing (UPS-12 to UPS-20).

    `uid` is empty if the request has none; `size` is that of its body, in bytes. Raises `InvalidRequest` and
    `Conflict`.
    """
    if not uid:
        raise missing_tag(SOP_INSTANCE_UID)
    strict = services.settings.workitem_validation == "strict"
    missing = await off_the_loop(size, lambda: check_create(sent, strict=strict))
    now = services.clock()
    content = await off_the_loop(size, lambda: contents.created(sent, uid, now))
    state = StepState.SCHEDULED.value
    if not await services.workitems.create(partition, uid, state, content, complete=missing is None):
        raise Conflict(EXISTS)
    return missing


async def retrieve_workitem(services: "Services", partition: str, uid: str) -> bytes:
    """The data set as a JSON object; raises `NotFound` (UPS-22 to UPS-24)."""
    found = await services.workitems.get_whole(partition, uid)
    if found is None:
        raise NotFound(NOT_FOUND)
    workitem, document = found
    return await off_the_loop(len(document), lambda: orjson.dumps(contents.read(document, workitem.state)))


# ---------------------------------------------------------------- update


async def update_workitem(
    services: "Services", partition: str, uid: str, transaction: str | None, sent: Dataset, size: int
) -> None:
    """Replaces the attributes that were sent (UPS-30 to UPS-36); raises `InvalidRequest` and `Conflict`."""

    async def decide(workitem: Workitem | None) -> Change:
        _check_lock(workitem, transaction)
        assert workitem is not None
        await off_the_loop(size, lambda: check_update(sent))
        document = await services.workitems.document(workitem)
        now = services.clock()
        content = await off_the_loop(size + len(document), lambda: contents.updated(document, sent, now))
        return Change(workitem.state, workitem.lock, content)

    try:
        await services.workitems.change(partition, uid, decide)
    except TooManyWriters:
        raise Conflict(INCONSISTENT) from None


def _check_lock(workitem: Workitem | None, transaction: str | None) -> None:
    """The rules of UPS-33."""
    if workitem is None:
        raise InvalidRequest(NOT_CLAIMED)
    state = StepState(workitem.state)
    if state is StepState.SCHEDULED:
        if transaction is not None:
            raise InvalidRequest(WRONG_TRANSACTION)
    elif state is StepState.IN_PROGRESS:
        if transaction is None or _holder(workitem, transaction) is not Holder.CALLER:
            raise InvalidRequest(NOT_CLAIMED)
    elif state is StepState.COMPLETED:
        raise InvalidRequest(ALREADY_COMPLETED)
    else:
        raise Conflict(f"{INCONSISTENT} {ALREADY_CANCELED}")


# ---------------------------------------------------------------- change of state


@dataclass(frozen=True, slots=True)
class StateRequest:
    """What a change of state asks for."""

    target: StepState
    transaction: str


def state_request(sent: Dataset) -> StateRequest:
    """Reads the payload; raises `InvalidRequest` (UPS-40, UPS-41)."""
    transaction = first_value(sent, TRANSACTION_UID)
    value = first_value(sent, STATE)
    for target in TARGETS:
        if value == target.value:
            return StateRequest(target, str(transaction).rstrip(" \0"))
    allowed = ", ".join(target.value for target in TARGETS)
    raise InvalidRequest(f"Expected value '(0074,1000)' to be one of the following values: [{allowed}].")


async def change_workitem_state(services: "Services", partition: str, uid: str, wanted: StateRequest) -> str | None:
    """Goes over to another state; a warning if the workitem had already got there (UPS-42 to UPS-47).

    Raises `NotFound` and `InvalidRequest`.
    """
    warning: str | None = None

    async def decide(workitem: Workitem | None) -> Change | None:
        nonlocal warning
        if workitem is None:
            raise NotFound(NOT_FOUND)
        step = transition(StepState(workitem.state), _holder(workitem, wanted.transaction), wanted.target)
        if step.verdict is Verdict.REFUSE:
            raise _no_transition(wanted.target.value, step.code)
        if step.verdict is Verdict.ALREADY:
            final = wanted.target.value
            warning = f"The workitem instance is already in the final state '{final}'. {step.code}."
            return None
        if workitem.complete and wanted.target is not StepState.IN_PROGRESS:
            document = await services.workitems.document(workitem)
            await off_the_loop(
                len(document), lambda: check_final(contents.read(document, wanted.target.value), wanted.target)
            )
        return Change(wanted.target.value, _lock(uid, wanted.transaction))

    try:
        await services.workitems.change(partition, uid, decide)
    except TooManyWriters:
        raise _no_transition(wanted.target.value, "C301") from None
    return warning


def _no_transition(target: str, code: str) -> InvalidRequest:
    return InvalidRequest(f"The workitem instance can not transition to '{target}' state: {code}.")


def _holder(workitem: Workitem, transaction: str) -> Holder:
    if not workitem.lock:
        return Holder.NOBODY
    own = hmac.compare_digest(workitem.lock, _lock(workitem.uid, transaction))
    return Holder.CALLER if own else Holder.OTHER


def _lock(uid: str, transaction: str) -> str:
    """What is kept of a transaction UID: enough to know it again, and of the same length however long it is."""
    return hashlib.sha256(f"{uid}\0{transaction}".encode()).hexdigest()


# ---------------------------------------------------------------- cancellation


async def request_cancellation(services: "Services", partition: str, uid: str, sent: Dataset, size: int) -> None:
    """Cancels a scheduled workitem (UPS-50 to UPS-54); raises `NotFound`, `InvalidRequest` and `Conflict`."""

    async def decide(workitem: Workitem | None) -> Change:
        if workitem is None:
            raise NotFound(NOT_FOUND)
        state = StepState(workitem.state)
        if state is StepState.CANCELED:
            raise Conflict(ALREADY_CANCELED)
        if state is not StepState.SCHEDULED:
            raise _no_transition("Canceled", CANCELLATION_REFUSED[state])
        document = await services.workitems.document(workitem)
        now = services.clock()
        content = await off_the_loop(size + len(document), lambda: contents.canceled(document, sent, now))
        return Change(StepState.CANCELED.value, "", content)

    try:
        await services.workitems.change(partition, uid, decide)
    except TooManyWriters:
        raise _no_transition("Canceled", CANCELLATION_REFUSED[StepState.IN_PROGRESS]) from None
