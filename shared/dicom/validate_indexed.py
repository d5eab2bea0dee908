"""What a store says of the attributes of a file by version 1 of the service (STO-160, STO-161).

Only attributes that are indexed are looked at, and any fault of one fails the file. Nothing is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from .attributes import INDEXED
from .data_set import DataSet, Raw
from .indexed_values import IndexedTag, find_tag, indexing_fault
from .required import (
    PATIENT_ID,
    REQUIRED,
    SOP_CLASS_UID,
    UIDS,
    Findings,
    check_presence,
    check_uid,
    has_several_values,
    invalid,
    long_string_fault,
    unexpected_vr,
)
from .validate import Verdict
from .value_texts import CONTROL_BUT_ESCAPE, value_texts

_INVALID_CHARACTER = "Value contains invalid character."

_INDEXED: Mapping[int, str] = {
    int(attribute.tag, 16): attribute.vr for level in INDEXED.values() for attribute in level
}
"""VRs of the attributes that are indexed besides the UIDs."""


_NUMBERS = frozenset({"FD", "FL", "SL", "SS", "UL", "US"})


def validate_indexed(data_set: DataSet, study: str | None, tags: Sequence[IndexedTag] = ()) -> Verdict:
    """Judges a data set; `study` is the UID of the path, if it has one (STO-50), `tags` are indexed, too."""
    top = {raw[0]: raw for raw in data_set.top}
    findings = Findings()
    check_presence(findings, top, study, one_patient=True)
    for tag, vr in {**dict.fromkeys(UIDS, "UI"), PATIENT_ID: "LO", **_INDEXED}.items():
        if tag in top and tag != SOP_CLASS_UID:
            _check(findings, tag, vr, top[tag])
    extended = list(_extended(data_set, top, tags))
    for tag, vr in extended:
        _check_extended(findings, tag, vr, data_set, top[tag])
    texts = (*REQUIRED, *_INDEXED, *(tag for tag, vr in extended if vr not in _NUMBERS))
    several = any(has_several_values(top[tag]) for tag in texts if tag in top)
    return Verdict(findings.failed, tuple(findings.comments.values()), frozenset(), several)


def _extended(data_set: DataSet, top: Mapping[int, Raw], tags: Sequence[IndexedTag]) -> Iterator[tuple[int, str]]:
    """Tag and expected VR of the elements that extended query tags mean, as far as they are there."""
    for each in tags:
        found = find_tag(data_set.elements, each.path, each.creator or None)
        if found is not None and int(found, 16) in top:
            yield int(found, 16), each.vr


def _check_extended(findings: Findings, tag: int, vr: str, data_set: DataSet, raw: Raw) -> None:
    """As for the other attributes; VRs that these do not have are checked as a reindex does (TAG-30)."""
    if raw[1] != vr or vr == "UI" or vr in _MINIMUM_CHECKS:
        _check(findings, tag, vr, raw)
    elif fault := indexing_fault(vr, data_set.elements[f"{tag:08X}"]):
        findings.fail(tag, invalid(tag, vr, fault))


def _check(findings: Findings, tag: int, vr: str, raw: Raw) -> None:
    """The minimum check of one attribute; of several values the first is the one that is indexed."""
    if raw[1] != vr:
        findings.fail(tag, unexpected_vr(tag, vr, raw[1]))
        return
    if vr == "UI":
        check_uid(findings, tag, raw)
        return
    value = raw[2].rstrip(b" ")
    texts = value_texts(*raw[1:])
    reason = None
    if value.endswith(b"\0"):
        # No padding here, though it is in version 2.
        reason = "Value cannot be parsed as a valid date." if vr == "DA" else _INVALID_CHARACTER
    elif texts.values and texts.values[0]:
        reason = _MINIMUM_CHECKS[vr](texts.values[0])
    if reason:
        findings.fail(tag, invalid(tag, vr, reason))


def _date(value: str) -> str | None:
    try:
        if len(value) == 8 and value.isascii() and value.isdigit():
            datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007 - a date has no time zone
            return None
    except ValueError:
        pass
    return "Value cannot be parsed as a valid date."


def _short(value: str) -> str | None:
    return "Value length exceeds maximum length of 16." if len(value) > 16 else None


def _person_name(value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > 3:
        return "Value contains more than 3 groups."
    for group in groups:
        if len(group) > 64:
            return "One or more group of person name exceeds maxium length of 64."
        if CONTROL_BUT_ESCAPE.search(group):
            return _INVALID_CHARACTER
        if group.count("^") > 4:
            return "Value contains more than 5 components."
    return None


_MINIMUM_CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "CS": _short,
    "DA": _date,
    "LO": long_string_fault,
    "PN": _person_name,
    "SH": _short,
}
"""By VR, for all VRs of `_INDEXED`."""
