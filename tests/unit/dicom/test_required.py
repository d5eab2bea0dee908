"""The required attributes of a file at store time (STO-50, STO-60 to STO-66)."""

import pytest

from tests.unit.dicom.encoding import (
    Encoded,
    text,
)
from tests.unit.dicom.judging import (
    IDENTIFIER,
    PATIENT_ID,
    PATIENT_MISSING,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    STUDY_DATE,
    content,
    failed,
    keys,
    multiplicity,
    name,
    parse,
)

pytestmark = pytest.mark.unit


def test_nothing_but_the_required_attributes() -> None:
    """STO-70: a clean instance."""
    parsed = parse()
    assert (parsed.study, parsed.series, parsed.instance) == ("1.2", "1.2.3", "1.2.3.4")
    assert (parsed.sop_class, parsed.sop_instance_echo) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
    assert (parsed.failed, parsed.comments, parsed.warning, parsed.multiple_values) == (False, (), None, False)
    assert parsed.frames == b""


@pytest.mark.parametrize("tag", [SOP_CLASS, STUDY, SERIES, SOP_INSTANCE, PATIENT_ID])
@pytest.mark.parametrize("lenient", [True, False])
def test_missing_required_attribute(tag: int, lenient: bool) -> None:
    """STO-60, STO-161"""
    parsed = parse(leave_out=(tag,), lenient=lenient)
    assert parsed.failed
    assert parsed.comments == (f"DICOM100: {name(tag)} - The required tag '{name(tag)}' is missing.",)
    assert parsed.warning is None


@pytest.mark.parametrize("tag", [SOP_CLASS, STUDY, SERIES, SOP_INSTANCE])
@pytest.mark.parametrize("value", ["", "\0\0", "  ", "1.2\\1.3", "1.2\\"])
def test_required_uid_without_exactly_one_value(tag: int, value: str) -> None:
    """STO-60"""
    parsed = parse(text(tag, "UI", value))
    assert parsed.failed
    assert parsed.comments[0].endswith("is missing.")


def test_only_the_first_shortcoming_of_presence() -> None:
    """STO-61: the value checks still run, and the other checks too."""
    parsed = parse(
        text(SERIES, "UI", "1.2."),
        text(STUDY_DATE, "DA", "x"),
        leave_out=(SOP_CLASS, SOP_INSTANCE, PATIENT_ID),
        study="9",
    )
    assert parsed.failed
    assert parsed.comments == (
        "DICOM100: (0008,0016) - The required tag '(0008,0016)' is missing.",
        failed(SERIES, "SeriesInstanceUID", "UI", IDENTIFIER),
        content(STUDY_DATE, "x", "DA", "one of the date values does not match the pattern YYYYMMDD"),
    )
    assert (parsed.sop_class, parsed.sop_instance_echo) == (None, None)


@pytest.mark.parametrize(
    ("tag", "keyword"),
    [
        (SOP_CLASS, "SOPClassUID"),
        (STUDY, "StudyInstanceUID"),
        (SERIES, "SeriesInstanceUID"),
        (SOP_INSTANCE, "SOPInstanceUID"),
    ],
)
@pytest.mark.parametrize("value", ["abc.123", "11|", "1.2.3.", "1" * 65, "1.2\0.3", "1-2"])
def test_invalid_required_uid(tag: int, keyword: str, value: str) -> None:
    """STO-62, STO-91: the bad UID is echoed."""
    parsed = parse(text(tag, "UI", value))
    assert parsed.failed
    assert parsed.comments == (failed(tag, keyword, "UI", IDENTIFIER),)
    if tag == SOP_INSTANCE:
        assert parsed.sop_instance_echo == value


def test_uid_that_is_not_ascii_is_echoed_as_latin_1() -> None:
    """STO-69"""
    parsed = parse(Encoded(SOP_INSTANCE, "UI", b"1.\xe9\xff"))
    assert parsed.sop_instance_echo == "1.éÿ"
    assert parsed.failed


@pytest.mark.parametrize(
    ("value", "reason"),
    [("1.02.3", "components must not have leading zeros"), ("1..3", "a component can not be empty")],
)
def test_strict_uid_rules_only_warn(value: str, reason: str) -> None:
    """STO-63: and the UID stays in the metadata."""
    for tag, key in ((STUDY, "0020000D"), (SERIES, "0020000E"), (SOP_INSTANCE, "00080018")):
        parsed = parse(text(tag, "UI", value))
        assert (parsed.failed, parsed.warning) == (False, 1)
        assert parsed.comments == (content(tag, value, "UI", reason),)
        assert key in keys(parsed)


@pytest.mark.parametrize("value", ["1.2.9 ", "1.2.9      ", "1.2.9\0", "1.2.9\0\0\0", "1.2.9 \0"])
def test_padding_of_uids_is_no_fault(value: str) -> None:
    """STO-47, STO-64"""
    parsed = parse(Encoded(STUDY, "UI", value.encode()), study="1.2.9")
    assert (parsed.study, parsed.failed, parsed.comments, parsed.warning) == ("1.2.9", False, (), None)


def test_other_study_than_the_path() -> None:
    """STO-50, STO-61: once for the tag; Patient ID is looked at no more."""
    parsed = parse(study="1.3", leave_out=(PATIENT_ID,))
    assert parsed.failed
    assert parsed.comments == (
        "DICOM100: (0020,000d) - The StudyInstanceUid in the payload does not match the specified StudyInstanceUid.",
    )
    assert parse(text(STUDY, "UI", "1.2."), study="1.2").comments == parsed.comments
    assert not parse(study="1.2").failed


@pytest.mark.parametrize(
    ("value", "fails", "comments", "kept"),
    [
        (b"", False, (PATIENT_MISSING,), False),
        (b"    ", False, (PATIENT_MISSING,), False),
        (b"\0\0", False, (PATIENT_MISSING,), False),
        (b"x" * 64, False, (), True),
        (b"a,b;c ", False, (), True),
        (b"123\0", False, (), True),
        (b"123 \0\0", False, (), True),
        (b"a\x1bb ", False, (), True),
        (b"x" * 65, True, (failed(PATIENT_ID, "PatientID", "LO", "Value length exceeds maximum length of 64."),), None),
        (b"a\tb ", True, (failed(PATIENT_ID, "PatientID", "LO", "Value contains invalid character."),), None),
        (b"\0ab ", True, (failed(PATIENT_ID, "PatientID", "LO", "Value contains invalid character."),), None),
        (b"A1\\B2 ", False, (multiplicity(PATIENT_ID, "LO", "Patient ID", 2, "1"),), False),
        (b"A1\\B2\0", False, (content(PATIENT_ID, "A1\\B2", "LO", "value contains invalid character"),), False),
    ],
)  # fmt: skip
def test_patient_id(value: bytes, fails: bool, comments: tuple[str, ...], kept: bool | None) -> None:
    """STO-65, STO-73, STO-81"""
    parsed = parse(Encoded(PATIENT_ID, "LO", value))
    assert (parsed.failed, parsed.comments) == (fails, comments)
    assert parsed.multiple_values == (b"\\" in value)
    if kept is not None:
        assert parsed.warning == (1 if comments else None)
        assert ("00100020" in keys(parsed)) == ("00100020" in parsed.study_attributes) == kept


@pytest.mark.parametrize(
    ("tag", "keyword", "vr"),
    [(PATIENT_ID, "PatientID", "LO"), (STUDY, "StudyInstanceUID", "UI"), (SOP_CLASS, "SOPClassUID", "UI")],
)
@pytest.mark.parametrize("found", ["SH", "OB", "UC"])
def test_required_attribute_of_another_vr(tag: int, keyword: str, vr: str, found: str) -> None:
    """STO-66"""
    parsed = parse(Encoded(tag, found, b"1.2.3 "))
    assert parsed.failed
    expected = f"The extended query tag '{keyword}' is expected to have VR '{vr}' but has '{found}' in file."
    assert parsed.comments == (failed(tag, keyword, found, expected),)


def test_required_attributes_as_un() -> None:
    """STO-68"""
    parsed = parse(Encoded(PATIENT_ID, "UN", b"P2"), Encoded(STUDY, "UN", b"1.9\0"))
    assert (parsed.failed, parsed.comments, parsed.study) == (False, (), "1.9")
    assert parsed.study_attributes["00100020"] == {"vr": "LO", "Value": ["P2"]}
