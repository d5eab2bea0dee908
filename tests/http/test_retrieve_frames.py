"""Frames by URL: lists, negotiation, native and encapsulated frames, what is missing, and hostile files."""

import io
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.made_images import encoded, gradient, made_image
from tests.support.multipart_answers import parts_of
from tests.support.retrieving import (
    BASELINE,
    ELE,
    FRAME_PARTS,
    J2KL,
    NO_FRAME,
    NOT_ACCEPTABLE,
    NOT_TRANSCODED,
    get,
    refusal,
)
from tests.support.stow import new_triple, store

pytestmark = pytest.mark.integration

STORED = f"{FRAME_PARTS}; transfer-syntax=*"
NOT_POSITIVE = (
    "The specified frames value is not valid. At least one frame must be present, and all requested frames must have "
    "value greater than 0."
)
THREE = np.stack([gradient(6, 5, "<u2", 0, 900 + number) for number in range(3)])


def stored(base_url: str, dataset: Dataset, transfer_syntax: Any = None) -> str:
    """Stores the image; the URL of the instance."""
    content = encoded(dataset) if transfer_syntax is None else encoded(dataset, transfer_syntax)
    return stored_file(base_url, content, dataset)


def stored_file(base_url: str, content: bytes, dataset: Dataset) -> str:
    answer = store(base_url, content)
    assert answer.status in (200, 202), answer.text
    assert not answer.failed, answer.text
    return (
        f"{base_url}/v2/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def frames(url: str, numbers: str, accept: str = STORED) -> list[bytes]:
    answer = get(f"{url}/frames/{numbers}", accept)
    assert answer.status_code == 200, answer.text
    return [part.content for part in parts_of(answer)]


def compressed(pixels: NDArray[Any], syntax: Any, value: bytes, **attributes: Any) -> tuple[bytes, Dataset]:
    """An image whose pixel data is `value`, encapsulated already."""
    dataset = made_image(pixels, **attributes)
    dataset.add_new("PixelData", "OB", value)
    dataset["PixelData"].is_undefined_length = True
    return encoded(dataset, syntax), dataset


def jpeg(pixels: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture(scope="module")
def three(base_url: str) -> str:
    """An instance of three native frames."""
    return stored(base_url, made_image(THREE))


# ------------------------------------------------------------------ lists of numbers


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [("1", [1]), ("1,3", [1, 3]), ("3,1,2", [3, 1, 2]), ("2,2", [2, 2]), ("1%2C2", [1, 2]), ("%201%20,%203", [1, 3])],
)
def test_lists(three: str, numbers: str, expected: list[int]) -> None:
    """RET-40, RET-45, RET-48"""
    answer = get(f"{three}/frames/{numbers}", STORED)
    kind = f"application/octet-stream; transfer-syntax={ELE}"
    assert [(part.content_type, part.content) for part in parts_of(answer)] == [
        (kind, THREE[number - 1].tobytes()) for number in expected
    ]


@pytest.mark.parametrize(
    ("numbers", "bad"),
    [("abc", "abc"), ("1.5", "1.5"), ("1,", ""), ("1,x,0", "x"), ("2147483648", "2147483648"), ("1_0", "1_0")],
)
def test_no_numbers(three: str, numbers: str, bad: str) -> None:
    """RET-41, RET-06: before Accept and UIDs"""
    message = f"The query parameter 'frames' is invalid. Unable to parse value '{bad}' as Int32."
    assert refusal(get(f"{three}/frames/{numbers}", "image/gif")) == (400, message)
    assert refusal(get(f"{three}x/frames/{numbers}", STORED)) == (400, message)


@pytest.mark.parametrize("numbers", ["0", "-1", "1,0", "-2147483648,1"])
def test_numbers_below_one(three: str, numbers: str) -> None:
    """RET-41, RET-06: before Accept"""
    assert refusal(get(f"{three}/frames/{numbers}", "image/gif")) == (400, NOT_POSITIVE)


@pytest.mark.parametrize("numbers", ["4", "1,4", "2147483647"])
def test_numbers_above_the_last(three: str, numbers: str) -> None:
    """RET-44: one bad number spoils the whole"""
    assert refusal(get(f"{three}/frames/{numbers}", STORED)) == (404, NO_FRAME)


# ------------------------------------------------------------------ negotiation


@pytest.mark.parametrize(
    "accept",
    [
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        'multipart/related; type="*/*"',
        "*/*",
        'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80, multipart/related; '
        'type="image/jp2"; transfer-syntax=*, multipart/related; type="application/octet-stream"; transfer-syntax=*',
        'multipart/related; type="application/octet-stream"; q=0.1, image/png',
    ],
)
def test_accept_of_viewers(three: str, accept: str) -> None:
    """RET-10, RET-11, RET-12, RET-14, RET-42, RET-48: as OHIF, cornerstone and dicomweb-client send it"""
    assert frames(three, "2", accept) == [THREE[1].tobytes()]


@pytest.mark.parametrize(
    "accept", ["image/jp2", 'multipart/related; type="image/jp2"; transfer-syntax=*', "application/dicom", "image/jpeg"]
)
def test_unacceptable(three: str, accept: str) -> None:
    """RET-42"""
    assert refusal(get(f"{three}/frames/1", accept)) == (406, NOT_ACCEPTABLE)


def test_single_part(three: str) -> None:
    """RET-42, RET-43, RET-48, RET-06: for one number alone, whatever is stored"""
    answer = get(f"{three}/frames/3", "application/octet-stream")
    assert answer.headers["content-type"] == f"application/octet-stream; transfer-syntax={ELE}"
    assert answer.content == THREE[2].tobytes()
    several = "The accept header is supported for single frame retrieval, use multi-part accept header instead."
    unknown = three.rpartition("/")[0] + "/1.2.3"
    for url in (f"{three}/frames/1,1", f"{three}/frames/1,9", f"{unknown}/frames/1,2"):
        assert refusal(get(url, "application/octet-stream")) == (400, several)


# ------------------------------------------------------------------ native frames


def test_one_frame_without_a_number(base_url: str) -> None:
    """RET-46: NumberOfFrames absent, empty or 0 is 1; the pad byte of an odd length is not part of it"""
    pixels = gradient(3, 3, "u1")
    for number in (None, "", 0):
        dataset = made_image(pixels)
        if number is not None:
            dataset.NumberOfFrames = number
        url = stored(base_url, dataset)
        assert frames(url, "1") == [pixels.tobytes()]
        assert refusal(get(f"{url}/frames/2", STORED)) == (404, NO_FRAME)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours(base_url: str, planar: int) -> None:
    """RET-46"""
    pixels = np.random.default_rng(1).integers(0, 255, (2, 5, 7, 3)).astype("u1")
    dataset = made_image(pixels, SamplesPerPixel=3, PlanarConfiguration=planar)
    expected = np.moveaxis(pixels, -1, 1) if planar else pixels
    assert frames(stored(base_url, dataset), "2,1") == [expected[1].tobytes(), expected[0].tobytes()]


def test_one_bit(base_url: str) -> None:
    """RET-46: frames lie without a gap and are moved to the start of a byte"""
    pixels = np.random.default_rng(2).integers(0, 2, (4, 5, 7)).astype(bool)
    url = stored(base_url, made_image(pixels))
    for accept in (STORED, FRAME_PARTS):
        for number, frame in enumerate(frames(url, "1,2,3,4", accept)):
            assert frame == np.packbits(pixels[number].ravel(), bitorder="little").tobytes()


def test_ybr_full_422(base_url: str) -> None:
    """RET-46: two samples a pixel, an odd row counted as the next even one"""
    content = np.random.default_rng(3).integers(0, 255, (2, 4, 12)).astype("u1")
    dataset = made_image(content, PhotometricInterpretation="YBR_FULL_422")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.Columns = 3, 0, 5
    assert frames(stored(base_url, dataset), "2") == [content[1].tobytes()]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("pixels", [THREE, THREE.astype("u1"), THREE.astype("<i4")], ids=["16", "8", "32"])
def test_other_native_encodings(base_url: str, syntax: Any, pixels: NDArray[Any]) -> None:
    """RET-42, RET-46, RET-49: little endian on request, as stored with an asterisk (deflated ones inflated)"""
    url = stored(base_url, made_image(pixels), syntax)
    little = [pixels[number].tobytes() for number in (2, 0)]
    assert frames(url, "3,1", FRAME_PARTS) == little
    answer = get(f"{url}/frames/3,1", STORED)
    kinds = {part.content_type for part in parts_of(answer)}
    assert kinds == {f"application/octet-stream; transfer-syntax={syntax}"}
    big = [pixels[number].astype(pixels.dtype.newbyteorder(">")).tobytes() for number in (2, 0)]
    as_stored = [part.content for part in parts_of(answer)]
    if syntax != ExplicitVRBigEndian:
        assert as_stored == little
    elif pixels.dtype.itemsize > 1:
        assert as_stored == big


# ------------------------------------------------------------------ encapsulated frames


def test_stored_frames(base_url: str) -> None:
    """RET-47, RET-48: the media type stays, the transfer syntax tells the coding"""
    pixels = np.random.default_rng(4).integers(0, 255, (3, 20, 30)).astype("u1")
    codestreams = [jpeg(frame) for frame in pixels]
    content, dataset = compressed(pixels, JPEGBaseline8Bit, encapsulate(codestreams))
    url = stored_file(base_url, content, dataset)
    padded = [stream + b"\0" * (len(stream) % 2) for stream in codestreams]
    answer = get(f"{url}/frames/3,1", STORED)
    kind = f"application/octet-stream; transfer-syntax={BASELINE}"
    assert [(part.content_type, part.content) for part in parts_of(answer)] == [(kind, padded[2]), (kind, padded[0])]
    answer = get(f"{url}/frames/2", "application/octet-stream; transfer-syntax=*")
    assert (answer.headers["content-type"], answer.content) == (kind, padded[1])
    with Image.open(io.BytesIO(codestreams[0])) as picture:
        assert frames(url, "1", FRAME_PARTS) == [np.asarray(picture).tobytes()]


@pytest.mark.parametrize("table", ["basic", "none", "bad", "extended"])
def test_fragments(base_url: str, table: str) -> None:
    """RET-47: several fragments a frame, by an offset table or by how codestreams begin"""
    pixels = np.random.default_rng(5).integers(0, 255, (2, 30, 30)).astype("u1")
    codestreams = [jpeg(frame) for frame in pixels]
    padded = [stream + b"\0" * (len(stream) % 2) for stream in codestreams]
    if table == "extended":
        value, offsets, lengths = encapsulate_extended(codestreams)
        content, dataset = compressed(
            pixels, JPEGBaseline8Bit, value, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths
        )
    else:
        value = encapsulate(codestreams, fragments_per_frame=3, has_bot=table != "none")
        if table == "bad":
            value = value[:8] + b"\0\0\0\0" + b"\x77\0\0\0" + value[16:]
        content, dataset = compressed(pixels, JPEGBaseline8Bit, value)
    url = stored_file(base_url, content, dataset)
    got = frames(url, "1,2")
    assert [frame.rstrip(b"\0") for frame in got] == [frame.rstrip(b"\0") for frame in padded]
    with Image.open(io.BytesIO(codestreams[1])) as picture:
        assert frames(url, "2", FRAME_PARTS) == [np.asarray(picture).tobytes()]
    if table == "extended":
        again = dcmread(io.BytesIO(get(url, "application/dicom").content))
        assert "ExtendedOffsetTable" not in again
        assert again.pixel_array.shape == pixels.shape


def test_frames_that_cannot_be_told_apart(base_url: str) -> None:
    """RET-47, RET-51: 404, never wrong bytes; the whole object is given as it is, and in nothing else"""
    pixels = np.zeros((2, 8, 8), "u1")
    content, dataset = compressed(pixels, RLELossless, encapsulate([b"a" * 64, b"b" * 64, b"c" * 64], has_bot=False))
    url = stored_file(base_url, content, dataset)
    for number in ("1", "2"):
        assert refusal(get(f"{url}/frames/{number}", STORED)) == (404, NO_FRAME)
        assert refusal(get(f"{url}/frames/{number}/rendered", "image/png")) == (404, NO_FRAME)
    assert get(url, "application/dicom; transfer-syntax=*").content == content
    assert refusal(get(url, "application/dicom")) == (406, NOT_TRANSCODED)


def test_jpeg_2000_frames(base_url: str) -> None:
    """RET-33, RET-42, RET-49, RET-50: raw codestreams; where they are stored, the stored ones"""
    pixels = np.random.default_rng(6).integers(0, 255, (2, 40, 50)).astype("u1")
    native = stored(base_url, made_image(pixels))
    accept = f'multipart/related; type="image/jp2"; transfer-syntax={J2KL}'
    codestreams = frames(native, "1,2,1", accept)
    assert codestreams[0] == codestreams[2]
    for number, codestream in enumerate(codestreams[:2]):
        with Image.open(io.BytesIO(codestream)) as picture:
            assert np.array_equal(np.asarray(picture), pixels[number])
    content, dataset = compressed(pixels, JPEG2000Lossless, encapsulate(codestreams[:2]))
    url = stored_file(base_url, content, dataset)
    assert [frame.rstrip(b"\0") for frame in frames(url, "2,1", accept)] == [
        codestream.rstrip(b"\0") for codestream in (codestreams[1], codestreams[0])
    ]
    assert frames(url, "2", FRAME_PARTS) == [pixels[1].tobytes()]


# ------------------------------------------------------------------ what is not there, and hostile files


def test_without_pixel_data(base_url: str) -> None:
    """RET-51, RET-83"""
    triple = new_triple()
    assert store(base_url, triple.file()).status == 200
    for path, accept in (("frames/1", STORED), ("frames/1/rendered", "image/png"), ("rendered", "image/png")):
        assert refusal(get(f"{base_url}/v2{triple.path}/{path}", accept)) == (404, NO_FRAME)


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated"])
def test_without_a_layout(base_url: str, missing: str) -> None:
    """RET-51"""
    dataset = made_image(THREE)
    del dataset[missing]
    url = stored(base_url, dataset, ImplicitVRLittleEndian)
    assert refusal(get(f"{url}/frames/1", STORED)) == (404, NO_FRAME)
    assert refusal(get(url, "application/dicom")) == (406, NOT_TRANSCODED)
    assert get(url, "application/dicom; transfer-syntax=*").status_code == 200


def test_float_pixel_data(base_url: str) -> None:
    """RET-51, RET-36: counts as none"""
    dataset = made_image(gradient(4, 4, "<u4"))
    content = dataset.PixelData
    del dataset.PixelData
    dataset.FloatPixelData = content
    url = stored(base_url, dataset, ImplicitVRLittleEndian)
    assert refusal(get(f"{url}/frames/1", STORED)) == (404, NO_FRAME)
    assert dcmread(io.BytesIO(get(url, "application/dicom").content)).FloatPixelData == content


def test_pixels_of_an_icon(base_url: str) -> None:
    """RET-51: pixel data inside a sequence is never taken for the image's"""
    dataset = made_image(THREE)
    dataset.IconImageSequence = [made_image(gradient(4, 4, "u1"))]
    del dataset.PixelData
    assert refusal(get(f"{stored(base_url, dataset)}/frames/1", STORED)) == (404, NO_FRAME)


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({"NumberOfFrames": 2_000_000_000}, [1, 2, 3]),
        ({"NumberOfFrames": 5}, [1, 2, 3]),
        ({"Rows": 65535, "Columns": 65535}, []),
        ({"BitsAllocated": 65535}, []),
        ({"SamplesPerPixel": 65535}, []),
        ({"Rows": 5}, [1, 2, 3]),
    ],
)
def test_wrong_sizes(base_url: str, changes: dict[str, Any], there: Sequence[int]) -> None:
    """RET-51: frames that are not in the file are 404, also where numbers are absurd; nothing is a 500"""
    dataset = made_image(THREE)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    url = stored(base_url, dataset, ImplicitVRLittleEndian)
    for number in (1, 2, 3, 4, 2_000_000_000):
        answer = get(f"{url}/frames/{number}", STORED)
        assert answer.status_code == (200 if number in there else 404)
    assert get(url, "application/dicom").status_code in (200, 406)
    assert get(f"{url}/rendered", "image/png").status_code in (200, 404, 406)


def damaged(syntax: str, damage: str) -> bytes:
    """A codestream for a picture of 64 x 64 that cannot be decoded as one."""
    picture = np.zeros((200, 300), "u1") if damage == "larger picture" else np.zeros((64, 64), "u1")
    out = io.BytesIO()
    if syntax == JPEG2000Lossless:
        Image.fromarray(picture).save(out, "JPEG2000", no_jp2=True)
    elif syntax == RLELossless:
        out.write(b"\1\0\0\0\x40\0\0\0" + bytes(56) + b"\x81\x07" * 32)
    else:
        out.write(jpeg(picture))
    whole = out.getvalue() + bytes(out.tell() % 2)
    return {
        "random": np.random.default_rng(9).bytes(2000),
        "cut": whole[: len(whole) // 3 // 2 * 2],
        "larger picture": whole,
        "empty": b"",
    }[damage]


@pytest.mark.parametrize(
    ("syntax", "damage"),
    [
        (syntax, damage)
        for syntax in (JPEGBaseline8Bit, JPEG2000Lossless, RLELossless, JPEGLSLossless)
        for damage in ("random", "cut", "larger picture", "empty")
        if (syntax, damage) != (RLELossless, "larger picture")  # RLE does not say how large its picture is
    ],
)
def test_damaged_codestreams(base_url: str, syntax: Any, damage: str) -> None:
    """RET-34, RET-49, RET-84: 406 for what cannot be decoded, and the next request is served"""
    codestream = damaged(syntax, damage)
    item = b"\xfe\xff\x00\xe0"
    value = item + bytes(4) + item + len(codestream).to_bytes(4, "little") + codestream
    content, dataset = compressed(np.zeros((64, 64), "u1"), syntax, value)
    url = stored_file(base_url, content, dataset)
    for path, accept in (("/frames/1", FRAME_PARTS), ("/rendered", "image/jpeg"), ("", "application/dicom")):
        answer = get(url + path, accept)
        assert answer.status_code == 406 or (damage == "empty" and answer.status_code == 404), answer.text
    assert get(url, "application/dicom; transfer-syntax=*").content == content
    assert httpx.get(f"{base_url}/health").status_code == 200
