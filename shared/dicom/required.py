"""The five attributes that every instance must have, and what is asked of their values (STO-50, STO-60 to STO-66)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InvalidIdentifier
from . import dictionary
from .data_set import Raw
from .uids import is_uid
from .value_texts import CONTROL_BUT_ESCAPE, value_texts

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E

UIDS = (SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
REQUIRED = (*UIDS, PATIENT_ID)
"""In the order of the checks (STO-61)."""

OTHER_STUDY = "The StudyInstanceUid in the payload does not match the specified StudyInstanceUid."


@dataclass(slots=True)
class Findings:
    """Comments by tag, one each, in the order in which they were found; whether one of them fails the instance."""

    failed: bool = False
    comments: dict[int, str] = field(default_factory=dict)

    def fail(self, tag: int, reason: str) -> None:
        self.failed = True
        self.comments.setdefault(tag, comment(tag, reason))

    def warn(self, tag: int, reason: str) -> None:
        self.comments.setdefault(tag, comment(tag, reason))


def comment(tag: int, reason: str) -> str:
    """The text of an Error Comment (0000,0902) about an attribute."""
    return f"DICOM100: {tag_text(tag)} - {reason}"


def tag_text(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def missing(tag: int) -> str:
    return f"The required tag '{tag_text(tag)}' is missing."


def invalid(tag: int, vr: str, reason: str) -> str:
    return f"Dicom element '{keyword(tag)}' failed validation for VR '{vr}': {reason}"


def unexpected_vr(tag: int, vr: str, found: str) -> str:
    """`found` is the VR in the file."""
    expected = f"The extended query tag '{keyword(tag)}' is expected to have VR '{vr}' but has '{found}' in file."
    return invalid(tag, found, expected)


def keyword(tag: int) -> str:
    entry = dictionary.entry(tag)
    return entry[4] if entry else tag_text(tag)


def uid_text(top: Mapping[int, Raw], tag: int) -> str:
    """A UID without padding; several values, and whatever else the element holds, as they are."""
    raw = top.get(tag)
    return raw[2].decode("latin-1").rstrip(" \0") if raw else ""


def check_presence(findings: Findings, top: Mapping[int, Raw], study: str | None, *, one_patient: bool) -> None:
    """Reports the first required attribute that is missing, or that the study is another than the path's (STO-61).

    With `one_patient`, Patient ID must have exactly one value, like the UIDs.
    """
    for tag in UIDS:
        if not _has_one_value(top, tag):
            findings.fail(tag, missing(tag))
            return
    if study is not None and uid_text(top, STUDY_INSTANCE_UID) != study.rstrip(" "):
        findings.fail(STUDY_INSTANCE_UID, OTHER_STUDY)
    elif not (_has_one_value(top, PATIENT_ID) if one_patient else PATIENT_ID in top):
        findings.fail(PATIENT_ID, missing(PATIENT_ID))


def check_required(top: Mapping[int, Raw], study: str | None) -> Findings:
    """The rules of version 2 for the required attributes among the top-level elements."""
    findings = Findings()
    check_presence(findings, top, study, one_patient=False)
    for tag in REQUIRED:
        raw = top.get(tag)
        vr = "LO" if tag == PATIENT_ID else "UI"
        if raw is None:
            continue
        if raw[1] != vr:
            findings.fail(tag, unexpected_vr(tag, vr, raw[1]))
        elif tag == PATIENT_ID:
            _check_patient_id(findings, raw)
        else:
            check_uid(findings, tag, raw)
    return findings


def check_uid(findings: Findings, tag: int, raw: Raw) -> None:
    """A UID that is there must be one (STO-62). What is stricter only warns (STO-63)."""
    uid = raw[2].decode("latin-1").rstrip(" \0")
    if uid and not is_uid(uid):
        findings.fail(tag, str(InvalidIdentifier(keyword(tag))))


def long_string_fault(value: str) -> str | None:
    """What the minimum check of an LO finds (STO-65)."""
    if len(value) > 64:
        return "Value length exceeds maximum length of 64."
    return "Value contains invalid character." if CONTROL_BUT_ESCAPE.search(value) else None


def _check_patient_id(findings: Findings, raw: Raw) -> None:
    """Padding alone is as good as nothing, but only warns. Of several values the first is looked at (STO-65)."""
    values = value_texts(*raw[1:]).values
    if not values:
        findings.warn(PATIENT_ID, missing(PATIENT_ID))
    elif reason := long_string_fault(values[0]):
        findings.fail(PATIENT_ID, invalid(PATIENT_ID, "LO", reason))


def has_several_values(raw: Raw) -> bool:
    texts = value_texts(*raw[1:])
    return len(texts.values) > 1 or texts.joined


def _has_one_value(top: Mapping[int, Raw], tag: int) -> bool:
    """Of an element with a wrong VR nothing is said here: that is a fault of its own."""
    raw = top.get(tag)
    if raw is None or raw[1] != ("LO" if tag == PATIENT_ID else "UI"):
        return raw is not None
    return len(value_texts(*raw[1:]).values) == 1 and not has_several_values(raw)
