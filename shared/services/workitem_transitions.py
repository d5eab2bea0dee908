"""Which state a workitem may go to, and for whom (PS3.4 table CC.1.1-2; UPS-42, UPS-43, UPS-53).

A workitem that was claimed belongs to who knows the transaction UID of the claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..dicom.workitem_attributes import StepState


class Holder(Enum):
    """Whom a workitem belongs to, as seen by a caller."""

    NOBODY = "nobody"
    CALLER = "caller"
    OTHER = "other"


class Verdict(Enum):
    """What becomes of a request to change the state."""

    CHANGE = "change"
    ALREADY = "already"
    """200 with a warning: the workitem is in that final state"""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Transition:
    """`code` is the service's number of a warning (B...) or of a refusal (C...), empty for a change."""

    verdict: Verdict
    code: str = ""


_CHANGE = ""

_TARGETS = (StepState.IN_PROGRESS, StepState.COMPLETED, StepState.CANCELED)

_TABLE: Mapping[tuple[StepState, Holder], tuple[str, str, str]] = {
    (StepState.SCHEDULED, Holder.NOBODY): (_CHANGE, "C301", "C301"),
    (StepState.IN_PROGRESS, Holder.CALLER): ("C302", _CHANGE, _CHANGE),
    (StepState.COMPLETED, Holder.CALLER): ("C300", "B306", "C300"),
    (StepState.CANCELED, Holder.CALLER): ("C300", "C300", "B304"),
    (StepState.CANCELED, Holder.NOBODY): ("C300", "C301", "C301"),
}
"""By state and holder: the code for each of the targets in progress, completed, canceled."""

_OF_ANOTHER = ("C301", "C301", "C301")


def transition(state: StepState, holder: Holder, target: StepState) -> Transition:
    """What a change of state to `target`, which is not SCHEDULED, meets."""
    code = _TABLE.get((state, holder), _OF_ANOTHER)[_TARGETS.index(target)]
    if code == _CHANGE:
        return Transition(Verdict.CHANGE)
    return Transition(Verdict.ALREADY if code.startswith("B") else Verdict.REFUSE, code)


CANCELLATION_REFUSED: Mapping[StepState, str] = {StepState.IN_PROGRESS: "C312", StepState.COMPLETED: "C311"}
"""Why a request for cancellation is refused; that of a canceled workitem is a conflict (UPS-53)."""
