"""How files and data sets may be written (STO-29, STO-30, STO-79, STO-82)."""

import zlib
from struct import pack

import pytest

from shared.dicom import file_meta
from shared.dicom.data_set import DataSet
from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.instance import parse_instance
from shared.dicom.unreadable import UnreadableFile
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Encoded,
    encode,
    instance,
    meta,
    part10,
    text,
    words,
)

pytestmark = pytest.mark.unit

NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def read(content: bytes) -> DataSet:
    return read_elements(open_file(content))


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("undefined", [False, True])
def test_native_encodings_say_the_same(syntax: str, undefined: bool) -> None:
    """STO-82, STO-79: lengths defined and undefined, both byte orders, with and without VRs."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    others = [
        words(0x00280010, 512, order=order),
        Encoded(0x00081140, "SQ", [[text(0x00081155, "UI", "1.9"), Encoded(0x00081110, "SQ", [[]])], []]),
        Encoded(0x00189311, "FD", pack(order + "d", 0.5)),
        Encoded(0x00041600, "UL", pack(order + "L", 70000)),
    ]
    data = encode(instance(*others), implicit=syntax == IMPLICIT, order=order, undefined=undefined)
    elements = read(part10(data, syntax)).elements
    assert elements["00280010"] == {"vr": "US", "Value": [512]}
    assert elements["00189311"] == {"vr": "FD", "Value": [0.5]}
    assert elements["00041600"] == {"vr": "UL", "Value": [70000]}
    item = {"00081110": {"vr": "SQ", "Value": [{}]}, "00081155": {"vr": "UI", "Value": ["1.9"]}}
    assert elements["00081140"] == {"vr": "SQ", "Value": [item, {}]}


def test_deflated() -> None:
    """STO-82"""
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(encode(instance())) + deflater.flush()
    parsed = parse_instance(part10(data, DEFLATED), study=None)
    assert (parsed.study, parsed.failed, parsed.warning, parsed.transfer_syntax) == ("1.2", False, None, DEFLATED)


def test_deflated_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-69: what inflates beyond the limit is unreadable, and never in memory."""
    deflater = zlib.compressobj(9, wbits=-15)
    data = deflater.compress(encode(instance()) + bytes(50_000_000)) + deflater.flush()
    assert len(data) < 60_000
    monkeypatch.setattr(file_meta.inflate, "__defaults__", (10_000_000,))
    with pytest.raises(UnreadableFile, match="10000000"):
        parse_instance(part10(data, DEFLATED), study=None)


@pytest.mark.parametrize("data", [b"", b"no deflate stream at all", zlib.compress(bytes(100))[2:-30]])
def test_broken_deflated(data: bytes) -> None:
    """STO-69"""
    with pytest.raises(UnreadableFile):
        parse_instance(part10(data, DEFLATED), study=None)


@pytest.mark.parametrize("syntax", NATIVE)
def test_without_preamble_and_without_meta(syntax: str) -> None:
    """STO-30, STO-101: the syntax by which a bare data set was read is told."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    data = encode(instance(text(0x00081030, "LO", "x" * 64)), implicit=syntax == IMPLICIT, order=order)
    bare = parse_instance(data, study=None)
    assert (bare.study, bare.transfer_syntax, bare.has_preamble) == ("1.2", syntax, False)
    with_meta = parse_instance(meta(syntax) + data, study=None)
    assert (with_meta.study, with_meta.transfer_syntax, with_meta.has_preamble) == ("1.2", syntax, False)
    assert parse_instance(part10(data, syntax), study=None).has_preamble
    without_syntax = parse_instance(part10(data, None), study=None)
    assert (without_syntax.study, without_syntax.transfer_syntax) == ("1.2", syntax)


@pytest.mark.parametrize("length", [0, 7, 5000, 2**32 - 1])
def test_wrong_group_length(length: int) -> None:
    """STO-30: the group number decides where the file meta ends."""
    content = bytes(128) + b"DICM" + meta(EXPLICIT, group_length=length) + encode(instance())
    assert parse_instance(content, study=None).study == "1.2"


def test_meta_without_value_representations() -> None:
    """STO-30: some writers encode group 0002 like an implicit data set."""
    group = encode([text(0x00020010, "UI", IMPLICIT)], implicit=True)
    content = bytes(128) + b"DICM" + group + encode(instance(), implicit=True)
    assert parse_instance(content, study=None).transfer_syntax == IMPLICIT


@pytest.mark.parametrize(("said", "implicit"), [(EXPLICIT, True), (IMPLICIT, False), ("1.2.3.4.5", True)])
def test_a_transfer_syntax_that_is_not_true(said: str, implicit: bool) -> None:
    """STO-79, STO-82: the first element shows how the data set is written."""
    parsed = parse_instance(part10(encode(instance(), implicit=implicit), said), study=None)
    assert (parsed.study, parsed.transfer_syntax, parsed.warning) == ("1.2", said, 45063)


def test_unknown_syntax_is_read_as_explicit() -> None:
    """STO-82"""
    parsed = parse_instance(part10(encode(instance()), "1.2.3.4.5.6"), study=None)
    assert (parsed.study, parsed.transfer_syntax, parsed.warning) == ("1.2", "1.2.3.4.5.6", None)


@pytest.mark.parametrize("said", ["1.2\r\nX-Header: 1", "1.2.840.10008\0.1", "unknown", "1.2\xe4", "1" * 66, "1.2."])
@pytest.mark.parametrize("syntax", NATIVE)
def test_no_identifier_as_transfer_syntax(said: str, syntax: str) -> None:
    """STO-82, RET-22: what is no UID is no transfer syntax, and has no place in headers; the data set shows its own"""
    order = ">" if syntax == BIG_ENDIAN else "<"
    content = part10(encode(instance(), implicit=syntax == IMPLICIT, order=order), said)
    parsed = parse_instance(content, study=None)
    assert (parsed.study, parsed.transfer_syntax) == ("1.2", syntax)


@pytest.mark.parametrize("content", [b"", b"x", bytes(131), bytes(132), bytes(5000), b"This is plain text. " * 50])
def test_no_dicom(content: bytes) -> None:
    """STO-29"""
    with pytest.raises(UnreadableFile):
        parse_instance(content, study=None)
