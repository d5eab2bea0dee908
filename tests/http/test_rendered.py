"""Pictures by URL: negotiation, quality, frame numbers; what is in them is tested with the renderer itself."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless

from tests.support.made_images import encoded, gradient, made_image
from tests.support.reference_rendering import reference_picture
from tests.support.retrieving import NO_FRAME, NOT_ACCEPTABLE, get, refusal
from tests.support.stow import store

pytestmark = pytest.mark.integration

SEVERAL = "The request contains multiple accept headers, which is not supported."
NOT_POSITIVE = (
    "The specified frames value is not valid. At least one frame must be present, and all requested frames must have "
    "value greater than 0."
)
FRAMES = np.stack([gradient(30, 50, "<u2", 10 * number, 900 + 40 * number) for number in range(3)])


def stored(base_url: str, dataset: Dataset, content: bytes | None = None) -> str:
    answer = store(base_url, content or encoded(dataset))
    assert answer.status in (200, 202), answer.text
    return (
        f"{base_url}/v2/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def shown(url: str) -> np.ndarray:
    answer = get(url, "image/png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def three(base_url: str) -> str:
    """An instance of three frames without a window."""
    return stored(base_url, made_image(FRAMES))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ((), "JPEG"),
        (("image/jpeg",), "JPEG"),
        (("Image/PNG; q=0.2",), "PNG"),
        (("image/jpeg; transfer-syntax=*",), "JPEG"),
    ],
)
def test_kinds(three: str, accept: tuple[str, ...], kind: str) -> None:
    """RET-13, RET-80, RET-85"""
    answer = get(f"{three}/rendered", *accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{kind.lower()}")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == (kind, (50, 30))


@pytest.mark.parametrize("accept", ["*/*", "image/*", "image/gif", "application/jpeg", "application/dicom"])
def test_other_kinds(three: str, accept: str) -> None:
    """RET-80"""
    for path in ("rendered", "frames/2/rendered"):
        assert refusal(get(f"{three}/{path}", accept)) == (406, NOT_ACCEPTABLE)


@pytest.mark.parametrize(
    "accept", [("image/jpeg, image/png",), ("image/jpeg", "image/jpeg"), ("image/avif,image/webp,*/*;q=0.8",)]
)
def test_several_kinds(three: str, accept: tuple[str, ...]) -> None:
    """RET-80: an `<img>` of a browser too"""
    assert refusal(get(f"{three}/rendered", *accept)) == (406, SEVERAL)


def test_frames(three: str) -> None:
    """RET-85, RET-86, RET-87 (e): all of them in the light of the first"""
    dataset = made_image(FRAMES)
    for number in (1, 2, 3):
        picture = shown(f"{three}/frames/{number}/rendered")
        assert np.abs(picture - reference_picture(dataset, number)).max() <= 1
    assert np.array_equal(shown(f"{three}/rendered"), shown(f"{three}/frames/1/rendered"))


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_whole_files(base_url: str, three: str, syntax: str) -> None:
    """RET-99: encodings of which no part stands by itself"""
    dataset = made_image(FRAMES)
    url = stored(base_url, dataset, encoded(dataset, syntax))
    assert np.array_equal(shown(f"{url}/frames/3/rendered"), shown(f"{three}/frames/3/rendered"))


def test_compressed_twin(base_url: str, three: str) -> None:
    """RET-99: the picture equals that of the uncompressed twin"""
    codestreams = []
    for frame in (1, 2, 3):
        answer = get(f"{three}/frames/{frame}", 'multipart/related; type="image/jp2"')
        codestreams.append(answer.content.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0])
    dataset = made_image(FRAMES)
    dataset.add_new("PixelData", "OB", encapsulate(codestreams))
    dataset["PixelData"].is_undefined_length = True
    url = stored(base_url, dataset, encoded(dataset, JPEG2000Lossless))
    for frame in (1, 3):
        assert np.array_equal(shown(f"{url}/frames/{frame}/rendered"), shown(f"{three}/frames/{frame}/rendered"))


# ------------------------------------------------------------------ quality, frame numbers, order of checks


def test_quality(three: str) -> None:
    """RET-81: without effect on PNG; unknown parameters are ignored"""
    sizes = [len(get(f"{three}/rendered?quality={quality}", "image/jpeg").content) for quality in (1, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert get(f"{three}/rendered?Quality=100&viewport=256%2C256", "image/jpeg").content == (
        get(f"{three}/rendered", "image/jpeg").content
    )
    plain = get(f"{three}/rendered", "image/png").content
    assert get(f"{three}/rendered?quality=85", "image/png").content == plain


@pytest.mark.parametrize("quality", ["0", "101", "-5"])
def test_quality_out_of_range(three: str, quality: str) -> None:
    """RET-81, RET-06: before Accept"""
    for accept in ("image/jpeg", "image/png", "image/gif"):
        answer = get(f"{three}/rendered?quality={quality}", accept)
        assert refusal(answer) == (400, "Image quality must be between 1 and 100 inclusive")


@pytest.mark.parametrize("quality", ["abc", "1.5", "", "99999999999"])
def test_no_quality(three: str, quality: str) -> None:
    """RET-81, RET-06: before everything"""
    message = f"The query parameter 'quality' is invalid. The value '{quality}' is not valid."
    for url in (three, f"{three}x"):
        assert refusal(get(f"{url}/frames/0/rendered?quality={quality}", "image/gif")) == (400, message)


@pytest.mark.parametrize(
    ("frame", "shown_as"), [("1,2", "1,2"), ("x", "x"), ("1.5", "1.5"), ("4294967296", "4294967296")]
)
def test_no_frame_number(three: str, frame: str, shown_as: str) -> None:
    """RET-82, RET-06"""
    message = f"The query parameter 'frame' is invalid. The value '{shown_as}' is not valid."
    assert refusal(get(f"{three}/frames/{frame}/rendered", "image/gif")) == (400, message)


@pytest.mark.parametrize("frame", ["0", "-1"])
def test_frame_below_one(three: str, frame: str) -> None:
    """RET-82, RET-06: before the range of quality and Accept"""
    assert refusal(get(f"{three}/frames/{frame}/rendered?quality=0", "image/gif")) == (400, NOT_POSITIVE)


def test_frame_above_the_last(three: str) -> None:
    """RET-82, RET-83"""
    assert refusal(get(f"{three}/frames/4/rendered", "image/jpeg")) == (404, NO_FRAME)


def test_undecodable(base_url: str) -> None:
    """RET-84"""
    url = stored(base_url, made_image(FRAMES[0], PhotometricInterpretation="HSV"))
    message = "An error was encountered when attempting to convert the dicom file into an image"
    assert refusal(get(f"{url}/rendered", "image/jpeg")) == (406, message)


def test_too_long_for_a_jpeg(base_url: str) -> None:
    """RET-84: a frame with more columns than a JPEG has is refused as one, and a PNG shows it"""
    frame = gradient(1, 65_535, "u1")
    url = stored(base_url, made_image(frame))
    message = "An error was encountered when attempting to convert the dicom file into an image"
    for quality in ("", "?quality=50"):
        assert refusal(get(f"{url}/rendered{quality}", "image/jpeg")) == (406, message)
    assert shown(f"{url}/rendered").shape == frame.shape


def test_one_picture_and_many_at_once(base_url: str, three: str) -> None:
    """RET-80, RET-85: a picture that is made where its request is answered is the one that a thread makes"""
    paths = [f"{three}/frames/{number}/rendered" for number in (1, 2, 3)]
    alone = [get(path, "image/png").content for path in paths]
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda path: get(path, "image/png").content, paths * 16))
    assert together == alone * 16
    assert len(set(alone)) == 3
