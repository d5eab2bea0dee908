"""What unusual, broken and hostile files do to the reader (STO-29, STO-69)."""

from typing import Any

import orjson
import pytest

from shared.dicom import elements as walk
from shared.dicom.data_set import DataSet
from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.instance import parse_instance
from shared.dicom.unreadable import MAX_DEPTH, Declined, UnreadableFile
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    Encoded,
    encode,
    file_of,
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


# ---------------------------------------------------------------- limits


def nested(levels: int, *, undefined: bool) -> bytes:
    """A file whose sequences nest that deep."""
    data = b""
    for _ in range(levels):
        length = UNDEFINED if undefined else len(data)
        item = header(0xFFFEE000, "", length) + data + (header(0xFFFEE00D, "", 0) if undefined else b"")
        length = UNDEFINED if undefined else len(item)
        data = header(0x00081140, "SQ", length) + item + (header(0xFFFEE0DD, "", 0) if undefined else b"")
    return part10(encode(instance()[:2]) + data + encode(instance()[2:]))


@pytest.mark.parametrize("undefined", [False, True])
def test_depth(undefined: bool, size: Any) -> None:
    """STO-69: 200 levels are read, more are unreadable, and a thousand of them cost no recursion."""
    metadata = orjson.loads(parse_instance(nested(MAX_DEPTH, undefined=undefined), study=None).metadata)
    for _ in range(MAX_DEPTH - 1):
        metadata = metadata["00081140"]["Value"][0]
    assert metadata == {"00081140": {"vr": "SQ", "Value": [{}]}}
    for levels in (MAX_DEPTH + 1, size("levels of nested sequences")):
        with pytest.raises(UnreadableFile, match="levels"):
            parse_instance(nested(levels, undefined=undefined), study=None)


def test_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-69: in one data set, in items, and of empty items."""
    monkeypatch.setattr(walk, "MAX_ELEMENTS", 1000)
    flat = [Encoded(0x00091000 + number, "LO") for number in range(1200)]
    in_items = Encoded(0x00081140, "SQ", [[text(0x00080100, "SH", "A")]] * 600)
    empty_items = Encoded(0x00081140, "SQ", [[]] * 1200)
    for others in (flat, [in_items], [empty_items]):
        for syntax in (EXPLICIT, IMPLICIT):
            with pytest.raises(UnreadableFile, match="elements"):
                parse_instance(file_of(*others, syntax=syntax), study=None)
    assert parse_instance(file_of(*flat[:900]), study=None).study == "1.2"


def test_size_of_the_header_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-69: bulk values do not count."""
    monkeypatch.setattr(walk, "MAX_HEADER_BYTES", 10_000)
    many = [text(0x00091000 + number, "UT", "x" * 1000) for number in range(12)]
    for others in (many, [text(0x00091000, "UT", "x" * 20_000)], [Encoded(0x00081140, "SQ", [many])]):
        with pytest.raises(UnreadableFile, match="bytes"):
            parse_instance(file_of(*others), study=None)
    bulk = [Encoded(0x00091000 + number, "OB", bytes(1000)) for number in range(12)]
    assert parse_instance(file_of(*bulk, many[0], Encoded(0x00420011, "OB", bytes(20_000))), study=None).study == "1.2"


@pytest.mark.parametrize("syntax", NATIVE)
def test_cut_off_header(syntax: str) -> None:
    """STO-29: a header that ends too early is unreadable, or its required attributes are missing; nothing else."""
    item = [text(0x00080100, "SH", "A"), Encoded(0x00081110, "SQ", [[text(0x00080104, "LO", "meaning")]])]
    whole = file_of(text(0x00080008, "CS", "A\\B"), Encoded(0x00081140, "SQ", [item]), syntax=syntax)
    for length in range(len(whole)):
        try:
            assert parse_instance(whole[:length], study=None).failed
        except UnreadableFile:
            continue
    assert not parse_instance(whole, study=None).failed


# ---------------------------------------------------------------- left to pydicom


def test_element_without_vr_in_explicit_file() -> None:
    """Some writers drop into implicit encoding in the middle of a file; pydicom knows."""
    data = encode(instance()[:3]) + encode([text(0x00100040, "CS", "F")], implicit=True) + encode(instance()[3:])
    content = part10(data)
    with pytest.raises(Declined):
        read(content)
    parsed = parse_instance(content, study=None)
    assert (parsed.study, parsed.failed, parsed.warning) == ("1.2", False, None)
    assert b'"00100040":{"vr":"CS","Value":["F"]}' in parsed.metadata


def test_frames_and_trailing_elements_of_what_pydicom_reads() -> None:
    """RET-49: the walk finds the pixel data also in such a file."""
    others = [words(tag, value) for tag, value in ((0x00280010, 2), (0x00280011, 2), (0x00280100, 8))]
    data = encode(instance(*others)[:3]) + encode([text(0x00100040, "CS", "F")], implicit=True)
    pixels, behind = Encoded(0x7FE00010, "OW", b"abcd"), [text(0xFFFD1001, "LO", "x"), text(0x00080060, "CS", "CT")]
    parsed = parse_instance(part10(data + encode([*instance(*others)[3:], pixels, *behind])), study=None)
    assert parsed.frames
    metadata = orjson.loads(parsed.metadata)
    assert {"00080060", "FFFD1001"} <= metadata.keys()
    assert list(metadata) == sorted(metadata)


def test_un_sequence_in_explicit_encoding() -> None:
    """PS3.5 6.2.2 wants implicit encoding there; some writers do not."""
    items = encode([Encoded(0, "SQ", [[text(0x00080100, "SH", "A")]])])[12:]
    content = file_of(Encoded(0x00081140, "UN", items))
    with pytest.raises(Declined):
        read(content)
    assert b'"Value":[{"00080100":{"vr":"SH","Value":["A"]}}]' in parse_instance(content, study=None).metadata


def test_item_that_is_shorter_than_its_elements() -> None:
    """STO-69: in the middle of a file lengths contradict each other; that does not mean that it is cut off."""
    element = text(0x00080100, "SH", "ABCDEF")
    item = header(0xFFFEE000, "", 10) + encode([element])
    sequence = header(0x00081140, "SQ", len(item)) + item
    content = part10(encode(instance()[:2]) + sequence + encode(instance()[2:]))
    with pytest.raises(Declined):
        read(content)


def test_unknown_vr_is_left_out() -> None:
    """PS3.5 7.1.2: a VR that is not there yet."""
    parsed = parse_instance(file_of(Encoded(0x00080008, "ZZ", b"ab"), text(0x00280004, "CS", "RGB")), study=None)
    assert not parsed.failed
    assert b"00080008" not in parsed.metadata
    assert b"00280004" in parsed.metadata


def test_unusual_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-69: pydicom gets no more than a window of a file."""
    monkeypatch.setattr("shared.dicom.pydicom_reader.MAX_UNUSUAL_BYTES", 5000)
    unusual = [Encoded(0x00091001, "ZZ", b"ab"), Encoded(0x00420011, "OB", bytes(8000))]
    with pytest.raises(UnreadableFile, match="unusual"):
        parse_instance(file_of(*unusual), study=None)
