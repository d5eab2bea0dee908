"""Faults that only warn: number of values, order of comments, what is left out (STO-70, STO-72 to STO-82)."""

import pytest

from shared.dicom import dictionary
from shared.dicom.instance import parse_instance
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    Encoded,
    encode,
    file_of,
    instance,
    part10,
    text,
    words,
)
from tests.unit.dicom.judging import (
    CODE,
    DATE,
    MODALITY,
    PATIENT_ID,
    STUDY,
    STUDY_DATE,
    content,
    keys,
    multiplicity,
    parse,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("element", "comment"),
    [
        (text(0x00081030, "LO", "Value1\\Value2"), multiplicity(0x00081030, "LO", "Study Description", 2, "1")),
        (text(0x00080008, "CS", "ORIGINAL"), multiplicity(0x00080008, "CS", "Image Type", 1, "2-n")),
        (text(0x00080008, "CS", "A\\B\\C\\D"), None),
        (words(0x00280010, 1, 2), multiplicity(0x00280010, "US", "Rows", 2, "1")),
        (text(0x00280030, "DS", "1\\2\\3"), multiplicity(0x00280030, "DS", "Pixel Spacing", 3, "2")),
        (text(0x00200032, "DS", "1\\2\\3"), None),
        (Encoded(0x00280009, "AT", bytes(8)), None),
        (Encoded(0x00209165, "AT", bytes(8)), multiplicity(0x00209165, "AT", "Dimension Index Pointer", 2, "1")),
        (Encoded(0x00080008, "CS", b""), None),
        (Encoded(0x00200032, "DS", b"   "), None),
        (text(0x00104000, "LT", "a\\b"), None),
        (text(0x00091001, "LO", "a\\b"), None),
        (words(0x60020050, 1), multiplicity(0x60020050, "SS", "Overlay Origin", 1, "2")),
        (text(0x00181250, "SH", "a"), None),
        (text(0x00200037, "DS", "1\\0\\0\\0\\1\\0"), None),
        (text(0x00080061, "CS", "CT\\MR"), None),
        (text(0x00720066, "LO", "a\\b\\c"), None),
    ],
)
def test_multiplicity(element: Encoded, comment: str | None) -> None:
    """STO-72: dictionary attributes with at least one value; binary numbers are counted too."""
    if element.tag == 0x60020050:
        element = words(element.tag, 1, vr="SS")
    parsed = parse(element)
    assert parsed.comments == (() if comment is None else (comment,))
    assert (f"{element.tag:08X}" in keys(parsed)) == (comment is None)


def test_content_comes_before_multiplicity() -> None:
    """STO-72: after the content rule; only the first fault of an attribute is told."""
    parsed = parse(text(STUDY_DATE, "DA", "20240101\\x"))
    assert parsed.comments == (content(STUDY_DATE, "x", "DA", DATE),)


def test_steps_of_multiplicities_are_not_looked_at() -> None:
    """STO-72"""
    assert parse(text(0x00181624, "IS", "1\\2\\3")).comments == ()
    assert dictionary.multiplicity("2-2n") == (2, float("inf"), "2-2n")
    assert dictionary.multiplicity("1-8") == (1, 8, "1-8")


def test_order_of_comments() -> None:
    """STO-74, STO-76: required, top level by tag, sequences; one comment a tag, also if it is faulty in both places."""
    nested = Encoded(0x00081140, "SQ", [[text(MODALITY, "CS", "y"), text(0x00080102, "SH", "z" * 17)]])
    parsed = parse(
        nested,
        text(0x00280004, "CS", "rgb"),
        text(STUDY_DATE, "DA", "x"),
        text(MODALITY, "CS", "ct"),
        text(STUDY, "UI", "1.02"),
        Encoded(PATIENT_ID, "LO", b""),
    )
    assert [comment[10:21] for comment in parsed.comments] == [
        "(0010,0020)", "(0020,000d)", "(0008,0020)", "(0008,0060)", "(0028,0004)", "(0008,0102)",
    ]  # fmt: skip
    assert 'Content "ct"' in parsed.comments[3]


def test_faulty_attribute_is_left_out_everywhere() -> None:
    """STO-77, STO-78: of metadata and index; the others stay."""
    parsed = parse(
        text(STUDY_DATE, "DA", "NotAValidDate"),
        text(0x00080050, "SH", "A1"),
        text(MODALITY, "CS", "ct"),
        text(0x00081090, "LO", "Model"),
        text(0x00100030, "DA", "20240231"),
        text(0x00400244, "DA", "20240229"),
    )
    assert {"00080020", "00080060"}.isdisjoint(keys(parsed))
    assert {"00080050", "00081090", "00100030", "00400244"} <= keys(parsed)
    assert parsed.study_attributes == {
        "00080050": {"vr": "SH", "Value": ["A1"]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
    }
    assert parsed.series_attributes == {
        "00081090": {"vr": "LO", "Value": ["Model"]},
        "00400244": {"vr": "DA", "Value": ["20240229"]},
    }


def test_valid_attribute_with_the_tag_of_a_faulty_nested_one_stays() -> None:
    """STO-74"""
    parsed = parse(text(MODALITY, "CS", "CT"), Encoded(0x00081140, "SQ", [[text(MODALITY, "CS", "ct")]]))
    assert parsed.comments == (content(MODALITY, "ct", "CS", CODE),)
    assert {"00080060", "00081140"} <= keys(parsed)


@pytest.mark.parametrize("value", ["", "  ", "\0\0"])
def test_empty_attributes_are_not_indexed(value: str) -> None:
    """STO-103: they never erase what is there."""
    parsed = parse(text(0x00081030, "LO", value), text(0x00100010, "PN", value), text(MODALITY, "CS", value))
    assert parsed.study_attributes.keys() == {"00100020"}
    assert parsed.series_attributes == {}


def test_searchable_attribute_of_another_vr_is_not_indexed() -> None:
    """STO-71: its value is judged by the VR in the file, but a search would read it by that of the dictionary."""
    parsed = parse(text(0x00100010, "LO", "A^B"))
    assert parsed.comments == ()
    assert parsed.study_attributes.keys() == {"00100020"}
    assert "00100010" in keys(parsed)


def test_implicit_vr_warns() -> None:
    """STO-79, STO-80: 45063 outranks 1, and the comments stay."""
    assert parse_instance(file_of(syntax=IMPLICIT), study=None).warning == 45063
    parsed = parse_instance(file_of(text(STUDY_DATE, "DA", "x"), syntax=IMPLICIT), study=None)
    assert (parsed.warning, len(parsed.comments)) == (45063, 1)


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102", "1.2.3"])
def test_every_other_syntax_is_accepted(syntax: str) -> None:
    """STO-82"""
    parsed = parse_instance(file_of(syntax=syntax), study=None)
    assert (parsed.failed, parsed.warning, parsed.transfer_syntax) == (False, None, syntax)


def test_a_clean_neighbour_has_no_warnings() -> None:
    """STO-76: nothing is remembered from one file to the next."""
    assert parse(text(STUDY_DATE, "DA", "x")).warning == 1
    assert parse(text(STUDY_DATE, "DA", "20240101")).warning is None


def test_bare_data_set_is_judged_alike() -> None:
    """STO-30"""
    parsed = parse_instance(encode(instance(text(STUDY_DATE, "DA", "x"), text(0x00081030, "LO", "y" * 60))), study=None)
    assert (parsed.failed, parsed.warning, len(parsed.comments)) == (False, 1, 1)
    assert parse_instance(part10(encode(instance())), study=None).comments == ()
