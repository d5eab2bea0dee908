#!/usr/bin/env python3
"""Asks a running emulator for one of everything: `python scripts/smoke_test.py http://localhost:8080`.

Needs pydicom and httpx. It works on a study of its own, which it deletes at the end. Exit code 0 if all went well.
"""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

JSON = {"Accept": "application/dicom+json"}
ROWS, COLUMNS = 16, 24
PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class Sample:
    """A small image of a study of its own, as a file."""

    study: str
    series: str
    instance: str
    patient: str
    pixels: bytes
    file: bytes

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


def make_sample() -> Sample:
    """New UIDs each time."""
    study, series, instance = generate_uid(), generate_uid(), generate_uid()
    patient = "SMOKE-" + instance[-12:]
    pixels = bytes(number % 251 for number in range(ROWS * COLUMNS))
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, instance
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientID, image.PatientName = patient, "Smoke^Test"
    image.StudyDate, image.Modality = "20240102", "OT"
    image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.PixelData = pixels
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return Sample(study, series, instance, patient, pixels, buffer.getvalue())


class SmokeTest:
    """One method a step; each raises `AssertionError` with what was wrong."""

    def __init__(self, client: httpx.Client, sample: Sample) -> None:
        self._client = client
        self._sample = sample

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("health", self.health),
            ("store", self.store),
            ("duplicate is refused", self.duplicate),
            ("search studies", self.search_studies),
            ("search series", self.search_series),
            ("search instances", self.search_instances),
            ("metadata", self.metadata),
            ("retrieve the study", self.retrieve_study),
            ("retrieve the instance, byte for byte", self.retrieve_instance),
            ("retrieve a frame", self.retrieve_frame),
            ("upsert", self.upsert),
            ("change feed", self.change_feed),
            ("delete", self.delete),
        ]

    def health(self) -> None:
        answer = self._client.get("/health")
        expect(answer, 200)
        assert answer.json()["status"] in ("healthy", "degraded"), answer.text

    def store(self) -> None:
        answer = self._send("POST")
        expect(answer, 200)
        stored = answer.json()["00081199"]["Value"]
        assert stored[0]["00081155"]["Value"] == [self._sample.instance], answer.text

    def duplicate(self) -> None:
        answer = self._send("POST")
        assert answer.status_code in (202, 409), f"status {answer.status_code}: {answer.text[:300]}"
        assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [45070], answer.text

    def upsert(self) -> None:
        expect(self._send("PUT"), 200)

    def search_studies(self) -> None:
        study = self._only("/v2/studies", PatientID=self._sample.patient)
        assert study["0020000D"]["Value"] == [self._sample.study], study

    def search_series(self) -> None:
        series = self._only(f"/v2/studies/{self._sample.study}/series", Modality="OT")
        assert series["0020000E"]["Value"] == [self._sample.series], series

    def search_instances(self) -> None:
        path = f"/v2/studies/{self._sample.study}/series/{self._sample.series}/instances"
        instance = self._only(path, includefield="Rows")
        assert instance["00080018"]["Value"] == [self._sample.instance], instance
        assert instance["00280010"]["Value"] == [ROWS], instance

    def metadata(self) -> None:
        answer = self._client.get(f"/v2/studies/{self._sample.study}/metadata", headers=JSON)
        expect(answer, 200)
        assert answer.json()[0]["00100010"]["Value"] == [{"Alphabetic": "Smoke^Test"}], answer.text

    def retrieve_study(self) -> None:
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        answer = self._client.get(f"/v2/studies/{self._sample.study}", headers=accept)
        expect(answer, 200)
        assert self._sample.file[PREAMBLE:] in answer.content, "the file is not in the answer"

    def retrieve_instance(self) -> None:
        accept = {"Accept": "application/dicom; transfer-syntax=*"}
        answer = self._client.get(f"/v2{self._sample.path}", headers=accept)
        expect(answer, 200)
        assert answer.content[PREAMBLE:] == self._sample.file[PREAMBLE:], "the file has changed"

    def retrieve_frame(self) -> None:
        answer = self._client.get(f"/v2{self._sample.path}/frames/1", headers={"Accept": "application/octet-stream"})
        expect(answer, 200)
        assert answer.content == self._sample.pixels, "the pixels have changed"

    def change_feed(self) -> None:
        """Entries of this study, from the end of the feed."""
        last = self._client.get("/v2/changefeed/latest", params={"includeMetadata": "false"})
        expect(last, 200)
        offset = max(0, last.json()["sequence"] - 200)
        answer = self._client.get("/v2/changefeed", params={"offset": offset, "limit": 200, "includeMetadata": "false"})
        expect(answer, 200)
        actions = [entry["action"] for entry in answer.json() if entry["studyInstanceUid"] == self._sample.study]
        assert actions == ["Create", "Update"], actions

    def delete(self) -> None:
        expect(self._client.delete(f"/v2/studies/{self._sample.study}"), 204)
        expect(self._client.get(f"/v2/studies/{self._sample.study}/metadata", headers=JSON), 404)

    def _send(self, method: str) -> httpx.Response:
        headers = {**JSON, "Content-Type": 'multipart/related; type="application/dicom"; boundary=smoke'}
        body = b"--smoke\r\nContent-Type: application/dicom\r\n\r\n" + self._sample.file + b"\r\n--smoke--\r\n"
        return self._client.request(method, "/v2/studies", headers=headers, content=body)

    def _only(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters, headers=JSON)
        expect(answer, 200)
        found = answer.json()
        assert len(found) == 1, f"{len(found)} results: {json.dumps(found)[:300]}"
        return found[0]


def expect(answer: httpx.Response, status: int) -> None:
    """Fails with what the server said."""
    assert answer.status_code == status, f"status {answer.status_code}, not {status}: {answer.text[:300]}"


def main(url: str) -> int:
    """Carries out the steps in order; stops at the first that fails."""
    with httpx.Client(base_url=url.rstrip("/"), timeout=60) as client:
        for name, step in SmokeTest(client, make_sample()).steps():
            try:
                step()
            except (AssertionError, httpx.HTTPError) as failure:
                print(f"FAILED  {name}: {failure}")
                return 1
            print(f"ok      {name}")
    print("All is well.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: smoke_test.py URL")
    sys.exit(main(sys.argv[1]))
