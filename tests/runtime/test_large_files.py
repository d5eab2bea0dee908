"""Large files through the real worker library: both directions stream, and memory stays bounded."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.runtime.worker import MemoryWatch, RuntimeWorker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

BOUNDARY = "boundary-of-the-test"
PIECE = 1 << 20
MOST_GROWTH = 64 * PIECE


def large_instance(path: Path, size: int) -> Dataset:
    """A file of `size` bytes of pixel data, and a bit."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.SOPClassUID = CTImageStorage
    instance.SOPInstanceUID, instance.StudyInstanceUID, instance.SeriesInstanceUID = (
        generate_uid(None) for _ in range(3)
    )
    instance.file_meta.MediaStorageSOPClassUID = CTImageStorage
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    instance.PatientID = "LARGE"
    instance.Rows = instance.Columns = 1000
    instance.NumberOfFrames = size // 1_000_000
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = 8, 8, 7
    instance.SamplesPerPixel, instance.PixelRepresentation = 1, 0
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.PixelData = bytes(range(250)) * 4000 * (size // 1_000_000)
    instance.save_as(path, enforce_file_format=True)
    return instance


def multipart(path: Path) -> Iterator[bytes]:
    """The body of a store, a piece at a time."""
    yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def digest(path: Path) -> str:
    """The hash of a file without its preamble."""
    with path.open("rb") as file:
        file.seek(128)
        return hashlib.file_digest(file, "sha256").hexdigest()


def store(worker: RuntimeWorker, path: Path) -> None:
    """Store one file, which must succeed."""
    headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}
    answer = worker.request("POST", "/v2/studies", headers=headers, content=multipart(path))
    assert answer.status_code == 200, answer.text


def test_store_and_retrieve_stream(worker: RuntimeWorker, size: Callable[[str], int], tmp_path: Path) -> None:
    """STO-31, PLT-114: a file as large as a hundred million bytes is never in memory as a whole."""
    path = tmp_path / "large.dcm"
    large_instance(path, 2_000_000)
    store(worker, path)  # what is imported when it is first needed
    instance = large_instance(path, size("bytes streamed through the real worker"))
    with MemoryWatch(worker) as storing:
        store(worker, path)
    target = (
        f"/v2/studies/{instance.StudyInstanceUID}/series/{instance.SeriesInstanceUID}"
        f"/instances/{instance.SOPInstanceUID}"
    )
    received = hashlib.sha256()
    length = 0
    with MemoryWatch(worker) as retrieving:
        for piece in worker.stream("GET", target, headers={"Accept": "application/dicom; transfer-syntax=*"}):
            received.update(piece[max(0, 128 - length) :])
            length += len(piece)
    assert length == path.stat().st_size
    assert received.hexdigest() == digest(path)
    assert storing.growth < MOST_GROWTH, storing.growth
    assert retrieving.growth < MOST_GROWTH, retrieving.growth


def test_a_client_that_goes_away(worker: RuntimeWorker) -> None:
    """A store that breaks off leaves nothing behind in the worker, and the next request is served."""

    def broken() -> Iterator[bytes]:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield bytes(PIECE)
        raise ConnectionAbortedError

    headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}
    with pytest.raises(ConnectionAbortedError), httpx.Client() as client:
        worker.request("POST", "/v2/studies", headers=headers, content=broken(), client=client)
    assert worker.request("GET", "/health").status_code == 200
    assert worker.ask("left_behind")["references"] == 0
