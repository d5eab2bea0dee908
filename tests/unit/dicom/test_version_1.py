"""Validation by version 1 of the service (STO-160, STO-161)."""

from dataclasses import dataclass

import pytest

from shared.dicom.instance import parse_instance
from tests.unit.dicom.encoding import IMPLICIT, Encoded, file_of, text, words
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


@dataclass(frozen=True)
class Tag:
    path: str
    vr: str
    creator: str = ""


AGE, TIME, ROWS, PRIVATE = 0x00101010, 0x00080030, 0x00280010, 0x12051003
TAGS = (
    Tag("00101010", "AS"),
    Tag("00080030", "TM"),
    Tag("00280010", "US"),
    Tag("00080015", "UI"),
    Tag("00400241", "AE"),
    Tag("12051003", "SH", "ACME"),
)
ACME = text(0x12050011, "LO", "ACME")


@pytest.mark.parametrize(
    ("element", "keyword", "reason"),
    [
        (text(AGE, "AS", "1Y"), "PatientAge", "Value length is not expected."),
        (text(AGE, "AS", ""), "PatientAge", "Value length is not expected."),
        (text(TIME, "TM", "x"), "StudyTime", "Value cannot be parsed as a valid Time."),
        (text(0x00400241, "AE", "X" * 17), "PerformedStationAETitle", "Value length exceeds maximum length."),
        (words(ROWS), "Rows", "Value length is not expected."),
        (text(0x12051103, "SH", "x" * 17), "(1205,1103)", "Value length exceeds maximum length of 16."),
    ],
)  # fmt: skip
def test_version_1_fails_for_extended_query_tags(element: Encoded, keyword: str, reason: str) -> None:
    """STO-160: a private one lies in the block of its creator"""
    parsed = parse(element, ACME, lenient=False, tags=TAGS)
    assert (parsed.failed, parsed.comments) == (True, (failed(element.tag, keyword, element.vr, reason),))
    for options in ({"lenient": False}, {"lenient": True, "tags": TAGS}):
        assert not parse(element, ACME, **options).failed


def test_version_1_vr_of_extended_query_tags() -> None:
    """STO-160, TAG-26: another creator's element is not meant"""
    expected = "The extended query tag 'PatientAge' is expected to have VR 'AS' but has 'SH' in file."
    parsed = parse(text(AGE, "SH", "001Y"), lenient=False, tags=TAGS)
    assert (parsed.failed, parsed.comments) == (True, (failed(AGE, "PatientAge", "SH", expected),))
    parsed = parse(text(0x00080015, "UI", "1.x"), lenient=False, tags=TAGS)
    assert (parsed.failed, len(parsed.comments)) == (True, 1)
    other = text(0x12050010, "LO", "OTHER"), text(PRIVATE, "LO", "x" * 17)
    for good in (text(AGE, "AS", "001Y"), words(ROWS, 1), text(TIME, "TM", "10"), *other):
        parsed = parse(good, ACME, lenient=False, tags=TAGS)
        assert (parsed.failed, parsed.comments, parsed.multiple_values) == (False, (), False)
    assert parse(text(TIME, "TM", "10\\11"), lenient=False, tags=TAGS).multiple_values
