"""Transcoding of made files: what changes, what stays, what is refused."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from shared.dicom.instance import parse_instance
from shared.dicom.pixels import Undecodable
from shared.dicom.transcode import transcode_file
from tests.support.made_images import encoded, gradient, made_image

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

ELE = "1.2.840.10008.1.2.1"
J2KL = "1.2.840.10008.1.2.4.90"
NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def transcoded(content: bytes, target: str) -> bytes:
    parsed = parse_instance(content, study=None)
    out = io.BytesIO()
    transcode_file(content, parsed.transfer_syntax, target, parsed.frames, out)
    return out.getvalue()


def read(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


def random_pixels(dtype: str, *shape: int) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    return np.random.default_rng(len(shape)).integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def everything() -> Dataset:
    """An image with an attribute of nearly every VR, also in nested sequences, private ones among them."""
    dataset = made_image(random_pixels("<i2", 2, 33, 35))
    inner = Dataset()
    inner.CodeValue, inner.SelectorFDValue, inner.SelectorULValue = "odd", [0.1, -2.5], [1, 2**32 - 1]
    inner.SelectorATValue, inner.SelectorSVValue, inner.SelectorUVValue = [0x00100010], [-1], [2**60]
    inner.SelectorOLValue, inner.SelectorODValue = bytes(range(8)), bytes(range(16))
    inner.SelectorOFValue, inner.SelectorOWValue = bytes(range(12)), bytes(range(6))
    outer = Dataset()
    outer.ProcedureCodeSequence = [inner, Dataset(), inner]
    outer.TextValue = "x" * 70_000
    dataset.RequestAttributesSequence = [outer, outer]
    dataset.PatientName, dataset.PixelSpacing, dataset.WindowCenter = "A^B=C", ["0.50", "1"], "  7"
    dataset.SmallestImagePixelValue = -5
    dataset.ReferencedImageSequence = []
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(1, "FL", 1.5)
    block.add_new(2, "SQ", [inner])
    return dataset


def turn_round(dataset: Dataset) -> None:
    """Other values of binary numbers, which pydicom takes for bytes, little endian."""
    for element in dataset.iterall():
        width = {"OW": 2, "OF": 4, "OL": 4, "OD": 8}.get(element.VR)
        if width and element.keyword != "PixelData":
            numbers = np.frombuffer(element.value, f">u{width}")
            element.value = numbers.astype(f"<u{width}").tobytes()


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("target", [ELE, J2KL])
@pytest.mark.parametrize("undefined", [False, True])
def test_attributes_stay(syntax: Any, target: str, undefined: bool) -> None:
    """RET-31, RET-33, RET-37: with their values, whatever their VR, sequences of defined and undefined length"""
    dataset = everything()
    if undefined:
        for element in dataset.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = True
                for item in element.value:
                    item.is_undefined_length_sequence_item = True
    content = encoded(dataset, syntax)
    before, after = read(content), read(transcoded(content, target))
    if syntax == ExplicitVRBigEndian:
        turn_round(before)
    assert after.file_meta.TransferSyntaxUID == target
    assert [element.tag for element in after] == [element.tag for element in before]
    for element in before:
        if element.keyword != "PixelData" and not element.tag.is_private:
            assert after[element.tag] == element
    assert np.array_equal(after.pixel_array, everything().pixel_array)
    if syntax != ImplicitVRLittleEndian:
        assert after[0x0009, 0x1001].value == 1.5
        assert after[0x0009, 0x1002].value[0].SelectorULValue == [1, 2**32 - 1]
    else:
        assert (after[0x0009, 0x1001].VR, len(after[0x0009, 0x1001].value)) == ("UN", 4)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2"])
@pytest.mark.parametrize("shape", [(33, 40), (3, 33, 40), (3, 5), (2, 1, 1)])
@pytest.mark.parametrize("unused", [0, 4])
def test_jpeg_2000(dtype: str, shape: tuple[int, ...], unused: int) -> None:
    """RET-33: a raw codestream in one fragment a frame, samples identical, small pictures too"""
    pixels = random_pixels(dtype, *shape) >> unused
    stored = pixels.itemsize * 8 - unused
    dataset = made_image(pixels, BitsStored=stored, HighBit=stored - 1)
    after = read(transcoded(encoded(dataset), J2KL))
    frames = list(generate_frames(after.PixelData))
    assert len(frames) == (shape[0] if len(shape) == 3 else 1)
    assert all(frame.startswith(b"\xff\x4f\xff\x51") for frame in frames)
    assert after["PixelData"].VR == "OB"
    assert np.array_equal(after.pixel_array, pixels.reshape(after.pixel_array.shape))
    assert read(transcoded(transcoded(encoded(dataset), J2KL), ELE)).PixelData == dataset.PixelData


def test_bits_beyond_bits_stored() -> None:
    """RET-33: identical samples, also where they use more bits than they say"""
    pixels = random_pixels("<u2", 40, 40)
    dataset = made_image(pixels, BitsStored=12, HighBit=11)
    again = read(transcoded(transcoded(encoded(dataset), J2KL), ELE))
    assert again.PixelData == dataset.PixelData


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_colours_in_jpeg_2000(planar: int, dtype: str) -> None:
    """RET-33: reversible colour transform, YBR_RCT, pixel by pixel"""
    pixels = random_pixels(dtype, 2, 40, 50, 3)
    dataset = made_image(pixels, SamplesPerPixel=3, PlanarConfiguration=planar)
    after = read(transcoded(encoded(dataset), J2KL))
    assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("YBR_RCT", 0)
    back = read(transcoded(encoded(dataset) if not planar else transcoded(encoded(dataset), J2KL), ELE))
    assert back.PhotometricInterpretation == "RGB"
    assert np.array_equal(back.pixel_array, pixels)


def test_subsampled_colours_in_jpeg_2000() -> None:
    """RET-33: every pixel gets the colours that it shared"""
    dataset = made_image(random_pixels("u1", 40, 80), PhotometricInterpretation="YBR_FULL_422")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.Columns = 3, 0, 40
    content = encoded(dataset)
    after = read(transcoded(content, J2KL))
    assert after.PhotometricInterpretation == "YBR_FULL"
    back = read(transcoded(transcoded(content, J2KL), ELE))
    pairs = np.frombuffer(dataset.PixelData, "u1").reshape(40, 20, 4)
    plain = np.frombuffer(back.PixelData, "u1").reshape(40, 40, 3)
    assert np.array_equal(plain[:, ::2, 0], pairs[..., 0])
    assert np.array_equal(plain[:, 1::2, 1:], pairs[..., 2:])


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_rle(planar: int, photometric: str) -> None:
    """RET-32: colours stay what they are, in the planar configuration of the data set"""
    pixels = random_pixels("<u2", 2, 13, 11, 3)
    dataset = made_image(pixels, SamplesPerPixel=3, PlanarConfiguration=planar, PhotometricInterpretation=photometric)
    native = dataset.PixelData
    planes = np.moveaxis(pixels, -1, 1)
    frames = [rle_frame(frame) for frame in planes]
    dataset.add_new("PixelData", "OB", encapsulate(frames))
    dataset["PixelData"].is_undefined_length = True
    after = read(transcoded(encoded(dataset, RLELossless), ELE))
    assert (after.PhotometricInterpretation, after.PlanarConfiguration) == (photometric, planar)
    assert after.PixelData == native


def rle_frame(planes: NDArray[Any]) -> bytes:
    """PS3.5 annex G, without any run: high bytes of a plane, low bytes, the next plane."""
    segments = []
    for plane in planes:
        data = plane.astype(">u2").tobytes()
        for part in (data[::2], data[1::2]):
            pieces = [part[start : start + 128] for start in range(0, len(part), 128)]
            segment = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
            segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = np.cumsum([64] + [len(segment) for segment in segments[:-1]]).astype("<u4").tobytes()
    head = len(segments).to_bytes(4, "little") + offsets
    return head + bytes(64 - len(head)) + b"".join(segments)


def test_group_lengths() -> None:
    """RET-37: those that a file has are made right; nothing else is added or removed"""
    dataset = made_image(random_pixels("<u2", 33, 33), PatientName="A")
    for group in (0x0008, 0x0010, 0x0028, 0x7FE0):
        dataset.add_new(group << 16, "UL", 1)
    content = written_with_group_lengths(dataset)
    got = transcoded(content, ELE)
    after = read(got)
    tags = [element.tag for element in read(content)]
    assert [element.tag for element in after] == tags
    positions = {int(tag): got.index(header(tag)) for tag in tags}
    for group in (0x0008, 0x0010, 0x0028):
        start = positions[group << 16] + 12
        following = min(position for tag, position in positions.items() if tag >> 16 > group)
        assert after[group, 0].value == following - start
    assert after[0x7FE0, 0].value == len(got) - positions[0x7FE00000] - 12
    compressed = read(transcoded(content, J2KL))
    assert (0x7FE0, 0) not in compressed


def header(tag: Any) -> bytes:
    return int(tag.group).to_bytes(2, "little") + int(tag.element).to_bytes(2, "little")


def written_with_group_lengths(dataset: Dataset) -> bytes:
    """In Implicit VR Little Endian; pydicom leaves group lengths away, so they are put in by hand."""
    plain = encoded(dataset, ImplicitVRLittleEndian)
    start = 144 + int.from_bytes(plain[140:144], "little")
    body = plain[start:]
    for group in (0x7FE0, 0x0028, 0x0010, 0x0008):
        first = min(element.tag for element in dataset if element.tag.group == group and element.tag.element)
        at = body.index(header(first))
        body = body[:at] + group.to_bytes(2, "little") + b"\0\0\4\0\0\0" + b"\1\0\0\0" + body[at:]
    return plain[:start] + body


def test_trailing_elements() -> None:
    """RET-37: what stands behind the pixel data"""
    dataset = made_image(random_pixels("u1", 33, 33))
    dataset.add_new(0xFFFCFFFC, "OB", bytes(10))
    for target in (ELE, J2KL):
        after = read(transcoded(encoded(dataset, ImplicitVRLittleEndian), target))
        assert after[0xFFFCFFFC].value == bytes(10)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("target", [ELE, J2KL])
@pytest.mark.parametrize("padding", [bytes(4), b"no element at all"])
def test_padding_behind_pixel_data(syntax: Any, target: str, padding: bytes) -> None:
    """RET-31, RET-37: what is no element is read by nobody, and refuses nothing"""
    content = encoded(made_image(gradient(40, 50)), syntax)
    assert transcoded(content + padding, target) == transcoded(content, target)


def test_invalid_values_stay() -> None:
    """RET-24, RET-37: nothing is coerced"""
    dataset = made_image(gradient(33, 33))
    dataset.add_new(0x00200013, "LO", "no number")
    dataset.add_new(0x00080020, "LO", "not a date")
    got = transcoded(encoded(dataset, ImplicitVRLittleEndian), ELE)
    assert b"\x20\x00\x13\x00IS\x0a\x00no number " in got
    assert b"\x08\x00\x20\x00DA\x0a\x00not a date" in got


def missing_frame(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 3


def one_bit(dataset: Dataset) -> None:
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0


def thirty_two_bit(dataset: Dataset) -> None:
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.Rows //= 2


@pytest.mark.parametrize(
    ("change", "targets"),
    [(missing_frame, [ELE, J2KL]), (one_bit, [J2KL]), (thirty_two_bit, [J2KL])],
)
def test_refused(change: Callable[[Dataset], None], targets: list[str]) -> None:
    """RET-33, RET-34, RET-51"""
    dataset = made_image(gradient(34, 34))
    change(dataset)
    content = encoded(dataset, ImplicitVRLittleEndian)
    for target in (ELE, J2KL):
        if target in targets:
            with pytest.raises(Undecodable):
                transcoded(content, target)
        else:
            assert read(transcoded(content, target)).PixelData == dataset.PixelData


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 5000), st.binary(max_size=8), st.sampled_from([None, *NATIVE]))
def test_damaged_files(position: int, damage: bytes, syntax: Any) -> None:
    """RET-34: any file is transcoded or refused, whatever its bytes; 150 examples"""
    content = _DAMAGED[syntax]
    broken = content[:position] + damage + content[position + len(damage) :]
    parsed = parse_instance(content, study=None)
    for target in (ELE, J2KL):
        try:
            transcode_file(broken, parsed.transfer_syntax, target, parsed.frames, io.BytesIO())
        except Undecodable:
            continue


def _compressed() -> bytes:
    return transcoded(encoded(everything()), J2KL)


_DAMAGED = {syntax: encoded(everything(), syntax) for syntax in NATIVE}
_DAMAGED[None] = _compressed()
