"""Validation by version 1 of the service (STO-160, STO-161)."""

import pytest

from shared.dicom.instance import parse_instance
from tests.unit.dicom.encoding import (
    IMPLICIT,
    Encoded,
    file_of,
    text,
)
from tests.unit.dicom.judging import (
    IDENTIFIER,
    MODALITY,
    PATIENT_ID,
    PATIENT_MISSING,
    SERIES,
    SOP_CLASS,
    STUDY,
    STUDY_DATE,
    failed,
    keys,
    parse,
)

pytestmark = pytest.mark.unit


INVALID_CHARACTER = "Value contains invalid character."
NO_DATE = "Value cannot be parsed as a valid date."


@pytest.mark.parametrize(
    ("tag", "vr", "value", "keyword", "reason"),
    [
        (STUDY_DATE, "DA", "x", "StudyDate", NO_DATE),
        (STUDY_DATE, "DA", "20240231", "StudyDate", NO_DATE),
        (STUDY_DATE, "DA", "20240101-20240102", "StudyDate", NO_DATE),
        (STUDY_DATE, "DA", "20240101\0", "StudyDate", NO_DATE),
        (0x00080050, "SH", "x" * 17, "AccessionNumber", "Value length exceeds maximum length of 16."),
        (0x00081030, "LO", "x" * 65, "StudyDescription", "Value length exceeds maximum length of 64."),
        (0x00081030, "LO", "a\tb", "StudyDescription", INVALID_CHARACTER),
        (0x00081030, "LO", "a\0", "StudyDescription", INVALID_CHARACTER),
        (PATIENT_ID, "LO", "a\0", "PatientID", INVALID_CHARACTER),
        (MODALITY, "CS", "X" * 17, "Modality", "Value length exceeds maximum length of 16."),
        (MODALITY, "CS", "X\0", "Modality", INVALID_CHARACTER),
        (0x00100010, "PN", "A=B=C=D", "PatientName", "Value contains more than 3 groups."),
        (0x00100010, "PN", "A" * 65, "PatientName", "One or more group of person name exceeds maxium length of 64."),
        (0x00100010, "PN", "A^B^C^D^E^F", "PatientName", "Value contains more than 5 components."),
        (0x00100010, "PN", "A\tB", "PatientName", INVALID_CHARACTER),
        (SERIES, "UI", "1.2.", "SeriesInstanceUID", IDENTIFIER),
    ],
)  # fmt: skip
def test_version_1_fails_for_any_indexed_attribute(tag: int, vr: str, value: str, keyword: str, reason: str) -> None:
    """STO-160, STO-161"""
    parsed = parse(Encoded(tag, vr, value.encode()), lenient=False)
    assert parsed.failed
    assert parsed.comments == (failed(tag, keyword, vr, reason),)


def test_version_1_vr_of_indexed_attributes() -> None:
    """STO-66, STO-160"""
    parsed = parse(text(MODALITY, "SH", "CT"), lenient=False)
    assert parsed.failed
    expected = "The extended query tag 'Modality' is expected to have VR 'CS' but has 'SH' in file."
    assert parsed.comments == (failed(MODALITY, "Modality", "SH", expected),)


@pytest.mark.parametrize("value", [b"", b"  ", b"A\\B "])
def test_version_1_patient_id_needs_one_value(value: bytes) -> None:
    """STO-161"""
    parsed = parse(Encoded(PATIENT_ID, "LO", value), lenient=False)
    assert (parsed.failed, parsed.comments) == (True, (PATIENT_MISSING,))


def test_version_1_looks_at_nothing_else_and_drops_nothing() -> None:
    """STO-160, STO-161: NULs of UIDs are padding; SOP Class UID has only to be there."""
    parsed = parse(
        text(SOP_CLASS, "UI", "abc"),
        Encoded(STUDY, "UI", b"1.2\0"),
        text(0x00280004, "CS", "rgb"),
        text(0x00080030, "TM", "x"),
        text(0x00081030, "LO", "A\\B"),
        lenient=False,
    )
    assert (parsed.failed, parsed.comments, parsed.warning, parsed.multiple_values) == (False, (), None, True)
    assert {"00280004", "00080030", "00081030"} <= keys(parsed)


def test_version_1_warns_of_implicit_vr_alone() -> None:
    """STO-161"""
    parsed = parse_instance(file_of(text(0x00280004, "CS", "rgb"), syntax=IMPLICIT), study=None, lenient=False)
    assert (parsed.failed, parsed.warning, parsed.comments) == (False, 45063, ())
