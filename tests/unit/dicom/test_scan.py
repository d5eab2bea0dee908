"""Finding elements: nesting, delimiters, files that are cut off, depth, and bytes that mean nothing."""

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from shared.dicom.header_values import HeaderValues
from shared.dicom.recode import Recoder, element_header, item_header, sequence_delimiter
from shared.dicom.scan import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED,
    Encoding,
    Malformed,
    elements,
    items,
)

pytestmark = pytest.mark.unit

ENCODINGS = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]


def written(dataset: Dataset, encoding: Encoding) -> bytes:
    out = io.BytesIO()
    dcmwrite(out, dataset, implicit_vr=encoding.implicit, little_endian=not encoding.big_endian)
    return out.getvalue()


def nested(undefined: bool) -> Dataset:
    inner = Dataset()
    inner.CodeValue = "x"
    middle = Dataset()
    middle.ProcedureCodeSequence = [inner, Dataset()]
    outer = Dataset()
    outer.PatientID = "1"
    outer.RequestAttributesSequence = [middle, middle]
    outer.InstanceNumber = 7
    for element in outer.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
    return outer


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("undefined", [False, True])
def test_top_level(encoding: Encoding, undefined: bool) -> None:
    """RET-37: elements of a data set, those of its items by themselves"""
    content = written(nested(undefined), encoding)
    found = list(elements(content, 0, len(content), encoding))
    assert [element.tag for element in found] == [0x00100020, 0x00200013, 0x00400275]
    assert found[0].next == found[1].start
    assert found[-1].next == len(content)
    assert found[2].defined is not undefined
    [first, second] = items(content, found[2], encoding)
    inside = list(elements(content, first.value, first.end, encoding))
    assert [element.tag for element in inside] == [0x00081032]
    assert second.next == found[2].end
    assert len(list(items(content, inside[0], encoding))) == 2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_values(encoding: Encoding) -> None:
    """RET-87, RET-95: numbers and texts, missing and faulty ones"""
    dataset = nested(True)
    dataset.Rows, dataset.WindowCenter, dataset.SmallestImagePixelValue = 300, [40.5, 7], -2
    dataset.PixelRepresentation = 1
    dataset.add_new(0x00281051, "DS", "")
    content = written(dataset, encoding)
    values = HeaderValues(content, 0, len(content), encoding)
    assert values.word(0x00280010) == 300
    assert values.number(0x00281050) == 40.5
    assert values.number(0x00281051) is None
    assert values.word(0x00280106, b"SS") == -2
    assert values.text(0x00100020) == "1"
    assert (values.number(0x00281052), values.word(0x00280011), values.text(0x00100010)) == (None, None, "")
    second = values.item(0x00400275, 1)
    assert second is not None
    codes = [second.item(0x00081032, number) for number in range(3)]
    assert [code.text(0x00080100) if code else None for code in codes] == ["x", "", None]
    assert values.item(0x00400275, 2) is None
    assert values.item(0x00081032) is None


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "1e999", ""])
def test_no_number(text: str) -> None:
    """RET-87: what is no finite number is none"""
    content = element_header(0x00281050, b"DS", len(text)) + text.encode()
    assert HeaderValues(content, 0, len(content), EXPLICIT_LITTLE).number(0x00281050) is None


@pytest.mark.parametrize("defined", [False, True])
def test_unknown_sequence(defined: bool) -> None:
    """RET-37, RET-87: the items of a UN are implicit little endian, whatever its length"""
    element = b"\x10\x00\x20\x00" + (2).to_bytes(4, "little") + b"ID"
    item = item_header(len(element)) + element
    content = element_header(0x00091010, b"UN", len(item) if defined else UNDEFINED) + item
    content += b"" if defined else sequence_delimiter()
    [found] = elements(content, 0, len(content), EXPLICIT_LITTLE)
    assert found.next == len(content)
    values = HeaderValues(content, 0, len(content), EXPLICIT_LITTLE).item(0x00091010)
    assert values is not None
    assert values.text(0x00100020) == "ID"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cut_off(encoding: Encoding) -> None:
    """RET-34: a data set that ends too early is malformed, wherever it ends"""
    content = written(nested(True), encoding)
    whole = [element.next for element in elements(content, 0, len(content), encoding)]
    for end in range(1, len(content)):
        if end not in whole:
            with pytest.raises(Malformed):
                list(elements(content[:end], 0, end, encoding))


def test_depth() -> None:
    """RET-34, STO-69: a million levels are walked without recursion"""
    levels = 300_000
    head = element_header(0x00400275, b"SQ", UNDEFINED) + item_header(UNDEFINED)
    content = head * levels + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * levels
    began = time.perf_counter()
    [sequence] = elements(content, 0, len(content), EXPLICIT_LITTLE)
    assert sequence.next == len(content)
    assert time.perf_counter() - began < 20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(ENCODINGS))
def test_any_bytes(content: bytes, encoding: Encoding) -> None:
    """RET-34: a walk ends, or says that the bytes are malformed; 300 examples"""
    try:
        for element in elements(content, 0, len(content), encoding):
            assert element.start < element.value <= element.end <= element.next <= len(content)
            Recoder(content, encoding, bytearray()).copy(element)
    except Malformed:
        pass
