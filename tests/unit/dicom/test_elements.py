"""What the walk makes of elements, one rule at a time (RET-61 to RET-69, STO-68)."""

from struct import pack
from typing import Any

import pytest

from shared.dicom.data_set import DataSet
from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.instance import parse_instance
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    Encoded,
    encode,
    file_of,
    fragments,
    header,
    instance,
    part10,
    text,
    words,
)

pytestmark = pytest.mark.unit

NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def read(content: bytes) -> DataSet:
    return read_elements(open_file(content))


def json_of(*others: Encoded, syntax: str = EXPLICIT) -> dict[str, Any]:
    """The JSON of a file with these elements, by keys; without the required ones that were not given."""
    given = {f"{element.tag:08X}" for element in others}
    return {key: element for key, element in read(file_of(*others, syntax=syntax)).elements.items() if key in given}


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("LO", b"", None),
        ("LO", b"  ", None),
        ("LO", b" A B  ", [" A B"]),
        ("LO", b"A \\B ", ["A ", "B"]),
        ("LO", b"A\\\\B ", ["A", None, "B"]),
        ("LO", b"\\", [None, None]),
        ("CS", b"X\0", ["X\0"]),
        ("CS", b"X\0 ", ["X\0"]),
        ("SH", b"\0\0", ["\0\0"]),
        ("UI", b"1.2\0", ["1.2"]),
        ("UI", b"1.2 ", ["1.2 "]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("UI", b"\0\0", None),
        ("LT", b"a\\b \r\n ", ["a\\b \r\n"]),
        ("ST", b"a\\b ", ["a\\b"]),
        ("UT", b"a\\b ", ["a\\b"]),
        ("UR", b"http://a/b\\c ", ["http://a/b\\c"]),
        ("UC", b"a\\b ", ["a", "b"]),
        ("AE", b" A \\B ", [" A ", "B"]),
        ("DA", b"20240101", ["20240101"]),
        ("AT", pack("<4H", 0x10, 0x20, 0x7FE0, 0x10), ["00100020", "7FE00010"]),
        ("PN", b"A^B", [{"Alphabetic": "A^B"}]),
        ("PN", b"A^B^^ ", [{"Alphabetic": "A^B^^"}]),
        ("PN", b"A=I=P ", [{"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}]),
        ("PN", b"=I", [{"Ideographic": "I"}]),
        ("PN", b"A==P", [{"Alphabetic": "A", "Phonetic": "P"}]),
        ("PN", b"A\\\\=I", [{"Alphabetic": "A"}, None, {"Ideographic": "I"}]),
        ("PN", b"==", None),
        ("PN", b"A=I=P=X ", [{"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}]),
    ],
)
def test_strings(vr: str, value: bytes, expected: list[Any] | None) -> None:
    """RET-65, RET-68: padding at the end of the whole is trimmed, that of UI is NUL; empty values are null."""
    tag = {"PN": 0x00091001}.get(vr, 0x00091001)
    element = read(file_of(text(0x00090010, "LO", "ACME"), Encoded(tag, vr, value))).elements["00091001"]
    assert element == ({"vr": vr} if expected is None else {"vr": vr, "Value": expected})


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("DS", b"2.50", [2.5]),
        ("DS", b"+0012", [12]),
        ("DS", b" -1.5e3 ", [-1500.0]),
        ("DS", b"1\\\\.5 ", [1, None, 0.5]),
        ("DS", b"1\\x ", ["1", "x"]),
        ("DS", b"nan ", ["nan"]),
        ("DS", b"infinity", ["infinity"]),
        ("DS", b"1_0 ", ["1_0"]),
        ("DS", b"1e999 ", ["1e999"]),
        ("DS", b"1.5\0", ["1.5\0"]),
        ("DS", b"99999999999999999999", [1e20]),
        ("IS", b"007 ", [7]),
        ("IS", b"+7\\-7", [7, -7]),
        ("IS", b"7\\\\", [7, None, None]),
        ("IS", b"1.0 ", ["1.0"]),
        ("IS", b"1\\A ", ["1", "A"]),
        ("IS", b"9223372036854775807 ", [9223372036854775807]),
        ("IS", b"9223372036854775808 ", ["9223372036854775808"]),
        ("IS", b"9" * 6000, ["9" * 6000]),
        ("US", pack("<2H", 1, 65535), [1, 65535]),
        ("SS", pack("<h", -1), [-1]),
        ("UL", pack("<L", 4294967295), [4294967295]),
        ("SL", pack("<l", -1), [-1]),
        ("UV", pack("<Q", 2**64 - 1), [2**64 - 1]),
        ("SV", pack("<q", -(2**63)), [-(2**63)]),
        ("FD", pack("<2d", 0.1, -0.0), [0.1, -0.0]),
        ("FL", pack("<f", 0.5), [0.5]),
        ("FD", pack("<4d", float("nan"), float("inf"), -float("inf"), 1.5), ["NaN", "Infinity", "-Infinity", 1.5]),
        ("US", b"\1\0\2", [1]),
        ("UL", b"\1\0", None),
    ],
)
def test_numbers(vr: str, value: bytes, expected: list[Any] | None) -> None:
    """RET-65: numbers as numbers; if one value of an attribute is none, all are strings."""
    content = file_of(text(0x00090010, "LO", "ACME"), Encoded(0x00091001, vr, value))
    element = read(content).elements["00091001"]
    assert element == ({"vr": vr} if expected is None else {"vr": vr, "Value": expected})
    assert parse_instance(content, study=None).metadata


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_bulk_values_are_left_out(vr: str) -> None:
    """RET-62, RET-63: at every depth; a sequence that loses all keeps its items."""
    bulk = Encoded(0x00420011, vr, bytes(8)) if vr != "UN" else Encoded(0x00091001, vr, bytes(8))
    found = json_of(bulk, Encoded(0x00081140, "SQ", [[bulk], []]), Encoded(0x00081111, "SQ", []))
    assert found == {"00081140": {"vr": "SQ", "Value": [{}, {}]}, "00081111": {"vr": "SQ"}}


def test_group_lengths_and_group_2_are_left_out() -> None:
    """RET-64: also inside sequences."""
    length = Encoded(0x00080000, "UL", pack("<L", 4))
    item = [Encoded(0x00080000, "UL", pack("<L", 4)), text(0x00080100, "SH", "A")]
    found = read(file_of(Encoded(0x00021000, "LO", b"X "), length, Encoded(0x00081140, "SQ", [item]))).elements
    assert min(found) == "00080016"
    assert found["00081140"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["A"]}}]}


def test_keys_ascend_and_the_last_of_two_counts() -> None:
    """RET-61: whatever the order in the file."""
    elements = [text(0x00100020, "LO", "B"), text(0x00080060, "CS", "CT"), text(0x00100020, "LO", "A")]
    item = [text(0x00080104, "LO", "B"), text(0x00080100, "SH", "A")]
    data_set = read(part10(encode([Encoded(0x00081140, "SQ", [item]), *elements])))
    assert list(data_set.elements) == ["00080060", "00081140", "00100020"]
    assert data_set.elements["00100020"]["Value"] == ["A"]
    assert list(data_set.elements["00081140"]["Value"][0]) == ["00080100", "00080104"]


# ---------------------------------------------------------------- value representations that files do not tell


def test_public_un_has_the_vr_of_the_dictionary() -> None:
    """STO-68: also for sequences, whose content is implicit little endian (PS3.5 6.2.2)."""
    items = encode([Encoded(0, "SQ", [[text(0x00080100, "SH", "A")]])], implicit=True)[8:]
    for length in (None, UNDEFINED):
        end = header(0xFFFEE0DD, "", 0) if length else b""
        found = json_of(
            Encoded(0x00080060, "UN", b"CT"),
            Encoded(0x00081140, "UN", items + end, length),
            Encoded(0x00280010, "UN", b"\0\2"),
        )
        assert found == {
            "00080060": {"vr": "CS", "Value": ["CT"]},
            "00081140": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["A"]}}]},
            "00280010": {"vr": "US", "Value": [512]},
        }


def test_un_sequence_in_big_endian_file() -> None:
    """STO-68: a UN of undefined length is implicit little endian whatever the transfer syntax."""
    items = encode([Encoded(0, "SQ", [[text(0x00080100, "SH", "A")]])], implicit=True)[8:]
    sequence = Encoded(0x00081140, "UN", items + header(0xFFFEE0DD, "", 0), UNDEFINED)
    assert json_of(sequence, syntax=BIG_ENDIAN)["00081140"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["A"]}}]


def test_un_that_only_claims_to_be_a_sequence() -> None:
    """STO-68: no items in it: it stays what it is."""
    assert json_of(Encoded(0x00081140, "UN", b"whatever")) == {}


def test_private_un_by_the_creators_dictionary() -> None:
    """RET-66: a creator that is known tells the VR; the creator itself is LO in either coding."""
    creator, element = Encoded(0x00290010, "UN", b"SIEMENS CSA HEADER"), Encoded(0x00291008, "UN", b"IMAGE NUM 4 ")
    expected = {
        "00290010": {"vr": "LO", "Value": ["SIEMENS CSA HEADER"]},
        "00291008": {"vr": "CS", "Value": ["IMAGE NUM 4"]},
    }
    assert json_of(creator, element) == expected
    assert json_of(creator, element, syntax=IMPLICIT) == expected


def test_private_of_unknown_creator() -> None:
    """RET-66, STO-75, STO-79: kept in explicit files, UN and left out in implicit ones."""
    elements = (text(0x00090010, "LO", "NOBODY"), text(0x00091001, "LO", "x"))
    creator = {"00090010": {"vr": "LO", "Value": ["NOBODY"]}}
    assert json_of(*elements) == creator | {"00091001": {"vr": "LO", "Value": ["x"]}}
    assert json_of(*elements, syntax=IMPLICIT) == creator


def test_unknown_sequence_of_undefined_length_in_implicit_file() -> None:
    """RET-63: only a sequence can be without length there."""
    data = encode(instance(Encoded(0x00091001, "SQ", [[text(0x00080100, "SH", "A")]])), implicit=True, undefined=True)
    assert read(part10(data, IMPLICIT)).elements["00091001"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["A"]}}]


@pytest.mark.parametrize(("representation", "expected"), [(0, ["US", 65000]), (1, ["SS", -536]), (None, ["US", 65000])])
def test_us_or_ss(representation: int | None, expected: list[Any]) -> None:
    """STO-68: by Pixel Representation, also for tags before it and, in sequences, by that of the enclosing data set."""
    others = [
        words(0x00189810, 65000),
        Encoded(0x00081140, "SQ", [[words(0x00280106, 65000)]]),
        words(0x00280106, 65000),
    ]
    if representation is not None:
        others.append(words(0x00280103, representation))
    found = json_of(*others, syntax=IMPLICIT)
    vr, value = expected
    element = {"vr": vr, "Value": [value]}
    assert found["00189810"] == found["00280106"] == element
    assert found["00081140"]["Value"] == [{"00280106": element}]


def test_us_or_ss_by_the_item_itself() -> None:
    """STO-68: an item that has a Pixel Representation of its own."""
    item = [words(0x00280103, 1), words(0x00280106, 65535)]
    found = json_of(words(0x00280103, 0), Encoded(0x00081140, "SQ", [item]), syntax=IMPLICIT)
    assert found["00081140"]["Value"][0]["00280106"] == {"vr": "SS", "Value": [-1]}


def test_lut_descriptor_counts_from_zero() -> None:
    """PS3.3 C.11.1.1.1: the first value is unsigned even in an SS."""
    for syntax in (EXPLICIT, IMPLICIT):
        found = json_of(words(0x00280103, 1), words(0x00281101, -1, -1, 16, vr="SS"), syntax=syntax)
        assert found["00281101"] == {"vr": "SS", "Value": [65535, -1, 16]}


def test_lut_data_in_implicit_file() -> None:
    """RET-62: one entry is US, a table is OW and left out."""
    assert json_of(words(0x00283006, 7), syntax=IMPLICIT) == {"00283006": {"vr": "US", "Value": [7]}}
    assert json_of(words(0x00283006, 7, 8), syntax=IMPLICIT) == {}


def test_repeating_group() -> None:
    """PS3.5 7.6"""
    assert json_of(words(0x60020010, 64), syntax=IMPLICIT) == {"60020010": {"vr": "US", "Value": [64]}}


# ---------------------------------------------------------------- text


def test_character_sets_of_items() -> None:
    """RET-69: each item by its own, else by the enclosing one; what follows an item is by its own data set again."""
    greek, cyrillic = "Διονυσιος", "Люкceмбypг"
    own = [text(0x00080005, "CS", "ISO_IR 144"), text(0x00080104, "LO", cyrillic, "iso8859-5")]
    inherited = [
        text(0x00080104, "LO", greek, "iso8859-7"),
        Encoded(0x00081110, "SQ", [[text(0x00080104, "LO", greek, "iso8859-7")]]),
    ]
    found = json_of(
        text(0x00080005, "CS", "ISO_IR 126"),
        Encoded(0x00081140, "SQ", [own, inherited]),
        text(0x00100010, "PN", greek, "iso8859-7"),
    )
    first, second = found["00081140"]["Value"]
    assert first["00080104"]["Value"] == [cyrillic]
    assert second["00080104"]["Value"] == [greek]
    assert second["00081110"]["Value"][0]["00080104"]["Value"] == [greek]
    assert found["00100010"]["Value"] == [{"Alphabetic": greek}]


# ---------------------------------------------------------------- pixel data and what is behind it


def test_pixel_data_is_not_read() -> None:
    """RET-62: only where it is; elements behind it are read."""
    signatures = Encoded(0xFFFAFFFA, "SQ", [[text(0x04000100, "UI", "1.9")]])
    data = encode(instance(Encoded(0x7FE00010, "OW", b"abcd"), signatures))
    data_set = read(part10(data))
    extent = data_set.bulk[0x7FE00010]
    assert part10(data)[extent.start : extent.start + extent.length] == b"abcd"
    assert data_set.elements["FFFAFFFA"]["Value"] == [{"04000100": {"vr": "UI", "Value": ["1.9"]}}]


def test_elements_behind_fragments() -> None:
    trailing = encode([Encoded(0xFFFCFFFC, "OB", bytes(4)), text(0xFFFD1001, "LO", "x")])
    data_set = read(part10(encode(instance()) + fragments(b"ab", b"cd") + trailing))
    assert list(data_set.bulk) == [0x7FE00010, 0xFFFCFFFC]
    assert data_set.elements["FFFD1001"] == {"vr": "LO", "Value": ["x"]}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 50,
        b"\0" * 7,
        encode([Encoded(0xFFFAFFFA, "SQ", [[text(0x04000100, "UI", "1.9")]])])[:-3],
        header(0xFFFAFFFA, "SQ", UNDEFINED) + b"garbage, and no item",
    ],
)
def test_garbage_behind_the_pixel_data_does_no_harm(garbage: bytes) -> None:
    """STO-29"""
    content = file_of(Encoded(0x7FE00010, "OW", b"abcd")) + garbage
    assert list(read(content).elements) == ["00080016", "00080018", "00100020", "0020000D", "0020000E"]


def test_icon_with_fragments_is_no_pixel_data() -> None:
    """RET-51: pixel data inside a sequence is never taken for the image's."""
    item = header(0xFFFEE000, "", UNDEFINED) + fragments(b"ab") + header(0xFFFEE00D, "", 0)
    sequence = header(0x00880200, "SQ", UNDEFINED) + item + header(0xFFFEE0DD, "", 0)
    data_set = read(part10(encode(instance()) + sequence + encode([text(0x00880904, "LO", "x")])))
    assert data_set.bulk == {}
    assert data_set.elements["00880200"] == {"vr": "SQ", "Value": [{}]}
    assert data_set.elements["00880904"]["Value"] == ["x"]
