#!/usr/bin/env python3
"""Walks the API of a running service once and says what works: `python scripts/smoke_test.py http://localhost:8080`.

Needs pydicom and httpx. It stores two small studies of its own and deletes them, and leaves one finished workitem, as
workitems cannot be deleted; everything else is left alone. The exit code is 0 when no step failed.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable

import httpx
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

DICOM_JSON = "application/dicom+json"
ROWS, COLUMNS, FRAMES = 16, 16, 3
TAG = "00181030"
"""ProtocolName: what the step about extended query tags adds."""


class Mismatch(Exception):
    """An answer is not what it should be."""


class Skipped(Exception):
    """The service does not offer what the step is about, or has it in use."""


class Walk:
    """The steps, in their order. `study` has one series of two instances; `expiring` is stored by PUT, to expire."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.study, self.series, self.expiring = generate_uid(), generate_uid(), generate_uid()
        self.instances = [generate_uid(), generate_uid()]
        self.patient = f"SMOKE-{self.study[-12:]}"
        self.files = [self.make(self.study, instance) for instance in self.instances]

    # ------------------------------------------------------------------ what the steps are made of

    def make(self, study: str, instance: str) -> bytes:
        """A secondary capture of three frames, each of one brightness."""
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, instance
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, self.series
        dataset.PatientID, dataset.PatientName, dataset.Modality = self.patient, "Smoke^Test", "OT"
        dataset.StudyDate, dataset.AccessionNumber, dataset.ProtocolName = "20240501", "SMOKE", self.patient
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = ROWS, COLUMNS, FRAMES
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = b"".join(self.frame(number) for number in range(1, FRAMES + 1))
        dataset["PixelData"].VR = "OB"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        return content.getvalue()

    def frame(self, number: int) -> bytes:
        return bytes([number * 50]) * (ROWS * COLUMNS)

    def ask(
        self, method: str, path: str, status: int = 200, accept: str = DICOM_JSON, content: bytes = b"", **headers: str
    ) -> httpx.Response:
        """One request; raises `Mismatch` unless it ends with `status`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.request(method, path, content=content, headers={"Accept": accept, **named})
        check(
            answer.status_code == status, f"{method} {path}: {answer.status_code} and not {status}: {answer.text[:200]}"
        )
        return answer

    def multipart(self, files: list[bytes]) -> tuple[bytes, str]:
        head = b"--smoke\r\nContent-Type: application/dicom\r\n\r\n"
        body = b"".join(head + file + b"\r\n" for file in files) + b"--smoke--\r\n"
        return body, 'multipart/related; type="application/dicom"; boundary=smoke'

    def instance(self, number: int = 0) -> str:
        return f"/v2/studies/{self.study}/series/{self.series}/instances/{self.instances[number]}"

    # ------------------------------------------------------------------ steps

    def health(self) -> None:
        check(self.ask("GET", "/health").json()["status"] in ("healthy", "degraded"), "not healthy")

    def store(self) -> None:
        body, content_type = self.multipart(self.files)
        answer = self.ask("POST", "/v2/studies", content=body, content_type=content_type)
        check(answer.headers["content-type"] == DICOM_JSON, "the answer's type")
        check(len(answer.json()["00081199"]["Value"]) == 2, "two instances stored")

    def refuse_duplicates(self) -> None:
        answer = self.client.post(
            "/v2/studies", content=self.files[0], headers={"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
        )
        check(answer.status_code in (409, 202), f"a duplicate was answered by {answer.status_code}")
        reason = answer.json()["00081198"]["Value"][0]["00081197"]["Value"]
        check(reason == [45070], f"the reason is {reason}")

    def upsert(self) -> None:
        self.ask("PUT", "/v2/studies", content=self.files[1], content_type="application/dicom")

    def store_with_expiry(self) -> None:
        body, content_type = self.multipart([self.make(self.expiring, self.instances[0])])
        self.ask(
            "PUT",
            "/v2/studies",
            content=body,
            content_type=content_type,
            msdicom_expiry_time_milliseconds="86400000",
            msdicom_expiry_option="RelativeToNow",
            msdicom_expiry_level="Study",
        )

    def refuse_what_is_not_dicom(self) -> None:
        answer = self.ask("POST", "/v2/studies", 409, content=b"not DICOM" * 100, content_type="application/dicom")
        check(answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [43264], "the reason")
        self.ask("POST", "/v2/studies", 415, content=b"{}", content_type="application/json")
        self.ask(
            "POST", "/v2/studies", 406, accept="image/png", content=self.files[0], content_type="application/dicom"
        )

    def search(self) -> None:
        study, series = f"/v2/studies/{self.study}", f"/v2/studies/{self.study}/series/{self.series}"
        for path, count in (
            (f"/v2/studies?PatientID={self.patient}&StudyDate=20240101-20241231", 2),
            (f"/v2/studies?StudyInstanceUID={self.study}&includefield=AccessionNumber", 1),
            (f"/v2/series?StudyInstanceUID={self.study}", 1),
            (f"/v2/instances?SOPInstanceUID={self.instances[1]}", 1),
            (f"{study}/series", 1),
            (f"{study}/instances?limit=1&offset=1", 1),
            (f"{series}/instances", 2),
        ):
            found = self.ask("GET", path).json()
            check(len(found) == count, f"{path}: {len(found)} results and not {count}")
        self.ask("GET", f"/v2/studies?PatientID={self.patient}-NOBODY", 204)
        self.ask("GET", "/v2/studies?limit=0", 400)

    def retrieve(self) -> None:
        original = self.ask("GET", self.instance(), accept="application/dicom; transfer-syntax=*").content
        check(original[128:] == self.files[0][128:], "the file is not the one that was stored")
        every = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        for path in (f"/v2/studies/{self.study}", f"/v2/studies/{self.study}/series/{self.series}"):
            answer = self.ask("GET", path, accept=every)
            check(answer.content.count(self.files[0][132:]) == 1, f"{path}: the file is not in it")
        self.ask("GET", f"/v2/studies/{generate_uid()}", 404, accept=every)
        self.ask("GET", "/v2/studies/not-a-uid", 400, accept=every)

    def retrieve_metadata(self) -> None:
        for path, count in (
            (f"/v2/studies/{self.study}", 2),
            (f"/v2/studies/{self.study}/series/{self.series}", 2),
            (self.instance(), 1),
        ):
            metadata = self.ask("GET", f"{path}/metadata").json()
            check(len(metadata) == count, f"{path}: {len(metadata)} instances and not {count}")
            check(metadata[0]["00100020"]["Value"] == [self.patient], "PatientID")
            check("7FE00010" not in metadata[0], "pixel data in the metadata")

    def retrieve_frames(self) -> None:
        one = self.ask("GET", f"{self.instance()}/frames/2", accept="application/octet-stream")
        check(one.content == self.frame(2), "frame 2")
        several = self.ask(
            "GET", f"{self.instance()}/frames/1,3", accept="multipart/related; type=application/octet-stream"
        )
        check(self.frame(1) in several.content and self.frame(3) in several.content, "frames 1 and 3")
        self.ask("GET", f"{self.instance()}/frames/{FRAMES + 1}", 404, accept="application/octet-stream")

    def render(self) -> None:
        jpeg = self.ask("GET", f"{self.instance()}/rendered", accept="image/jpeg")
        check(jpeg.content.startswith(b"\xff\xd8"), "no JPEG")
        png = self.ask("GET", f"{self.instance()}/frames/2/rendered", accept="image/png")
        check(png.content.startswith(b"\x89PNG"), "no PNG")

    def change_feed(self) -> None:
        """The entries of the study, from the end of the feed."""
        last = self.ask("GET", "/v2/changefeed/latest?includeMetadata=false").json()["sequence"]
        feed = self.ask("GET", f"/v2/changefeed?offset={max(0, last - 200)}&limit=200").json()
        own = [entry for entry in feed if entry["studyInstanceUid"] == self.study]
        actions = [(entry["action"].lower(), entry["state"].lower()) for entry in own]
        expected = [("create", "current"), ("create", "replaced"), ("update", "current")]
        check(actions == expected, f"the feed tells of {actions}")
        check(all(entry["metadata"]["0020000D"]["Value"] == [self.study] for entry in own), "the metadata")

    def extended_query_tags(self) -> None:
        tags = "/v2/extendedquerytags"
        if self.client.get(tags).status_code == 404:
            raise Skipped("not served")
        if self.client.get(f"{tags}/{TAG}").status_code == 200:
            raise Skipped(f"{TAG} is a tag already")
        body = json.dumps([{"path": TAG, "level": "Series"}]).encode()
        operation = self.ask("POST", tags, 202, content=body, content_type="application/json").json()
        try:
            self.wait_for(f"/v2/operations/{operation['id']}")
            check(len(self.ask("GET", f"/v2/series?{TAG}={self.patient}").json()) == 2, "found by the tag")
        finally:
            self.ask("DELETE", f"{tags}/{TAG}", 204)

    def bulk_update(self) -> None:
        change = {"00080050": {"vr": "SH", "Value": ["SMOKE-2"]}}
        body = json.dumps({"studyInstanceUids": [self.study], "changeDataset": change}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.client.post("/v2/studies/$bulkUpdate", content=body, headers=headers)
        if answer.status_code in (404, 409):
            raise Skipped("not served" if answer.status_code == 404 else answer.text)
        check(answer.status_code == 202, f"POST $bulkUpdate: {answer.status_code}: {answer.text[:200]}")
        self.wait_for(f"/v2/operations/{answer.json()['id']}")
        for original, value in (("false", "SMOKE-2"), ("true", "SMOKE")):
            metadata = self.ask("GET", f"{self.instance()}/metadata", msdicom_request_original=original).json()
            check(metadata[0]["00080050"]["Value"] == [value], f"AccessionNumber, original: {original}")
        check(
            len(self.ask("GET", f"/v2/studies?AccessionNumber=SMOKE-2&PatientID={self.patient}").json()) == 1, "found"
        )

    def wait_for(self, operation: str) -> None:
        end = time.monotonic() + 60
        status = ""
        while status not in ("succeeded", "failed") and time.monotonic() < end:
            time.sleep(0.2)
            answer = self.client.get(operation)
            check(answer.status_code in (200, 202), f"GET {operation}: {answer.status_code}")
            status = answer.json()["status"]
        check(status == "succeeded", f"{operation} is {status}")

    def worklist(self) -> None:
        uid, transaction = generate_uid(), generate_uid()
        workitem = f"/v2/workitems/{uid}"
        items = {
            "00100020": {"vr": "LO", "Value": [self.patient]},
            "00404041": {"vr": "CS", "Value": ["READY"]},
            "00741204": {"vr": "LO", "Value": ["Smoke test"]},
        }
        created = self.send_json("POST", f"/v2/workitems?{uid}", 201, [items])
        check(created.headers["location"].endswith(workitem), "Location")
        check(self.ask("GET", workitem).json()["00741000"]["Value"] == ["SCHEDULED"], "the state")
        check(len(self.ask("GET", f"/v2/workitems?PatientID={self.patient}").json()) == 1, "found by PatientID")
        for state, status in (("IN PROGRESS", 200), ("IN PROGRESS", 400), ("COMPLETED", 200)):
            change = {"00081195": {"vr": "UI", "Value": [transaction]}, "00741000": {"vr": "CS", "Value": [state]}}
            self.send_json("PUT", f"{workitem}/state", status, [change])
        self.send_json("POST", f"{workitem}/cancelrequest", 400, [{}])
        check(self.ask("GET", workitem).json()["00741000"]["Value"] == ["COMPLETED"], "the state")

    def send_json(self, method: str, path: str, status: int, content: object) -> httpx.Response:
        return self.ask(method, path, status, content=json.dumps(content).encode(), content_type=DICOM_JSON)

    def refuse_wrong_paths(self) -> None:
        self.ask("GET", "/v3/studies", 400)
        self.ask("GET", "/v2/nope", 404)
        allowed = self.ask("DELETE", "/v2/changefeed", 405).headers["allow"]
        check("GET" in allowed, f"Allow: {allowed}")

    def delete(self) -> None:
        self.ask("DELETE", self.instance(), 204)
        self.ask("DELETE", self.instance(), 404)
        check(len(self.ask("GET", f"/v2/studies/{self.study}/instances").json()) == 1, "the other instance")
        self.ask("DELETE", f"/v2/studies/{self.study}/series/{self.series}", 204)
        self.ask("GET", f"/v2/studies?StudyInstanceUID={self.study}", 204)
        self.ask("DELETE", f"/v2/studies/{self.expiring}", 204)
        self.ask("GET", f"/v2/studies/{self.expiring}/metadata", 404)

    def clean_up(self) -> None:
        """After a failure: nothing stays behind."""
        for study in (self.study, self.expiring):
            self.client.delete(f"/v2/studies/{study}")


STEPS: tuple[Callable[[Walk], None], ...] = (
    Walk.health,
    Walk.store,
    Walk.refuse_duplicates,
    Walk.upsert,
    Walk.store_with_expiry,
    Walk.refuse_what_is_not_dicom,
    Walk.search,
    Walk.retrieve,
    Walk.retrieve_metadata,
    Walk.retrieve_frames,
    Walk.render,
    Walk.change_feed,
    Walk.extended_query_tags,
    Walk.bulk_update,
    Walk.worklist,
    Walk.refuse_wrong_paths,
    Walk.delete,
)


def check(condition: bool, message: str) -> None:
    if not condition:
        raise Mismatch(message)


def walk(url: str) -> int:
    """Takes all steps and prints a line for each; the number of those that failed."""
    failures = skips = 0
    with httpx.Client(base_url=url.rstrip("/"), timeout=60) as client:
        steps = Walk(client)
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            began = time.perf_counter()
            try:
                step(steps)
            except Skipped as reason:
                skips += 1
                print(f"skipped {name}: {reason}")
            except (Mismatch, httpx.HTTPError, KeyError, IndexError, ValueError) as error:
                failures += 1
                print(f"FAILED  {name}: {type(error).__name__}: {error}")
            else:
                print(f"ok      {name} ({(time.perf_counter() - began) * 1000:.0f} ms)")
        if failures:
            try:
                steps.clean_up()
            except httpx.HTTPError as error:
                print(f"The studies of this run could not be deleted: {error}")
    print(f"{len(STEPS) - failures - skips} passed, {failures} failed, {skips} skipped.")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description="Walks the API of a running service once.")
    parser.add_argument("url", nargs="?", default="http://localhost:8080", help="where the service is (%(default)s)")
    return 1 if walk(parser.parse_args().url) else 0


if __name__ == "__main__":
    sys.exit(main())
