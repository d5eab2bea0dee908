"""Workitems, the unified procedure steps of PS3.4 annex CC: their states and the attributes that the worklist knows.

Tags are eight upper-case hex digits, as in DICOM JSON (PS3.18 F.2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class StepState(Enum):
    """Procedure Step State (PS3.4 CC.1.1.1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


SOP_CLASS_UID = "00080016"
SOP_INSTANCE_UID = "00080018"
TRANSACTION_UID = "00081195"
PATIENT_NAME = "00100010"
MODIFIED = "00404010"
"""ScheduledProcedureStepModificationDateTime"""
CANCELED_AT = "00404052"
"""ProcedureStepCancellationDateTime"""
STATE = "00741000"
PROGRESS = "00741002"
"""ProcedureStepProgressInformationSequence"""
COMMUNICATIONS = "00741008"
"""ProcedureStepCommunicationsURISequence"""
CONTACT_URI = "0074100A"
CONTACT_NAME = "0074100C"
DISCONTINUATION_REASON = "0074100E"
"""ProcedureStepDiscontinuationReasonCodeSequence"""
WORKLIST_LABEL = "00741202"
PERFORMED = "00741216"
"""UnifiedProcedureStepPerformedProcedureSequence"""
REASON = "00741238"
"""ReasonForCancellation"""

UNIFIED_PROCEDURE_STEP = "1.2.840.10008.5.1.4.34.6.1"
"""SOP class Unified Procedure Step - Push (PS3.6 A)."""


@dataclass(frozen=True, slots=True)
class SearchableAttribute:
    """What searches can filter on: an attribute of the workitem, or one in the items of a sequence (UPS-60)."""

    path: tuple[str, ...]
    keyword: str
    vr: str

    @property
    def column(self) -> str:
        """What rows call it."""
        return "".join(self.path)


SEARCHABLE: Mapping[tuple[str, ...], SearchableAttribute] = {
    path: SearchableAttribute(path, keyword, vr)
    for path, keyword, vr in (
        ((PATIENT_NAME,), "PatientName", "PN"),
        (("00100020",), "PatientID", "LO"),
        (("0020000D",), "StudyInstanceUID", "UI"),
        ((STATE,), "ProcedureStepState", "CS"),
        (("00404005",), "ScheduledProcedureStepStartDateTime", "DT"),
        (("0040A370", "00080050"), "ReferencedRequestSequence.AccessionNumber", "SH"),
        (("0040A370", "00401001"), "ReferencedRequestSequence.RequestedProcedureID", "SH"),
        (("00404025", "00080100"), "ScheduledStationNameCodeSequence.CodeValue", "SH"),
        (("00404026", "00080100"), "ScheduledStationClassCodeSequence.CodeValue", "SH"),
        (("00404027", "00080100"), "ScheduledStationGeographicLocationCodeSequence.CodeValue", "SH"),
    )
}
"""By path (UPS-60)."""

DEFAULT_RESULT = frozenset(
    (
        "00080005", "00080016", "00080018", "00081080", "00081084",
        "00100010", "00100020", "00100021", "00100024", "00100030", "00100040", "00101002", "00102000", "001021C0",
        "0020000D",
        "00380010", "00380014", "00380050",
        "00404005", "00404018", "00404021", "00404025", "00404026", "00404027", "00404034", "00404041", "0040A370",
        "00741000", "00741002", "00741200", "00741202", "00741204", "00741210",
    )
)  # fmt: skip
"""What a workitem shows in a search without being asked (UPS-69)."""
