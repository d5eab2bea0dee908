"""DICOM files made for a test, and the requests that store them."""

import io
import secrets
from collections.abc import Iterable
from typing import Any

import httpx
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

BOUNDARY = "made-for-a-test"
STORE_HEADERS = {
    "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    "Accept": "application/dicom+json",
}


def new_uid() -> str:
    """A UID that no other test has."""
    return f"2.25.{secrets.randbits(100)}"


def made_file(study: str, series: str, instance: str, **elements: Any) -> bytes:
    """A part 10 file without pixels: `elements` are values by keyword, or (tag, VR, value) under any other name.

    Values are not checked, so that faulty ones can be made.
    """
    with config.disable_value_validation():
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study, series, instance
        dataset.PatientID = "nobody"
        dataset.Modality = "OT"
        for keyword, value in elements.items():
            if isinstance(value, tuple):
                dataset.add_new(*value)
            else:
                setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def store_body(files: Iterable[bytes]) -> bytes:
    """The files as one multipart/related body."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{BOUNDARY}--".encode()


def store(url: str, *files: bytes) -> httpx.Response:
    """POSTs the files in one request to `url`, the base with its version; every one of them must be taken."""
    response = httpx.post(f"{url}/studies", content=store_body(files), headers=STORE_HEADERS, timeout=60)
    assert response.status_code in (200, 202), response.text
    assert "00081198" not in response.json(), response.text
    return response
