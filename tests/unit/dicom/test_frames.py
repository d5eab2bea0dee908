"""Where frames are found, and the compact form of their table (RET-46, RET-47, RET-51)."""

import random
import zlib
from array import array
from struct import pack

import pytest

from shared.dicom.fragments import read_fragments
from shared.dicom.frames import EncapsulatedFrames, FrameTable, encapsulated_frames, packed_fragments
from shared.dicom.instance import parse_instance
from tests.unit.dicom.bundled import bundled_files
from tests.unit.dicom.encoding import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    Encoded,
    encode,
    fragments,
    instance,
    part10,
    text,
    words,
)

pytestmark = pytest.mark.unit

JPEG = b"\xff\xd8\xff\xe0"


def image(
    rows: int = 2, columns: int = 2, allocated: int = 8, frames: str | None = None, *, order: str = "<", **more: Encoded
) -> list[Encoded]:
    """The elements of an image before its pixel data."""
    others = [
        words(0x00280010, rows, order=order),
        words(0x00280011, columns, order=order),
        words(0x00280100, allocated, order=order),
        *more.values(),
    ]
    if frames is not None:
        others.append(text(0x00280008, "IS", frames))
    return instance(*others)


def native(pixels: bytes, elements: list[Encoded], syntax: str = EXPLICIT) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    whole = [*elements, Encoded(0x7FE00010, "OW", pixels)]
    return part10(encode(whole, implicit=syntax == IMPLICIT, order=order), syntax)


def encapsulated(elements: list[Encoded], *contents: bytes, offset_table: bytes = b"", end: bool = True) -> bytes:
    return part10(encode(elements) + fragments(*contents, offset_table=offset_table, end=end), JPEG_BASELINE)


def table_of(content: bytes) -> FrameTable | None:
    packed = parse_instance(content, study=None).frames
    return FrameTable.unpack(packed) if packed else None


def frames_of(content: bytes) -> list[bytes | None]:
    """Each announced frame, None where it is not there."""
    table = table_of(content)
    assert table is not None
    found: list[bytes | None] = []
    for frame in range(1, table.number_of_frames + 1):
        try:
            pieces = table.pieces(frame)
        except IndexError:
            found.append(None)
            continue
        data = b"".join(content[start : start + length] for start, length in pieces)
        found.append(table.cut(frame, data))
    return found


# ---------------------------------------------------------------- native


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_native_frames(syntax: str) -> None:
    """RET-46: by arithmetic, without the pad byte."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    content = native(b"abcdefghi\0", image(1, 3, 8, "3", order=order), syntax)
    assert frames_of(content) == [b"abc", b"def", b"ghi"]
    table = table_of(content)
    assert table is not None
    assert (table.encapsulated, table.complete, table.bits, table.deflated_at) == (False, True, 0, None)


@pytest.mark.parametrize("frames", [None, "", "0", "-3", "x", "1\\2"])
def test_number_of_frames_that_says_nothing(frames: str | None) -> None:
    """RET-46, RET-51: counts as 1."""
    assert frames_of(native(b"abcdefgh", image(frames=frames))) == [b"abcd"]


def test_samples_and_bits() -> None:
    """RET-46"""
    colour = image(1, 1, 16, samples=words(0x00280002, 3))
    assert frames_of(native(b"abcdef", colour)) == [b"abcdef"]


@pytest.mark.parametrize(("columns", "length"), [(2, 4), (3, 8), (4, 8)])
def test_ybr_full_422(columns: int, length: int) -> None:
    """RET-46: two samples per pixel whatever Samples per Pixel says, odd columns counted as the next even number."""
    elements = image(
        1, columns, 8, "2", samples=words(0x00280002, 3), photometric=text(0x00280004, "CS", "YBR_FULL_422")
    )
    pixels = bytes(range(2 * length))
    assert frames_of(native(pixels, elements)) == [pixels[:length], pixels[length:]]


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (5, 7), (1, 1), (4, 4), (16, 1)])
def test_frames_of_single_bits(rows: int, columns: int) -> None:
    """RET-46, PS3.5 8.1.1: packed without a gap; each is moved so that it begins on a byte."""
    size, count = rows * columns, 5
    bits = [random.Random(size).randrange(2) for _ in range(size * count)]

    def packed(some: list[int]) -> bytes:
        return sum(bit << place for place, bit in enumerate(some)).to_bytes((len(some) + 7) // 8, "little")

    content = native(packed(bits) + b"\0\0", image(rows, columns, 1, str(count)))
    assert frames_of(content) == [packed(bits[size * frame : size * (frame + 1)]) for frame in range(count)]
    table = table_of(content)
    assert table is not None
    assert table.bits == (size if size % 8 else 0)


def test_native_data_that_are_too_short() -> None:
    """RET-51: what is wholly there is found, the rest is not."""
    elements = image(1, 3, 8, "3")
    assert frames_of(native(b"abcdef", elements)) == [b"abc", b"def", None]
    assert frames_of(native(b"", elements)) == [None, None, None]
    assert frames_of(native(b"abcdefghi\0", elements)[:-5]) == [b"abc", None, None]


@pytest.mark.parametrize("missing", [0x00280010, 0x00280011, 0x00280100])
def test_image_without_size(missing: int) -> None:
    """RET-51"""
    elements = [element for element in image() if element.tag != missing]
    assert table_of(native(b"abcd", elements)) is None
    assert table_of(encapsulated(elements, b"abcd")) is None
    zero = [element for element in image() if element.tag != missing] + [words(missing, 0)]
    assert table_of(native(b"abcd", sorted(zero, key=lambda element: element.tag))) is None


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009])
def test_float_pixel_data_count_as_none(tag: int) -> None:
    """RET-51"""
    content = part10(encode([*image(1, 1, 32), Encoded(tag, "OF" if tag == 0x7FE00008 else "OD", bytes(8))]))
    assert table_of(content) is None


def test_no_pixel_data() -> None:
    """RET-51"""
    assert table_of(part10(encode(image()))) is None


def test_compressed_syntax_with_native_length() -> None:
    """RET-47: never wrong bytes."""
    assert table_of(native(b"abcd", image(), JPEG_BASELINE)) is None


def test_deflated_frames() -> None:
    """RET-46: positions count in the inflated data set, which begins where the table says."""
    plain = encode([*image(1, 2, 8, "2"), Encoded(0x7FE00010, "OW", b"abcd")])
    deflater = zlib.compressobj(wbits=-15)
    content = part10(deflater.compress(plain) + deflater.flush(), DEFLATED)
    table = table_of(content)
    assert table is not None
    assert table.deflated_at is not None
    inflated = zlib.decompress(content[table.deflated_at :], -15)
    assert inflated == plain
    (start, length) = table.pieces(2)[0]
    assert inflated[start : start + length] == b"cd"


def test_largest_numbers_fit() -> None:
    """A table can be made of any numbers that a file may have."""
    elements = image(0xFFFF, 0xFFFF, 0xFFFF, str(2**63 - 1), samples=words(0x00280002, 0xFFFF))
    table = table_of(native(b"abcd", elements))
    assert table is not None
    assert (table.number_of_frames, table.present) == (2**63 - 1, 0)


# ---------------------------------------------------------------- encapsulated


def offsets(*numbers: int, form: str = "L") -> bytes:
    return pack(f"<{len(numbers)}{form}", *numbers)


def test_one_fragment_per_frame() -> None:
    """RET-47: pad byte included, whatever the offset table says."""
    for table in (b"", offsets(0, 12), offsets(5, 7)):
        assert frames_of(encapsulated(image(frames="2"), b"abc\0", b"de", offset_table=table)) == [b"abc\0", b"de"]


def test_fragments_in_a_un() -> None:
    """STO-68, RET-47: Pixel Data is no sequence, whatever its VR."""
    data = fragments(b"abcd")
    content = part10(encode(image()) + data.replace(b"OB\0\0", b"UN\0\0", 1), JPEG_BASELINE)
    assert frames_of(content) == [b"abcd"]


def test_all_fragments_of_a_single_frame() -> None:
    """RET-47"""
    assert frames_of(encapsulated(image(), b"ab", b"cd", b"ef")) == [b"abcdef"]


def test_basic_offset_table() -> None:
    """RET-47"""
    content = encapsulated(image(frames="2"), b"ab", b"cd", b"ef", offset_table=offsets(0, 20))
    assert frames_of(content) == [b"abcd", b"ef"]


def test_extended_offset_table() -> None:
    """RET-47: it goes before the basic one."""
    extended = [
        Encoded(0x7FE00001, "OV", offsets(0, 10, form="Q")),
        Encoded(0x7FE00002, "OV", offsets(2, 4, form="Q")),
    ]
    content = encapsulated([*image(frames="2"), *extended], b"ab", b"cd", b"ef")
    assert frames_of(content) == [b"ab", b"cdef"]


@pytest.mark.parametrize(
    "table", [b"", offsets(0, 4), offsets(10, 20), offsets(0, 0), offsets(20, 0), offsets(0), b"abc"]
)
def test_codestreams_tell_where_frames_begin(table: bytes) -> None:
    """RET-47: without a usable table."""
    contents = (JPEG + b"a", b"b!", b"\xff\x4f\xff\x51c", b"d!")
    content = encapsulated(image(frames="2"), *contents, offset_table=table)
    assert frames_of(content) == [JPEG + b"ab!", b"\xff\x4f\xff\x51cd!"]


@pytest.mark.parametrize(
    "contents",
    [(b"ab", b"cd", b"ef"), (JPEG, b"ab", b"cd"), (b"ab", JPEG, JPEG), (JPEG, JPEG, JPEG), (JPEG,), (), (b"",)],
)
def test_never_wrong_bytes(contents: tuple[bytes, ...]) -> None:
    """RET-47, RET-51: where the count differs, no frame is there."""
    content = encapsulated(image(frames="2"), *contents)
    assert frames_of(content) == [None, None]
    table = table_of(content)
    assert table is not None
    assert not table.complete


def test_empty_frame_is_not_there() -> None:
    """RET-51: empty Pixel Data."""
    assert frames_of(encapsulated(image(), b"")) == [None]
    assert frames_of(encapsulated(image(frames="2"), b"ab", b"")) == [b"ab", None]


@pytest.mark.parametrize("cut", [1, 5, 7])
def test_cut_off_in_the_last_fragment(cut: int) -> None:
    """RET-51, STO-29: what is wholly there is found."""
    whole = encapsulated(image(frames="2"), b"abcd", b"efghijkl", end=False)
    assert frames_of(whole) == [b"abcd", b"efghijkl"]
    assert frames_of(whole[:-cut]) == [b"abcd", None]
    single = encapsulated(image(), b"abcd", b"efghijkl", end=False)
    assert frames_of(single[:-cut]) == [None]


def test_cut_off_before_the_last_frame() -> None:
    """RET-51: the offset table tells which frames are whole."""
    table = offsets(0, 12, 24)
    assert frames_of(encapsulated(image(frames="3"), b"abcd", b"efgh", offset_table=table, end=False)) == [
        b"abcd", b"efgh", None,
    ]  # fmt: skip
    table = offsets(0, 24, 60)
    content = encapsulated(image(frames="3"), b"abcd", b"efgh", b"ijkl", offset_table=table, end=False)
    assert frames_of(content[:-12]) == [b"abcdefgh", None, None]


@pytest.mark.parametrize("garbage", [b"garbage!", pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)])
def test_something_else_than_fragments(garbage: bytes) -> None:
    """RET-47: never wrong bytes; the file itself is read (STO-82)."""
    content = part10(encode(image()) + fragments(b"abcd", end=False) + garbage, JPEG_BASELINE)
    assert frames_of(content) == [None]


def test_number_of_fragments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-69"""
    monkeypatch.setattr("shared.dicom.fragments.MAX_FRAGMENTS", 100)
    data = fragments(*[b""] * 200)
    assert read_fragments(data, 12, len(data), "<").end is None
    assert frames_of(part10(encode(image()) + data, JPEG_BASELINE)) == [None]


# ---------------------------------------------------------------- the packed form


def large_table(count: int) -> FrameTable:
    rng = random.Random(count)
    lengths = array("I", (rng.randrange(20_000, 30_000) & ~1 for _ in range(count)))
    positions, position = array("Q"), 1500
    for length in lengths:
        positions.append(position + 8)
        position += 8 + length
    return FrameTable(count, count, fragments=encapsulated_frames(range(count + 1), positions, lengths))


def test_ten_thousand_frames_stay_small() -> None:
    """A property of a table holds 64 KB; the lengths themselves are most of what is left."""
    table = large_table(10_000)
    packed = table.pack()
    assert len(packed) < 24_000
    assert FrameTable.unpack(packed) == table
    assert FrameTable.unpack(packed).pieces(10_000) == table.pieces(10_000)


@pytest.mark.parametrize(
    "table",
    [
        FrameTable(1, 1, 1000, 4096),
        FrameTable(7, 3, 1000, 9, 340),
        FrameTable(2, 0, fragments=encapsulated_frames([0], array("Q"), array("I"))),
        FrameTable(2, 2, 0, 0, 0, encapsulated_frames([0, 2, 3], array("Q", [9, 99, 2**40]), array("I", [4, 0, 9]))),
    ],
)
def test_unpacking_gives_the_table_back(table: FrameTable) -> None:
    packed = table.pack()
    assert FrameTable.unpack(packed) == table
    assert packed_fragments(packed) == (len(table.fragments.positions) if table.fragments else 0)


def test_fragments_behind_the_last_frame_are_not_kept() -> None:
    frames = encapsulated_frames([0, 1], array("Q", [10, 20]), array("I", [2, 2]))
    assert frames == EncapsulatedFrames(array("Q", [0, 1]), array("Q", [10]), array("Q", [2]))


@pytest.mark.parametrize("frame", [0, -1, 3, 2**40])
def test_frames_that_are_not_there(frame: int) -> None:
    """RET-44"""
    for content in (native(b"abcdefgh", image(frames="2")), encapsulated(image(frames="2"), b"ab", b"cd")):
        table = table_of(content)
        assert table is not None
        with pytest.raises(IndexError):
            table.pieces(frame)


# ---------------------------------------------------------------- against pydicom


@pytest.mark.filterwarnings("ignore")
def test_bundled_files_have_the_frames_that_pydicom_finds() -> None:
    """RET-46, RET-47: over all bundled files with encapsulated pixel data."""
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    compared = 0
    for path in bundled_files():
        content = path.read_bytes()
        if content[128:132] != b"DICM" or b"1.2.840.10008.1.2.4." not in content[:1000]:
            continue
        data_set = dcmread(path, force=True)
        if not getattr(data_set, "PixelData", b"") or not data_set.file_meta.TransferSyntaxUID.is_compressed:
            continue
        count = int(data_set.get("NumberOfFrames") or 1)
        expected = list(generate_frames(data_set.PixelData, number_of_frames=count))
        assert frames_of(content) == expected, path.name
        compared += 1
    assert compared >= 30
