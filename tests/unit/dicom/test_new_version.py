"""New versions of files: what changes, what stays, by the walk and by pydicom."""

import contextlib
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from shared.dicom.charset_encoding import encoded
from shared.dicom.charsets import character_set
from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.instance import parse_instance
from shared.dicom.new_version import Unchangeable, new_version
from shared.dicom.pieces import Piece, Span
from tests.unit.dicom.bundled import UNREADABLE, bundled_files
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Encoded,
    encode,
    file_of,
    fragments,
    header,
    instance,
    meta,
    part10,
    text,
    words,
)

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

READABLE = [path for path in bundled_files() if path.name not in UNREADABLE]
NAME, PATIENT_ID, DESCRIPTION, COMMENTS, CONSTRAINT = 0x00100010, 0x00100020, 0x00081030, 0x00104000, 0x00403001
ACCESSION = 0x00080050
CHANGES: Mapping[str, dict[int, str]] = {
    "ASCII": {NAME: "New^Name", PATIENT_ID: "ID7", COMMENTS: "", CONSTRAINT: "odd", ACCESSION: "A"},
    "beyond every set but Unicode": {NAME: "王^小=王^小", DESCRIPTION: "Дüω"},
    "nothing": {},
}


def joined(content: bytes, pieces: Sequence[Piece]) -> bytes:
    return b"".join(
        content[piece.start : piece.start + piece.length] if isinstance(piece, Span) else piece for piece in pieces
    )


def updated(content: bytes, changes: Mapping[int, str]) -> bytes:
    return joined(content, new_version(content, changes, "1.2.3"))


def data_set(content: bytes) -> bytes:
    opened = open_file(content)
    return bytes(opened.content[opened.start :])


def outside(elements: dict[str, dict[str, Any]], changed: set[str]) -> dict[str, Any]:
    """DICOM JSON without what was changed and without Specific Character Set, at every depth."""
    left: dict[str, Any] = {}
    for key, element in elements.items():
        if key in changed or key == "00080005":
            continue
        if element["vr"] == "SQ" and "Value" in element:
            element = {**element, "Value": [outside(item, set()) for item in element["Value"]]}
        left[key] = element
    return left


def assert_only_changed(before: bytes, after: bytes, changes: Mapping[int, str]) -> None:
    """By the reading that makes metadata."""
    old, new = read_elements(open_file(before)), read_elements(open_file(after))
    keys = {f"{tag:08X}" for tag in changes}
    assert outside(new.elements, keys) == outside(old.elements, keys)
    for tag, value in changes.items():
        found = [shown(new.elements[f"{tag:08X}"])]
        assert found == [value]
    assert open_file(after).transfer_syntax == open_file(before).transfer_syntax
    assert parse_instance(after, study=None).frames[:1] == parse_instance(before, study=None).frames[:1]


def shown(element: dict[str, Any]) -> str:
    return "\\".join(
        "=".join(filter(None, value.values())) if isinstance(value, dict) else value or ""
        for value in element.get("Value", [])
    )


def pixels(content: bytes) -> bytes:
    """Whatever begins with Pixel Data."""
    found = read_elements(open_file(content)).bulk.get(0x7FE00010)
    return bytes(open_file(content).content[found.start :]) if found else b""


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("path", READABLE, ids=[path.name for path in READABLE])
def test_bundled_files(path: Path, changes: dict[int, str]) -> None:
    """PLT-74, PLT-75: in every encoding and of every odd build that pydicom brings along."""
    before = path.read_bytes()
    after = updated(before, changes)
    assert_only_changed(before, after, changes)
    if not changes:
        assert data_set(after) == data_set(before)
    if "Unicode" not in str(changes) and not any(not value.isascii() for value in changes.values()):
        assert pixels(after) == pixels(before), "byte by byte, and what comes behind"
    file_meta = dcmread(io.BytesIO(after), stop_before_pixels=True, force=True).file_meta
    assert file_meta.ImplementationClassUID == "1.3.6.1.4.1.311.129"
    assert file_meta.ImplementationVersionName == "1.2.3"


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("path", READABLE, ids=[path.name for path in READABLE])
def test_bundled_files_by_pydicom(path: Path, changes: dict[int, str]) -> None:
    """PLT-74: what another reader sees, and the pixel data as it sees it."""
    before = path.read_bytes()
    old = dcmread(io.BytesIO(before), force=True)
    new = dcmread(io.BytesIO(updated(before, changes)), force=True)
    skipped = {*changes, 0x00080005}
    left_out = {tag for tag in (*old.keys(), *new.keys()) if int(tag) in skipped or tag.element == 0}
    for tag in (old.keys() | new.keys()) - left_out:
        if tag.is_private and old[tag].VR == "UN":
            assert new[tag].value == old[tag].value
        elif old[tag].VR == "SQ":
            assert [plain(item) for item in new[tag].value] == [plain(item) for item in old[tag].value]
        else:
            assert str(new[tag].value).rstrip(" ") == str(old[tag].value).rstrip(" "), tag


def plain(item: Dataset) -> str:
    return "\n".join(line.rstrip() for line in str(item).splitlines() if "(0008,0005)" not in line)


NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)


def native(elements: Sequence[Encoded], syntax: str, *, undefined: bool = False) -> bytes:
    content = encode(
        elements, implicit=syntax == IMPLICIT, order=">" if syntax == BIG_ENDIAN else "<", undefined=undefined
    )
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-15)
        content = deflater.compress(content) + deflater.flush()
    return part10(content, syntax)


@st.composite
def items(draw: st.DrawFn, codec: str, declared: str, depth: int = 0) -> list[Encoded]:
    """A data set of text, numbers, private attributes, sequences and bulk values; an item may have a set of its own."""
    if depth and draw(st.booleans()):
        codec, declared = draw(st.sampled_from(SETS))
    letters = LETTERS[codec]
    words_ = st.text(letters, max_size=9)
    found = [text(0x00080005, "CS", declared)] if declared and (depth == 0 or draw(st.booleans())) else []
    if depth and not found:
        letters, codec = "abc ", "ascii"
        words_ = st.text(letters, max_size=9)
    choices: Sequence[Callable[[], Encoded]] = (
        lambda: text(0x00080080, "LO", draw(words_), codec),
        lambda: text(0x00081030, "LO", draw(words_), codec),
        lambda: text(0x00090010, "LO", "MAKER", codec),
        lambda: text(0x00091001, "LT", draw(words_), codec),
        lambda: Encoded(0x00091002, "UN", draw(st.binary(max_size=4)) * 2),
        lambda: text(0x00100010, "PN", draw(words_) + "^" + draw(words_), codec),
        lambda: text(0x00181030, "UN", draw(words_), codec),
        lambda: words(0x00280010, 7, 8),
        lambda: Encoded(0x00281201, "OW", bytes(draw(st.integers(0, 3)) * 2)),
        lambda: text(0x00400254, "LO", draw(words_) + "\\" + draw(words_), codec),
    )
    found += [choice() for choice in choices if draw(st.booleans())]
    if depth < 3:
        nested = [draw(items(codec, "", depth + 1)) for _ in range(draw(st.integers(0, 2)))]
        found.append(Encoded(0x00400275, "SQ", nested))
    return sorted(found, key=lambda element: element.tag)


SETS = (("latin-1", "ISO_IR 100"), ("iso8859-5", "ISO_IR 144"), ("utf-8", "ISO_IR 192"), ("gb18030", "GB18030"))
LETTERS = {"latin-1": "aé ", "iso8859-5": "aЖ ", "utf-8": "aé王 ", "gb18030": "a王é ", "ascii": "ab "}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_made_files(data: st.DataObject) -> None:
    """PLT-74: 300 files with sequences and sets in one another, of defined and undefined lengths"""
    codec, declared = data.draw(st.sampled_from(SETS))
    syntax = data.draw(st.sampled_from(NATIVE))
    # binary numbers of big endian files are written as they are: nobody reads them here
    elements = {each.tag: each for each in (*instance(), *data.draw(items(codec, declared)))}
    before = native([elements[tag] for tag in sorted(elements)], syntax, undefined=data.draw(st.booleans()))
    value = data.draw(st.sampled_from(["", "x", "é", "王^Ж"]))
    changes = {NAME: value, CONSTRAINT: value}
    after = updated(before, changes)
    assert_only_changed(before, after, changes)
    assert "�" not in str(read_elements(open_file(after)).elements)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("value", ["New^Name", "王"])
def test_group_lengths(syntax: str, value: str) -> None:
    """PLT-74: made right where something changed; a wrong one of another group stays as it is"""
    order = ">" if syntax == BIG_ENDIAN else "<"
    wrong = Encoded(0x00280000, "UL", pack(order + "L", 99))
    before = native(
        instance(
            Encoded(0x00100000, "UL", pack(order + "L", 7)), text(COMMENTS, "LT", "x"), wrong, words(0x00280010, 1)
        ),
        syntax,
    )
    after = data_set(updated(before, {NAME: value, COMMENTS: "yy"}))
    implicit = syntax == IMPLICIT
    start = after.index(header(0x00100000, "UL", 4, implicit=implicit, order=order)) + 8
    end = after.index(header(0x0020000D, "UI", 4, implicit=implicit, order=order))
    assert after[start : start + 4] == pack(order + "L", end - start - 4)
    assert header(0x00280000, "UL", 4, implicit=implicit, order=order) + pack(order + "L", 99) in after


def test_order_and_padding() -> None:
    """PLT-74: an added attribute stands in the order of tags; values are even"""
    before = file_of(text(0x00080060, "CS", "CT"), text(0x00280004, "CS", "MONOCHROME2"))
    after = updated(before, {ACCESSION: "odd", COMMENTS: "c", CONSTRAINT: "last"})
    tags = [element.tag for element in dcmread(io.BytesIO(after))]
    assert tags == sorted(tags)
    assert len(after) % 2 == 0
    assert len(data_set(after)) == len(data_set(before)) + 12 + 10 + 12


def test_spans_hold_the_pixels() -> None:
    """PLT-74: nothing of the pixel data is among the bytes; of native and encapsulated files"""
    native_pixels = Encoded(0x7FE00010, "OW", bytes(1_000_000))
    for content in (
        file_of(native_pixels),
        part10(encode(instance()) + fragments(b"", bytes(500_000), bytes(500_000)), "1.2.840.10008.1.2.4.50"),
    ):
        for changes in CHANGES.values():
            pieces = new_version(content, changes, "1")
            assert sum(len(piece) for piece in pieces if not isinstance(piece, Span)) < 2000
            assert data_set(joined(content, pieces)).endswith(data_set(content)[-1_000_000:])


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 7, b"\x01\x02\x03", b"garbage behind the pixels", b"\0" * 500])
def test_what_comes_behind_the_pixels(rest: bytes) -> None:
    """PLT-74: comes through byte by byte"""
    before = file_of(Encoded(0x7FE00010, "OW", b"\1\2\3\4")) + rest
    for changes in CHANGES.values():
        after = updated(before, changes)
        assert after.endswith(b"\1\2\3\4" + rest)


def test_pixels_that_are_cut_off() -> None:
    """PLT-74: what there is of them stays"""
    before = file_of(Encoded(0x7FE00010, "OW", b"\1\2", 400))
    assert updated(before, CHANGES["ASCII"]).endswith(header(0x7FE00010, "OW", 400) + b"\1\2")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_files_without_a_beginning(syntax: str) -> None:
    """PLT-75: get one: preamble, file meta information with its true length, the UIDs of the data set"""
    long = text(0x00204000, "LT", "x" * 132)  # what is shorter than a preamble is no file
    elements = encode(instance(text(NAME, "PN", "A"), long), implicit=syntax == IMPLICIT)
    for before in (elements, meta(syntax) + elements):
        after = updated(before, {NAME: "B"})
        read = dcmread(io.BytesIO(after))
        assert (read.PatientName, read.file_meta.TransferSyntaxUID) == ("B", syntax)
        assert read.file_meta.ImplementationVersionName == "1.2.3"
        group = after.index(b"\2\0\x13\0") + 8 + 6 - 132 - 12
        assert read.file_meta.FileMetaInformationGroupLength == group
    assert dcmread(io.BytesIO(updated(elements, {}))).file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"


def test_file_meta_stays() -> None:
    """PLT-75: all but who wrote the file and the length; also where group 0002 had none of the two"""
    others = [
        Encoded(0x00020001, "OB", b"\0\1"),
        text(0x00020010, "UI", EXPLICIT),
        text(0x00020016, "AE", "SENDER"),
        text(0x00020100, "UI", "1.2.9"),
        Encoded(0x00020102, "OB", b"private!"),
    ]
    for own in ([], [text(0x00020012, "UI", "9.9"), text(0x00020013, "SH", "OTHER")]):
        stated = encode(sorted([*others, *own], key=lambda element: element.tag))
        group = encode([Encoded(0x00020000, "UL", pack("<L", len(stated)))]) + stated
        read = dcmread(io.BytesIO(updated(bytes(128) + b"DICM" + group + encode(instance()), {}))).file_meta
        assert (read.SourceApplicationEntityTitle, read[0x0002, 0x0102].value) == ("SENDER", b"private!")
        assert (read.ImplementationClassUID, read.ImplementationVersionName) == ("1.3.6.1.4.1.311.129", "1.2.3")


def test_vr_of_the_dictionary() -> None:
    """PLT-74: whatever VR the element had, and each of several that have one tag"""
    before = file_of(Encoded(NAME, "UN", b"Old "))
    assert_only_changed(before, updated(before, {NAME: "New"}), {NAME: "New"})
    doubled = part10(encode([*instance(text(NAME, "PN", "Old")), text(NAME, "PN", "Older")]))
    assert b"Old" not in updated(doubled, {NAME: "New"})


UN_SEQUENCE = encode([text(NAME, "PN", "Jürgen"), text(0x00181030, "LO", "Ö")], implicit=True)


@pytest.mark.parametrize("value", ["A", "王"])
def test_elements_without_vr(value: str) -> None:
    """PLT-74: in the middle of an explicit file, as pydicom reads it, text among them"""
    odd = encode([text(0x00100040, "CS", "F"), text(COMMENTS, "LT", "Größe", "latin-1")], implicit=True)
    charset = text(0x00080005, "CS", "ISO_IR 100")
    elements = instance(charset, text(0x00200010, "SH", "Ü"))
    before = part10(encode(elements[:4]) + odd + encode(elements[4:]))
    assert parse_instance(before, study=None).study == "1.2"
    after = updated(before, {NAME: value, CONSTRAINT: value})
    read = dcmread(io.BytesIO(after))
    assert (read.PatientName, read.PatientSex, read.PatientComments, read.StudyID) == (value, "F", "Größe", "Ü")
    assert (read.ConfidentialityConstraintOnPatientDataDescription, read.StudyInstanceUID) == (value, "1.2")
    assert encode([text(0x00100040, "CS", "F")], implicit=True) in after


def test_un_sequences_with_vrs() -> None:
    """PLT-74: what PS3.5 6.2.2 does not want; pydicom reads it"""
    inner = encode([text(NAME, "PN", "Jürgen")])
    before = file_of(
        text(0x00080005, "CS", "ISO_IR 100"),
        Encoded(0x00400275, "UN", header(0xFFFEE000, "", len(inner)) + inner),
    )
    assert header(0xFFFEE000, "", len(inner)) + inner in updated(before, {NAME: "A"})
    read = dcmread(io.BytesIO(updated(before, {NAME: "王"})))
    assert read[0x0040, 0x0275].value[0].PatientName == "Jürgen"


@pytest.mark.parametrize("undefined", [False, True])
def test_un_sequences(undefined: bool) -> None:
    """PLT-74: a UN with items holds implicit little endian, whatever is around it; its text is text"""
    content = header(0xFFFEE000, "", len(UN_SEQUENCE)) + UN_SEQUENCE
    if undefined:
        content += header(0xFFFEE0DD, "", 0)
    sequence = Encoded(0x00400275, "UN", content, 0xFFFFFFFF if undefined else None)
    before = file_of(text(0x00080005, "CS", "ISO_IR 100"), sequence, text(0x00400254, "LO", "é"))
    plain_ = updated(before, {NAME: "A"})
    assert content in plain_
    assert_only_changed(before, plain_, {NAME: "A"})
    assert_only_changed(before, updated(before, {NAME: "王"}), {NAME: "王"})


@pytest.mark.parametrize(
    ("declared", "value", "stays"),
    [
        ("ISO_IR 100", "Müller", True),
        ("ISO_IR 100", "Łódź", False),
        ("", "Müller", False),
        ("ISO_IR 6", "Müller", False),
        ("ISO_IR 999", "Müller", False),
        ("ISO_IR 192", "王小", True),
        ("GB18030", "王小", True),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", True),
        ("\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东", True),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "Люк", True),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "Люк王", False),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", True),
        ("ISO_IR 13", "山田", False),
    ],
)
def test_character_sets(declared: str, value: str, stays: bool) -> None:
    """PLT-74: a value that fits leaves the set as it is; otherwise all is Unicode"""
    charset = [text(0x00080005, "CS", declared)] if declared else []
    before = file_of(*charset, text(DESCRIPTION, "LO", "old"))
    after = updated(before, {NAME: value})
    assert_only_changed(before, after, {NAME: value})
    read = dcmread(io.BytesIO(after))
    if "IR 58" not in declared:  # pydicom leaves its escape sequences in the text
        assert str(read.PatientName) == value
    assert (read.get("SpecificCharacterSet") == "ISO_IR 192") == (not stays or declared == "ISO_IR 192")
    assert not stays or declared.encode() in after


def test_a_character_set_behind_text() -> None:
    """PLT-74: readers differ about what is before it, so nothing but ASCII is written into such a file"""
    charset = text(0x00080005, "CS", "ISO_IR 100")
    before = part10(encode([*instance(text(NAME, "PN", "Old")), charset, text(0x00400254, "LO", "Ü")]))
    for value in ("ü", "王"):
        with pytest.raises(Unchangeable):
            updated(before, {NAME: value})
    assert_only_changed(before, updated(before, {NAME: "New"}), {NAME: "New"})


def test_text_that_cannot_be_decoded() -> None:
    """PLT-74: is never written as something else: the file is refused, unless its set may stay"""
    before = file_of(text(0x00080005, "CS", "ISO_IR 126"), Encoded(DESCRIPTION, "LO", b"\xff\xd2"))
    with pytest.raises(Unchangeable):
        updated(before, {NAME: "王"})
    assert b"\xff\xd2" in updated(before, {NAME: "ω"})


@pytest.mark.parametrize(
    "content",
    [
        b"no DICOM at all" * 20,
        part10(encode(instance()) + header(0x00090001, "LO", 400)),
        part10(encode(instance()[:2]) + b"\x10\0\x20\0??\0\0" + encode(instance()[3:])),
        part10(b"\xff" * 50, DEFLATED),
    ],
)
def test_unchangeable(content: bytes) -> None:
    """PLT-72: one error, whatever is wrong"""
    with pytest.raises(Unchangeable):
        new_version(content, {NAME: "A", CONSTRAINT: "B"}, "1")


def test_a_rest_that_nobody_reads() -> None:
    """PLT-74: what cannot be read stays, if all changes have their place before it; but not as text of another set"""
    before = part10(encode(instance()) + b"\x99\0\x01\0??\4\0rest")
    assert updated(before, {NAME: "A"}).endswith(b"\x99\0\x01\0??\4\0rest")
    with pytest.raises(Unchangeable):
        updated(before, {NAME: "王"})


def test_values_that_are_too_long() -> None:
    """PLT-72: a value that grows beyond what its VR holds"""
    before = file_of(text(0x00080005, "CS", "ISO_IR 100"), text(COMMENTS, "LT", "ü" * 40_000, "latin-1"))
    with pytest.raises(Unchangeable):
        updated(before, {NAME: "王"})


@given(st.text(max_size=12), st.sampled_from(["ISO_IR 100", "GBK", "\\ISO 2022 IR 87", "ISO_IR 13", "ISO_IR 166", ""]))
@settings(max_examples=500, deadline=None)
def test_encoding_is_the_inverse_of_decoding(value: str, declared: str) -> None:
    """PLT-74: 500 texts: what is written reads as what was meant, or nothing is"""
    set_ = declared.encode()
    for name in (False, True):
        content = encoded(value, set_, name=name)
        characters = character_set(set_)
        if content is not None:
            assert (characters.name if name else characters.text)(content) == value
    assert encoded(value, b"ISO_IR 192", name=True) == value.encode()


@given(st.binary(max_size=60), st.integers(0, 400), st.sampled_from(sorted(CHANGES)))
@settings(max_examples=400, deadline=None)
def test_hostile_files(damage: bytes, place: int, name: str) -> None:
    """PLT-72: 400 damaged files: a new version or the one error, nothing else"""
    content = file_of(
        text(0x00080005, "CS", "ISO_IR 100"),
        Encoded(0x00400275, "SQ", [[text(NAME, "PN", "é")], [text(NAME, "PN", "é")]]),
        Encoded(0x7FE00010, "OW", bytes(20)),
    )
    damaged = content[: 132 + place] + damage + content[132 + place + len(damage) :]
    with contextlib.suppress(Unchangeable):
        joined(damaged, new_version(damaged, CHANGES[name], "1"))
