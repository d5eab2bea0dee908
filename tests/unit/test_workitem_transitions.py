"""The transition table of workitems, cell by cell as the behaviour page has it."""

import pytest

from shared.dicom.workitem_attributes import StepState
from shared.services.workitem_transitions import CANCELLATION_REFUSED, Holder, Verdict, transition

pytestmark = pytest.mark.unit

PAGE = """
| SCHEDULED, nobody | 200 | C301 | C301 |
| IN PROGRESS, caller | C302 | 200 | 200 |
| IN PROGRESS, other | C301 | C301 | C301 |
| COMPLETED, caller | C300 | B306 | C300 |
| COMPLETED, other | C301 | C301 | C301 |
| CANCELED, caller | C300 | C300 | B304 |
| CANCELED, other | C301 | C301 | C301 |
| CANCELED, nobody | C300 | C301 | C301 |
"""
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.strip().splitlines()]
TARGETS = (StepState.IN_PROGRESS, StepState.COMPLETED, StepState.CANCELED)
CELLS = [(*row[0].split(", "), target, code) for row in ROWS for target, code in zip(TARGETS, row[1:], strict=True)]


@pytest.mark.parametrize(("state", "holder", "target", "code"), CELLS)
def test_ups_42_ups_43_transitions(state: str, holder: str, target: StepState, code: str) -> None:
    found = transition(StepState(state), Holder(holder), target)
    verdict = {"2": Verdict.CHANGE, "B": Verdict.ALREADY, "C": Verdict.REFUSE}[code[0]]
    assert (found.verdict, found.code) == (verdict, "" if code == "200" else code)


def test_ups_42_every_combination_has_a_verdict() -> None:
    """Also those that cannot come up, such as a workitem in progress that is nobody's."""
    for state in StepState:
        for holder in Holder:
            for target in TARGETS:
                found = transition(state, holder, target)
                may_change = (state, holder) in {
                    (StepState.SCHEDULED, Holder.NOBODY),
                    (StepState.IN_PROGRESS, Holder.CALLER),
                }
                assert may_change or found.verdict is not Verdict.CHANGE


def test_ups_53_refused_cancellations() -> None:
    assert dict(CANCELLATION_REFUSED) == {StepState.IN_PROGRESS: "C312", StepState.COMPLETED: "C311"}
