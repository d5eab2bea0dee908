"""Pictures of made images, compared with a reference that is written down independently."""

import io
import sys
from struct import pack
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from shared.dicom.frames import FrameTable
from shared.dicom.instance import parse_instance
from shared.dicom.pixels import TooLarge, Undecodable
from shared.dicom.render import LONGEST_KEPT, needs_first_frame, render_frame
from tests.support.made_images import encoded, gradient, made_image
from tests.support.reference_rendering import reference_picture

pytestmark = pytest.mark.unit

SIGNED = gradient(64, 48, "<i2", -2000, 3000)
UNSIGNED = gradient(64, 48, "<u2", 0, 4095)


def picture(content: bytes, frame: int = 1, media_type: str = "image/png", quality: int = 100) -> NDArray[Any]:
    """The picture of a frame of a native file."""
    parsed = parse_instance(content, study=None)
    table = FrameTable.unpack(parsed.frames)
    cuts = []
    for number in (frame, 1):
        data = b"".join(content[start : start + length] for start, length in table.pieces(number))
        cuts.append(table.cut(number, data))
    first = cuts[1] if needs_first_frame(content, parsed.transfer_syntax, frame) else None
    encoded_picture = render_frame(content, parsed.transfer_syntax, frame, cuts[0], first, media_type, quality)
    with Image.open(io.BytesIO(encoded_picture)) as image:
        return np.asarray(image)


def check(dataset: Dataset, frame: int = 1) -> NDArray[Any]:
    """Renders the frame, compares it with the reference to one grey level, and gives the picture."""
    content = encoded(dataset)
    shown = picture(content, frame)
    expected = reference_picture(dcmread(io.BytesIO(content)), frame)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(float) - expected).max() <= 1
    return shown


def table(first: int, entries: NDArray[Any], bits: int, count: int | None = None, vr: str = "OW") -> Dataset:
    """An item of Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) if count is None else count, first, bits])
    data: Any = (
        entries.astype("<u2").tobytes() if vr == "OW" else entries.astype("<i2" if vr == "SS" else "<u2").tolist()
    )
    item.add_new(0x00283006, vr, data)
    return item


# ------------------------------------------------------------------ windows


@pytest.mark.parametrize("function", ["", "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (0.5, 1), (100, 2), (-1000, 1.5), (500, 5000)])
@pytest.mark.parametrize("pixels", [SIGNED, UNSIGNED], ids=["signed", "unsigned"])
def test_window(function: str, center: float, width: float, pixels: NDArray[Any]) -> None:
    """RET-87 (b), RET-88, RET-91, RET-92, RET-95"""
    dataset = made_image(pixels, WindowCenter=center, WindowWidth=width, RescaleSlope=1, RescaleIntercept=-24)
    if function:
        dataset.VOILUTFunction = function
    check(dataset)


def test_window_by_hand() -> None:
    """RET-88: the three values of the formula that can be worked out in the head"""
    dataset = made_image(np.array([[0, 100, 200]], "<u2"), WindowCenter=100.5, WindowWidth=201)
    assert picture(encoded(dataset)).tolist() == [[0, 128, 255]]


def test_first_window_counts() -> None:
    """RET-87 (b): of several windows the first"""
    check(made_image(UNSIGNED, WindowCenter=[1000, 40], WindowWidth=[500, 400]))


@pytest.mark.parametrize("width", [0, 0.9, -5, None, ""])
def test_no_window_below_one(width: Any) -> None:
    """RET-87 (b): such a width is none, so that the extremes are shown"""
    dataset = made_image(UNSIGNED, WindowCenter=1000)
    if width is not None:
        dataset.WindowWidth = width
    shown = check(dataset)
    assert (shown.min(), shown.max()) == (0, 255)


def test_window_is_in_rescaled_values() -> None:
    """RET-91: Hounsfield units, not stored values"""
    dataset = made_image(UNSIGNED, WindowCenter=40, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-1024)
    shown = check(dataset)
    assert shown[UNSIGNED < 412].max() == 0
    assert shown[UNSIGNED > 640].min() == 255


# ------------------------------------------------------------------ without a window


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"])
def test_stretched(dtype: str) -> None:
    """RET-87 (e), RET-89, RET-95"""
    low = -100 if dtype.strip("<").startswith("i") else 7
    shown = check(made_image(gradient(40, 40, dtype, low, 120)))
    assert (shown.min(), shown.max()) == (0, 255)


def test_smallest_and_largest_value() -> None:
    """RET-87 (d)"""
    check(made_image(UNSIGNED, SmallestImagePixelValue=1000, LargestImagePixelValue=2000))
    check(made_image(SIGNED, SmallestImagePixelValue=-500, LargestImagePixelValue=500))


@pytest.mark.parametrize(("smallest", "largest"), [(5, 5), (6, 5)])
def test_useless_extremes(smallest: int, largest: int) -> None:
    """RET-87 (d): unless smallest < largest they do not count"""
    shown = check(made_image(UNSIGNED, SmallestImagePixelValue=smallest, LargestImagePixelValue=largest))
    assert (shown.min(), shown.max()) == (0, 255)


def test_padding_is_left_out() -> None:
    """RET-90"""
    pixels = SIGNED.copy()
    pixels[:5] = -30000
    shown = check(made_image(pixels, PixelPaddingValue=-30000))
    assert shown[5:].min() == 0
    assert shown[5:].max() == 255
    assert shown[:5].max() == 0
    check(made_image(np.full((4, 4), 9, "<u2"), PixelPaddingValue=9))


def test_one_value() -> None:
    """RET-87 (e): the width is at least 1"""
    assert check(made_image(np.full((5, 5), 77, "u1"))).min() == 255


def test_two_neighbouring_values() -> None:
    """RET-89: stretched to the full range, however close they are"""
    assert check(made_image(np.array([[5, 6]], "u1"))).tolist() == [[0, 255]]
    assert check(made_image(np.array([[5, 6]], "u1"), RescaleSlope=0.25, RescaleIntercept=3)).tolist() == [[0, 255]]


def test_extremes_of_the_first_frame() -> None:
    """RET-87 (e): all frames are shown by the extremes of the first"""
    frames = np.stack([gradient(32, 32, "<u2", 100, 200), gradient(32, 32, "<u2", 0, 300)])
    dataset = made_image(frames)
    check(dataset, 1)
    second = check(dataset, 2)
    assert (second == 0).sum() > 300
    assert (second == 255).sum() > 300


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("vr", ["US", "SS", "OW"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_voi_lut(vr: str, bits: int) -> None:
    """RET-87 (a), RET-93: it wins over the window, and is stretched from its lowest to its highest entry"""
    entries = (np.arange(256) ** 2 % 1900 + 20) * (1 if bits > 8 else 0.1)
    dataset = made_image(UNSIGNED, WindowCenter=1, WindowWidth=2)
    dataset.VOILUTSequence = [table(1000, entries.astype(int), bits, vr=vr)]
    shown = check(dataset)
    assert (shown.min(), shown.max()) == (0, 255)


def test_voi_lut_behind_rescale() -> None:
    """RET-93: inputs below and above take the ends; the first mapped value may be negative"""
    dataset = made_image(SIGNED, RescaleSlope=0.5, RescaleIntercept=-10)
    dataset.VOILUTSequence = [table(-300, np.arange(500) * 100, 16)]
    check(dataset)


def test_falling_voi_lut() -> None:
    """RET-93: a table that falls keeps falling"""
    dataset = made_image(gradient(16, 16, "u1"))
    dataset.VOILUTSequence = [table(0, np.arange(255, -1, -1), 8)]
    shown = check(dataset)
    assert (shown[0, 0], shown[-1, -1]) == (255, 0)


def test_voi_lut_of_65536_entries() -> None:
    """RET-93: a count of 0"""
    dataset = made_image(gradient(256, 256, "<u2"))
    dataset.VOILUTSequence = [table(0, np.arange(65536) // 2, 16, count=0)]
    check(dataset)


def test_voi_lut_in_bytes() -> None:
    """RET-93: eight-bit entries may lie two in a word"""
    dataset = made_image(gradient(16, 16, "u1"))
    item = Dataset()
    item.add_new(0x00283002, "US", [256, 0, 8])
    item.add_new(0x00283006, "OW", bytes(value // 2 for value in range(256)))
    dataset.VOILUTSequence = [item]
    shown = picture(encoded(dataset))
    assert np.abs(shown.ravel().astype(int) - [round((value // 2) / 127 * 255) for value in range(256)]).max() <= 1


@pytest.mark.parametrize("descriptor", [[], [3, 0], None])
def test_useless_tables(descriptor: list[int] | None) -> None:
    """RET-87: a table that cannot be read is none"""
    dataset = made_image(UNSIGNED, WindowCenter=1000, WindowWidth=500)
    plain = picture(encoded(dataset))
    item = Dataset()
    if descriptor is not None:
        item.add_new(0x00283002, "US", descriptor)
        item.add_new(0x00283006, "OW", b"")
    dataset.VOILUTSequence = [item]
    dataset.ModalityLUTSequence = [item]
    assert np.array_equal(picture(encoded(dataset)), plain)


def test_modality_lut() -> None:
    """RET-87, RET-93: in the place of slope and intercept"""
    dataset = made_image(UNSIGNED, WindowCenter=700, WindowWidth=900, RescaleSlope=3, RescaleIntercept=5)
    dataset.ModalityLUTSequence = [table(500, (np.arange(2000) * 7) % 3000, 16)]
    check(dataset)
    del dataset.WindowWidth
    check(dataset)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_modality_lut_of_angiography(number: int) -> None:
    """RET-87: not applied"""
    dataset = made_image(
        UNSIGNED, WindowCenter=700, WindowWidth=900, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.12.{number}"
    )
    plain = picture(encoded(dataset))
    dataset.ModalityLUTSequence = [table(500, (np.arange(2000) * 7) % 3000, 16)]
    assert np.array_equal(check(dataset), plain)


# ------------------------------------------------------------------ functional groups


def group(**items: Dataset) -> Dataset:
    """An item of a functional groups sequence."""
    made = Dataset()
    for keyword, item in items.items():
        setattr(made, keyword, [item])
    return made


def attributes(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_functional_groups() -> None:
    """RET-87 (c): window, function, slope and intercept of the frame's own item, else of the shared one"""
    dataset = made_image(np.stack([SIGNED] * 3))
    dataset.SharedFunctionalGroupsSequence = [
        group(
            FrameVOILUTSequence=attributes(WindowCenter=100, WindowWidth=300, VOILUTFunction="SIGMOID"),
            PixelValueTransformationSequence=attributes(RescaleSlope=2, RescaleIntercept=10),
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        group(),
        group(FrameVOILUTSequence=attributes(WindowCenter=900, WindowWidth=50)),
        group(PixelValueTransformationSequence=attributes(RescaleSlope=0.5, RescaleIntercept=0)),
    ]
    pictures = [check(dataset, frame) for frame in (1, 2, 3)]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("tag", [0x52009229, 0x00283010])
def test_sequences_of_unknown_representation(tag: int) -> None:
    """RET-87, RET-93: writers that do not know a sequence make it a UN of defined length, of implicit items"""
    known = made_image(UNSIGNED)
    if tag == 0x00283010:
        known.VOILUTSequence = [table(100, np.arange(60000, 0, -20), 16)]
    else:
        known.SharedFunctionalGroupsSequence = [
            group(FrameVOILUTSequence=attributes(WindowCenter=500, WindowWidth=300))
        ]
    expected = check(known)
    holder, implicit = Dataset(), io.BytesIO()
    holder.add(known[tag])
    dcmwrite(implicit, holder, implicit_vr=True, little_endian=True)
    items = implicit.getvalue()[8:]
    del known[tag]
    head, pixels = encoded(known).split(b"\xe0\x7f\x10\0")
    content = head + pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"UN", 0, len(items)) + items + b"\xe0\x7f\x10\0" + pixels
    assert (picture(content) == expected).all()


def test_data_set_before_functional_groups() -> None:
    """RET-87 (b) before (c)"""
    dataset = made_image(SIGNED, WindowCenter=0, WindowWidth=100)
    dataset.SharedFunctionalGroupsSequence = [group(FrameVOILUTSequence=attributes(WindowCenter=900, WindowWidth=50))]
    check(dataset)


# ------------------------------------------------------------------ photometric interpretations


def test_monochrome1() -> None:
    """RET-94"""
    dataset = made_image(UNSIGNED, WindowCenter=1000, WindowWidth=900)
    plain = check(dataset)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    assert np.abs(check(dataset).astype(int) - (255 - plain)).max() <= 1


@pytest.mark.parametrize("value", [0, 1])
def test_one_bit(value: int) -> None:
    """RET-95: 0 is black, 1 is white, also where there is nothing else"""
    mixed = np.zeros((3, 9, 11), bool)
    mixed[1, 2:5, 3:7] = mixed[2] = True
    dataset = made_image(mixed)
    for frame in (1, 2, 3):
        assert np.array_equal(check(dataset, frame), mixed[frame - 1] * 255)
    assert np.all(picture(encoded(made_image(np.full((8, 8), bool(value))))) == value * 255)


@pytest.mark.parametrize(
    ("stored", "high_bit", "signed"), [(12, 11, 0), (12, 11, 1), (10, 14, 0), (10, 14, 1), (1, 15, 0)]
)
def test_true_values(stored: int, high_bit: int, signed: int) -> None:
    """RET-95: other bits of the container are not the image's"""
    random = np.random.default_rng(stored)
    values = random.integers(-(1 << stored - 1) if signed else 0, 1 << stored - signed, (20, 20))
    low_bit = high_bit + 1 - stored
    noise = random.integers(0, 65536, (20, 20)) & ~(((1 << stored) - 1) << low_bit)
    container = ((values & ((1 << stored) - 1)) << low_bit | noise).astype("<u2")
    dataset = made_image(container, BitsStored=stored, HighBit=high_bit, PixelRepresentation=signed)
    dataset.WindowCenter, dataset.WindowWidth = 10, 300
    plain = made_image(values.astype("<i2"), WindowCenter=10, WindowWidth=300)
    assert np.array_equal(picture(encoded(dataset)), check(plain))


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_rgb(planar: int, dtype: str) -> None:
    """RET-96: exact, without a window"""
    random = np.random.default_rng(7)
    pixels = random.integers(0, np.iinfo(dtype).max, (2, 13, 17, 3)).astype(dtype)
    dataset = made_image(pixels, SamplesPerPixel=3, PlanarConfiguration=planar, WindowCenter=5, WindowWidth=3)
    expected = pixels[1] if dtype == "u1" else pixels[1] >> 8
    assert np.array_equal(check(dataset, 2), expected)


def test_ybr_full() -> None:
    """RET-97"""
    pixels = np.random.default_rng(3).integers(0, 255, (16, 16, 3)).astype("u1")
    check(made_image(pixels, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL"))


def test_ybr_full_422() -> None:
    """RET-97, RET-46: each pair of pixels shares its colours, the last pixel of an odd row is half a pair"""
    random = np.random.default_rng(4)
    pairs = random.integers(0, 255, (10, 3, 4)).astype("u1")
    full = np.zeros((10, 6, 3), "u1")
    full[:, ::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    full[..., 1], full[..., 2] = pairs[..., 2].repeat(2, axis=1), pairs[..., 3].repeat(2, axis=1)
    for columns in (6, 5):
        dataset = made_image(pairs.reshape(10, 12, 1)[..., 0], PhotometricInterpretation="YBR_FULL_422")
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.Columns = 3, 0, columns
        plain = made_image(full[:, :columns], SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL")
        assert np.array_equal(picture(encoded(dataset)), check(plain))


@pytest.mark.parametrize(
    ("bits", "count", "first"), [(8, 256, 0), (16, 256, 0), (16, 100, 50), (16, 0, 0), (8, 30, 20)]
)
def test_palette(bits: int, count: int, first: int) -> None:
    """RET-98"""
    random = np.random.default_rng(bits + count)
    dataset = made_image(gradient(64, 64, "<u2" if not count else "u1"), PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        entries = random.integers(0, 1 << bits, count or 65536).astype("u1" if bits == 8 else "<u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [count, first, bits])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    check(dataset)


# ------------------------------------------------------------------ what cannot be shown, and how pictures are encoded


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "CMYK"},
        {"BitsAllocated": 12},
        {"Rows": 5000},
        {"SamplesPerPixel": 2, "PhotometricInterpretation": "RGB"},
    ],
)
def test_undecodable(changes: dict[str, Any]) -> None:
    """RET-84"""
    dataset = made_image(UNSIGNED)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    content = encoded(dataset)
    with pytest.raises(Undecodable):
        render_frame(content, "1.2.840.10008.1.2.1", 1, dataset.PixelData, None, "image/png", 100)


def test_too_large() -> None:
    """RET-84: known before anything is decoded, from the header"""
    content = encoded(made_image(UNSIGNED))
    size = UNSIGNED.nbytes
    render_frame(content, "1.2.840.10008.1.2.1", 1, UNSIGNED.tobytes(), None, "image/png", 100, most=size)
    with pytest.raises(TooLarge):
        render_frame(content, "1.2.840.10008.1.2.1", 1, b"", None, "image/png", 100, most=size - 1)


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "RGB"])
def test_long_headers_are_not_kept(photometric: str) -> None:
    """RET-84: a header may have a hundred megabytes; sixteen of them would stay in memory"""
    pixels = np.zeros((4, 5, 3) if photometric == "RGB" else (4, 5), "u1")
    dataset = made_image(pixels, SamplesPerPixel=pixels.ndim * 2 - 3, PhotometricInterpretation=photometric)
    dataset.add_new(0x00090010, "LO", "TESTS")
    dataset.add_new(0x00091001, "OB", bytes(LONGEST_KEPT))
    content = encoded(dataset)
    before = sys.getrefcount(content)
    picture(content)
    assert sys.getrefcount(content) == before


def test_quality() -> None:
    """RET-81, RET-85: JPEG gets smaller with less quality and keeps its size in pixels"""
    pixels = np.random.default_rng(1).integers(0, 255, (64, 40)).astype("u1")
    content = encoded(made_image(pixels))
    sizes = []
    for quality in (1, 50, 100):
        jpeg = render_frame(content, "1.2.840.10008.1.2.1", 1, pixels.tobytes(), None, "image/jpeg", quality)
        with Image.open(io.BytesIO(jpeg)) as image:
            assert (image.format, image.size) == ("JPEG", (40, 64))
        sizes.append(len(jpeg))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
