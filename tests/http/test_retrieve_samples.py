"""Every image that pydicom brings along, by URL in every form, against pydicom's own decoding."""

import io
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from tests.support.made_files import new_uid
from tests.support.multipart_answers import parts_of
from tests.support.reference_rendering import reference_picture
from tests.support.sample_images import SAMPLE_IMAGES, SampleImage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),  # many a sample has a fault on purpose
]

ELE = "1.2.840.10008.1.2.1"
J2KL = "1.2.840.10008.1.2.4.90"
NOT_TRANSCODED = "The specified transcoding is not supported."
NO_FRAME = "The specified frame cannot be found."
REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID")
LOSSY_ERROR = 1
"""Grey levels by which two decoders of a lossy coding may differ."""
RENDERED_ERROR = 2
"""The same, and the rounding of colours and windows."""


class Stored:
    """A sample in the service."""

    def __init__(self, base_url: str, sample: SampleImage) -> None:
        self.sample = sample
        self.content = with_identity(sample.read())
        self.dataset = read(self.content)
        self.client = httpx.Client(base_url=f"{base_url}/v2", timeout=60)
        self.study = f"/studies/{self.dataset.StudyInstanceUID}"
        self.path = f"{self.study}/series/{self.dataset.SeriesInstanceUID}/instances/{self.dataset.SOPInstanceUID}"
        self.client.delete(self.study)
        headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
        self.answer = self.client.post("/studies", content=self.content, headers=headers)

    def get(self, path: str, accept: str) -> httpx.Response:
        return self.client.get(self.path + path, headers={"Accept": accept})

    def close(self) -> None:
        self.client.delete(self.study)
        self.client.close()


def read(content: bytes) -> Dataset:
    """A data set as pydicom reads it, whatever it thinks of it."""
    return dcmread(io.BytesIO(content), force=True)


def with_identity(content: bytes) -> bytes:
    """The file, or what pydicom makes of it with the attributes that a store asks for and the file lacks."""
    dataset = read(content)
    missing = [name for name in REQUIRED if name not in dataset]
    if not missing:
        return content
    for name in missing:
        setattr(dataset, name, "nobody" if name == "PatientID" else new_uid())
    dataset.SOPClassUID = dataset.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def decoded(dataset: Dataset) -> NDArray[Any]:
    """All frames by pydicom, (frames, rows, columns, ...), little endian."""
    pixels: NDArray[Any] = pixel_array(dataset)
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    return pixels if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]


def agree(got: NDArray[Any], expected: NDArray[Any], sample: SampleImage) -> None:
    """Pixel for pixel, or within the stated error where the coding is lossy."""
    assert got.shape == expected.shape
    error = int(np.abs(got.astype(np.int64) - expected.astype(np.int64)).max())
    assert error <= (LOSSY_ERROR if sample.lossy else 0)


@pytest.fixture(params=SAMPLE_IMAGES, ids=lambda sample: sample.name)
def stored(request: pytest.FixtureRequest, base_url: str) -> Iterator[Stored]:
    stored = Stored(base_url, request.param)
    yield stored
    stored.close()


def test_sample(stored: Stored) -> None:
    """RET-24, RET-31, RET-32, RET-33, RET-34, RET-37, RET-46, RET-47, RET-49, RET-51, RET-83, RET-84, RET-99

    One test with a step for each form, since all of them need the sample in the service.
    """
    assert stored.answer.status_code in (200, 202), stored.answer.text
    as_stored(stored)
    if stored.sample.decodable and stored.sample.mean is not None:
        pixels = decoded(stored.dataset)
        expected_values(stored.sample, pixels)
        transcoded(stored, pixels, ELE)
        frames_in_explicit_little_endian(stored, pixels)
        if stored.sample.jp2:
            transcoded(stored, pixels, J2KL)
            frames_in_jpeg_2000(stored, pixels)
        rendered(stored)
    refused(stored)


def expected_values(sample: SampleImage, pixels: NDArray[Any]) -> None:
    """pydicom decodes today what it did when the table was written."""
    assert sample.mean is not None
    assert abs(float(pixels.mean()) - sample.mean) < 0.5
    assert sample.checksum is None or zlib.crc32(pixels.tobytes()) == sample.checksum


def as_stored(stored: Stored) -> None:
    sample, content = stored.sample, stored.content
    got = stored.get("", "application/dicom; transfer-syntax=*")
    assert got.status_code == 200
    assert got.headers["content-type"] == f"application/dicom; transfer-syntax={sample.transfer_syntax}"
    assert got.content == (bytes(128) + content[128:] if content[128:132] == b"DICM" else content)
    numbers = ",".join(map(str, range(1, sample.frames + 1)))
    if not sample.frames:
        return
    got = stored.get(f"/frames/{numbers}", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
    assert got.status_code == 200
    parts = parts_of(got)
    kind = f"application/octet-stream; transfer-syntax={sample.transfer_syntax}"
    assert [part.content_type for part in parts] == [kind] * sample.frames
    if sample.encapsulated:
        expected = list(generate_frames(stored.dataset.PixelData, number_of_frames=sample.frames))
        if sample.name != "JPEG2000-embedded-sequence-delimiter.dcm":  # pydicom's own stops short of its end
            assert [part.content for part in parts] == expected
    else:
        dataset = stored.dataset
        samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else dataset.SamplesPerPixel
        size = dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated // 8
        for number, part in enumerate(parts):
            assert part.content == dataset.PixelData[number * size : (number + 1) * size]


def transcoded(stored: Stored, pixels: NDArray[Any], target: str) -> None:
    got = stored.get("", f"application/dicom; transfer-syntax={target}")
    assert got.status_code == 200, got.text
    assert got.headers["content-type"] == f"application/dicom; transfer-syntax={target}"
    again = read(got.content)
    assert again.file_meta.TransferSyntaxUID == target
    agree(decoded(again), pixels, stored.sample)
    changing = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
    for element in stored.dataset:
        if element.keyword not in changing and element.tag.element != 0:
            assert again[element.tag] == element
    lengths = [element for element in stored.dataset if element.tag.element == 0]
    assert len(again) >= len(stored.dataset) - len(lengths)
    assert len(again) <= len(stored.dataset)


def frames_in_explicit_little_endian(stored: Stored, pixels: NDArray[Any]) -> None:
    frame = stored.sample.frames
    got = stored.get(f"/frames/{frame}", "application/octet-stream")
    assert got.status_code == 200
    assert got.headers["content-type"] == f"application/octet-stream; transfer-syntax={ELE}"
    dataset = stored.dataset
    if dataset.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(got.content, "u1"), bitorder="little")
        assert np.array_equal(bits[: pixels[-1].size], pixels[-1].ravel())
    elif not stored.sample.encapsulated and dataset.PhotometricInterpretation == "YBR_FULL_422":
        assert got.content == dataset.PixelData  # pydicom's decoding is not what is stored
    else:
        planar = dataset.get("PlanarConfiguration") == 1
        shape = pixels[-1].shape if not planar else (3, dataset.Rows, dataset.Columns)
        samples = np.frombuffer(got.content, pixels.dtype).reshape(shape)
        agree(np.moveaxis(samples, 0, -1) if planar else samples, pixels[-1], stored.sample)


def frames_in_jpeg_2000(stored: Stored, pixels: NDArray[Any]) -> None:
    numbers = [stored.sample.frames, 1]
    got = stored.get(f"/frames/{numbers[0]},{numbers[1]}", 'multipart/related; type="image/jp2"')
    assert got.status_code == 200
    parts = parts_of(got)
    assert [part.content_type for part in parts] == [f"image/jp2; transfer-syntax={J2KL}"] * 2
    for number, part in zip(numbers, parts, strict=True):
        if stored.sample.transfer_syntax == J2KL:
            codestreams = list(generate_frames(stored.dataset.PixelData, number_of_frames=stored.sample.frames))
            assert part.content == codestreams[number - 1]
        else:
            assert part.content.startswith(b"\xff\x4f\xff\x51")
            if pixels.dtype == np.uint8 and stored.dataset.PhotometricInterpretation != "YBR_FULL_422":
                with Image.open(io.BytesIO(part.content)) as image:
                    agree(np.asarray(image), pixels[number - 1], stored.sample)


def rendered(stored: Stored) -> None:
    got = stored.get(f"/frames/{stored.sample.frames}/rendered", "image/png")
    assert got.status_code == 200, got.text
    expected = reference_picture(stored.dataset, stored.sample.frames)
    with Image.open(io.BytesIO(got.content)) as image:
        shown = np.asarray(image).astype(float)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() <= RENDERED_ERROR
    jpeg = stored.get("/rendered", "image/jpeg")
    assert (jpeg.status_code, jpeg.headers["content-type"]) == (200, "image/jpeg")


def refused(stored: Stored) -> None:
    sample = stored.sample
    for number in {sample.frames + 1, 1 if not sample.frames else 2**31 - 1}:
        for path, accept in ((f"/frames/{number}", "*/*"), (f"/frames/{number}/rendered", "image/png")):
            got = stored.get(path, accept)
            assert (got.status_code, got.text) == (404, NO_FRAME)
    forms = {
        "application/dicom": sample.decodable or sample.transfer_syntax == ELE,
        f"application/dicom; transfer-syntax={J2KL}": sample.jp2,
    }
    if sample.frames:
        forms["application/octet-stream"] = sample.decodable
        forms['multipart/related; type="image/jp2"'] = sample.jp2
    for accept, possible in forms.items():
        got = stored.get("/frames/1" if "dicom" not in accept else "", accept)
        assert (got.status_code == 200) is possible
        assert possible or (got.status_code, got.text) == (406, NOT_TRANSCODED)
    if sample.frames and not sample.decodable:
        got = stored.get("/rendered", "image/png")
        assert got.status_code == 406
        assert got.text == "An error was encountered when attempting to convert the dicom file into an image"
