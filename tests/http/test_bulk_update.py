"""Bulk update by URL: what is refused and how, the operation as clients follow it, and all that reads after it."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from tests.conftest import StartHost
from tests.support.bundled_files import EXCEPTIONS, ROOT, bundled_files
from tests.support.made_files import new_uid
from tests.support.made_images import encoded, gradient, made_image
from tests.support.multipart_answers import parts_of
from tests.support.processes import LocalHost
from tests.support.retrieving import ELE, FRAME_PARTS, J2KL, PARTS, get
from tests.support.stow import Triple, new_triple, send, store, upsert
from tests.support.tokens import bearer, unsigned

pytestmark = pytest.mark.integration

JSON = "application/dicom+json"
FILE = "application/dicom; transfer-syntax=*"
NAME: dict[str, Any] = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}
NOTHING = {"studyInstanceUids": ["1.2.3.99"], "changeDataset": {}}


def post(base_url: str, body: Any, *, path: str = "/v2/studies/$bulkUpdate", **headers: str) -> httpx.Response:
    """The request as it is; `body` is JSON unless it is bytes."""
    if isinstance(body, bytes):
        return httpx.post(base_url + path, content=body, headers={"Content-Type": "application/json", **headers})
    return httpx.post(base_url + path, json=body, headers=headers, timeout=30)


def ended(base_url: str, operation: str, version: str = "v2", **headers: str) -> dict[str, Any]:
    """The operation, once it is finished."""
    end = time.monotonic() + 60
    url = f"{base_url}/{version}/operations/{operation}"
    while (answer := httpx.get(url, headers=headers)).status_code == 202:
        assert time.monotonic() < end, answer.text
        assert answer.headers["location"] == url
        assert "results" not in answer.json()
        time.sleep(0.05)
    assert answer.status_code == 200
    assert "location" not in answer.headers
    document: dict[str, Any] = answer.json()
    return document


def update(base_url: str, *studies: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Updates studies and waits for it."""
    answer = post(base_url, {"studyInstanceUids": studies, "changeDataset": NAME if changes is None else changes})
    assert answer.status_code == 202, answer.text
    return ended(base_url, answer.json()["id"])


def instance(base_url: str, triple: Triple, **headers: str) -> bytes:
    answer = get(f"{base_url}/v2{triple.path}", FILE, **headers)
    assert answer.status_code == 200, answer.text
    return answer.content


def metadata(base_url: str, triple: Triple, **headers: str) -> dict[str, Any]:
    (item,) = get(f"{base_url}/v2{triple.path}/metadata", JSON, **headers).json()
    return dict(item)


def found(base_url: str, query: str) -> list[str]:
    answer = get(f"{base_url}/v2/studies?{query}", JSON)
    return [item["0020000D"]["Value"][0] for item in answer.json()] if answer.status_code == 200 else []


def entries(base_url: str, study: str) -> list[dict[str, Any]]:
    """Entries of a study in the change feed, without metadata."""
    latest = get(f"{base_url}/v2/changefeed/latest", "application/json").json()["sequence"]
    all_: list[dict[str, Any]] = []
    for start in range(max(0, latest - 400), latest, 200):
        all_ += get(f"{base_url}/v2/changefeed?offset={start}&limit=200&includeMetadata=false", "*/*").json()
    return [entry for entry in all_ if entry["studyInstanceUid"] == study]


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize("path", ["/v2/studies/$bulkUpdate", "/v2/studies/%24bulkUpdate", "/V2/Studies/$BULKUPDATE/"])
def test_accepted(base_url: str, path: str) -> None:
    """PLT-59, PLT-60, PLT-61, PLT-62, PLT-70, PLT-71: an unknown study is accepted, and processed only"""
    answer = post(base_url, b'{"StudyInstanceUIDs":["1.2.3.99",],"changedataset":{},/* */"x":1}', path=path)
    assert answer.status_code == 202
    assert answer.headers["content-type"].startswith("application/json")
    document = answer.json()
    assert re.fullmatch("[0-9a-f]{32}", document["id"])
    version = path.split("/")[1]
    assert document == {"id": document["id"], "href": f"{base_url}/{version}/operations/{document['id']}"}
    assert answer.headers["location"] == document["href"]
    operation = ended(base_url, document["id"])
    assert operation.pop("createdTime") <= operation.pop("lastUpdatedTime")
    results = {"studyProcessed": 1, "studyUpdated": 0, "studyFailed": 0, "instanceUpdated": 0}
    assert operation == {
        "operationId": document["id"],
        "type": "update",
        "status": "succeeded",
        "percentComplete": 100,
        "results": results,
    }
    assert ended(base_url, document["id"], "v1")["status"] == "completed"


def test_versions(base_url: str) -> None:
    """PLT-59, section 15: 404, empty, in version 1; other methods of the path are 405"""
    for version in ("v1", "v1.0-prerelease"):
        for path in (f"/{version}/studies/$bulkUpdate", f"/{version}/partitions/x/studies/$bulkUpdate"):
            for method in ("POST", "GET"):
                answer = httpx.request(method, base_url + path, json=NOTHING)
                assert (answer.status_code, answer.content) == (404, b""), (method, path)
        documented = httpx.get(f"{base_url}/{version}/api.json").json()["paths"]
        assert not [path for path in documented if "bulkUpdate" in path]
    answer = httpx.get(f"{base_url}/v2/studies/$bulkUpdate")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", ["text/html", "application/dicom", 'multipart/related; type="application/dicom"', ""])
def test_content_types(base_url: str, kind: str) -> None:
    """PLT-59: 415, empty"""
    answer = send("POST", f"{base_url}/v2/studies/$bulkUpdate", b"{}", {"Content-Type": kind} if kind else {})
    assert (answer.status, answer.text) == (415, "")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The syntax of the request body is invalid."),
        (b"{", "The syntax of the request body is invalid."),
        (b"[]", "The syntax of the request body is invalid."),
        ({"changeDataset": {}}, "The required field 'StudyInstanceUids' is missing or empty."),
        ({"studyInstanceUids": [], "changeDataset": {}}, "The required field 'StudyInstanceUids' is missing or empty."),
        (
            {"studyInstanceUids": ["1.2"] * 51, "changeDataset": {}},
            "StudyInstanceUids count exceeded maximum length '50'",
        ),
        ({"studyInstanceUids": ["1.2"]}, "The required field 'ChangeDataset' is missing."),
        (
            {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {}}},
            "The syntax of the request body is invalid.",
        ),
    ],
)
def test_refused(base_url: str, body: Any, text: str) -> None:
    """PLT-63, PLT-64, PLT-65: 400 in plain text"""
    answer = post(base_url, body)
    assert (answer.status_code, answer.text) == (400, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_bad_uids(base_url: str) -> None:
    """PLT-65: with the text of PLT-17"""
    answer = post(base_url, {"studyInstanceUids": ["1.2", "1.2."], "changeDataset": {"0020000D": {"vr": "UI"}}})
    assert answer.status_code == 400
    assert answer.text.startswith("Dicom element 'StudyInstanceUid' failed validation for VR 'UI': DICOM Identifier")


def test_refused_attributes(base_url: str) -> None:
    """PLT-14, PLT-67, PLT-68: 400 with a data set, and no operation is started"""
    changes = {
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00100030": {"vr": "DA", "Value": ["yesterday"]},
        "00100020": {"vr": "LO", "Value": ["fine"]},
    }
    answer = post(base_url, {"studyInstanceUids": ["1.2"], "changeDataset": changes})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/json")
    items = answer.json()["00741048"]["Value"]
    assert answer.json()["00741048"]["vr"] == "SQ"
    first, second = (item["00000902"]["Value"][0] for item in items)
    assert first.startswith('DICOM100: (0010,0030) - Content "yesterday" does not validate VR DA')
    assert second == "DICOM100: (0020,000d) - Updating the tag is not supported"
    assert update(base_url, "1.2.3.99")["status"] == "succeeded", "nothing is active"


def test_too_large(base_url: str) -> None:
    """PLT-15"""
    answer = post(base_url, b'{"studyInstanceUids":["1.2"],"changeDataset":{}}' + b" " * 500_000)
    assert (answer.status_code, answer.text) == (413, "The request exceeded the allowed limit of 500000 bytes.")


def test_one_at_a_time(empty_store: dict[str, str], start_host_on: StartHost) -> None:
    """PLT-69: over several worker processes; validation comes first; another one may follow"""
    host = start_host_on(empty_store, workers=2)
    triple = new_triple()
    for _ in range(4):
        store(host.url, *(triple.sibling().file() for _ in range(30)))
    body = {"studyInstanceUids": [triple.study], "changeDataset": NAME}
    answers = [post(host.url, body) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [202] + [409] * 11
    text = f"There is already an active update operation with ID '{answers[0].json()['id']}'."
    assert {answer.text for answer in answers[1:]} == {text}
    assert answers[1].headers["content-type"] == "text/plain; charset=utf-8"
    assert post(host.url, {**body, "studyInstanceUids": []}).status_code == 400
    assert ended(host.url, answers[0].json()["id"])["results"]["instanceUpdated"] == 120
    assert update(host.url, triple.study)["results"]["instanceUpdated"] == 120


def test_roles(start_host: Callable[..., LocalHost]) -> None:
    """PLT-42, PLT-43: a reader may not, after what is bound and before what is meant"""
    host = start_host({"DICOM_AUTH_MODE": "mock"})
    reader = bearer(unsigned({"roles": ["DICOM Data Reader"]}))
    bodies: list[dict[str, Any]] = [
        NOTHING,
        {"studyInstanceUids": []},
        {"studyInstanceUids": ["x"], "changeDataset": {}},
    ]
    for body in bodies:
        answer = post(host.url, body, **reader)
        assert (answer.status_code, answer.text) == (403, "Authorization failed.")
    assert post(host.url, b"{", **reader).status_code == 400
    assert post(host.url, NOTHING).status_code == 401
    operation = post(host.url, NOTHING, **bearer("x")).json()["id"]
    assert ended(host.url, operation, **bearer("x"))["status"] == "succeeded"
    assert '"operationName":"update-study","resultType":"Started"' in host.output()


# ---------------------------------------------------------------- effect


CHANGES: dict[str, Any] = {
    "00080050": {"vr": "SH", "Value": ["ACC-2"]},
    "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Refer^New"}]},
    "00081030": {"vr": "LO", "Value": ["New description"]},
    **NAME,
    "00100020": {"vr": "LO", "Value": ["NEW-ID"]},
    "00100030": {"vr": "DA", "Value": ["19700203"]},
    "00104000": {"vr": "LT", "Value": ["line\r\nof \\ text"]},
}
OLD = {"PatientName": "Old^Name", "PatientBirthDate": "19600101", "StudyDescription": "Old", "AccessionNumber": "ACC-1"}


def test_everything_that_reads(base_url: str) -> None:
    """PLT-74 to PLT-76, PLT-78 to PLT-81, PLT-116, STO-44: two series of a study; another of the patient stays"""
    patient, new_patient = new_uid()[-40:], new_uid()[-40:]
    one = new_triple()
    triples = [one, one.sibling(), Triple(one.study, new_uid(), new_uid())]
    other = new_triple()
    files = [each.file(PatientID=patient, InstanceNumber=number, **OLD) for number, each in enumerate(triples)]
    assert store(base_url, *files, other.file(PatientID=patient, **OLD)).status == 200
    tags = {
        each.study: get(f"{base_url}/v2/studies/{each.study}/metadata", JSON).headers["etag"] for each in (one, other)
    }

    changes = {**CHANGES, "00100020": {"vr": "LO", "Value": [new_patient]}}
    operation = update(base_url, one.study, changes=changes)
    assert operation["status"] == "succeeded"
    assert operation["results"] == {"studyProcessed": 1, "studyUpdated": 1, "studyFailed": 0, "instanceUpdated": 3}

    for number, triple in enumerate(triples):
        shown = metadata(base_url, triple)
        assert {tag: shown[tag] for tag in changes} == changes
        assert shown["00200013"]["Value"] == [number]
        original = metadata(base_url, triple, msdicom_request_original="TRUE")
        assert {tag: original.get(tag) for tag in changes} != changes
        assert original["00100010"]["Value"] == [{"Alphabetic": "Old^Name"}]
        file = pydicom.dcmread(io.BytesIO(instance(base_url, triple)))
        assert (str(file.PatientName), file.PatientComments) == ("New^Name", "line\r\nof \\ text")
        assert file.file_meta.ImplementationClassUID == "1.3.6.1.4.1.311.129"
        version = httpx.get(f"{base_url}/health").json()["version"]
        assert file.file_meta.ImplementationVersionName == version
        first = instance(base_url, triple, msdicom_request_original="true")
        assert first == files[number]
    of_study = get(f"{base_url}/v2/studies/{one.study}", f"{PARTS}; transfer-syntax=*")
    assert {str(pydicom.dcmread(io.BytesIO(part.content)).PatientName) for part in parts_of(of_study)} == {"New^Name"}
    answer = get(f"{base_url}/v2/studies/{one.study}/metadata", JSON, if_none_match=tags[one.study])
    assert answer.status_code == 200

    assert found(base_url, f"PatientID={new_patient}&PatientName=New*&PatientBirthDate=19700203") == [one.study]
    assert found(base_url, f"PatientID={new_patient}&ReferringPhysicianName=Refer^New&AccessionNumber=ACC-2") == [
        one.study
    ]
    assert found(base_url, f"PatientID={new_patient}&StudyDescription=New%20description") == [one.study]
    assert found(base_url, f"PatientID={patient}") == [other.study]
    assert found(base_url, f"StudyInstanceUID={one.study}&PatientName=Old*") == []

    told = [(entry["action"], entry["state"]) for entry in entries(base_url, one.study)]
    assert told == [("Create", "Replaced")] * 3 + [("Update", "Current")] * 3
    assert [entry["state"] for entry in entries(base_url, other.study)] == ["Current"]
    assert (
        get(f"{base_url}/v2/studies/{other.study}/metadata", JSON, if_none_match=tags[other.study]).status_code == 304
    )

    again = store(base_url, files[0])
    assert (again.status, again.reasons) == (409, [45070])
    assert metadata(base_url, one)["00100020"]["Value"] == [new_patient]
    assert httpx.delete(f"{base_url}/v2/studies/{one.study}").status_code == 204
    for headers in ({}, {"msdicom_request_original": "true"}):
        assert get(f"{base_url}/v2{one.path}", FILE, **headers).status_code == 404
        assert get(f"{base_url}/v2/studies/{one.study}/metadata", JSON, **headers).status_code == 404


def test_two_updates(base_url: str) -> None:
    """PLT-77: the first version stays, the one in between goes; a PUT afterwards is a new first version"""
    triple = new_triple()
    first = triple.file(PatientName="First")
    store(base_url, first)
    for name in ("Second", "Third"):
        changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
        assert update(base_url, triple.study, changes=changes)["results"]["instanceUpdated"] == 1
        assert str(pydicom.dcmread(io.BytesIO(instance(base_url, triple))).PatientName) == name
        assert instance(base_url, triple, msdicom_request_original="true") == first
    put = triple.file(PatientName="Fourth")
    assert upsert(base_url, put).status == 200
    assert instance(base_url, triple) == instance(base_url, triple, msdicom_request_original="true") == put


def test_emptied_attributes(base_url: str) -> None:
    """PLT-78: empty in the file and in metadata"""
    triple = new_triple()
    store(base_url, triple.file(PatientName="Full", PatientSex="M"))
    update(base_url, triple.study, changes={"00100010": {"vr": "PN"}, "00100040": {"vr": "CS", "Value": []}})
    assert metadata(base_url, triple)["00100010"] == {"vr": "PN"}
    file = pydicom.dcmread(io.BytesIO(instance(base_url, triple)))
    assert (file.PatientName, file.PatientSex) == ("", "")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_pixels(base_url: str, syntax: str) -> None:
    """PLT-74, PLT-116: frames, pictures and transcoded files come of the new version; the encoding stays"""
    dataset = made_image(np.stack([gradient(33, 35)] * 3), PatientName="Old")
    triple = Triple(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    assert store(base_url, encoded(dataset, syntax)).status == 200
    url = f"{base_url}/v2{triple.path}"
    before = [get(f"{url}/{path}", accept).content for path, accept in PICTURES]
    pixels = pydicom.dcmread(io.BytesIO(instance(base_url, triple))).pixel_array
    assert (
        update(base_url, triple.study, changes={"00100010": {"vr": "PN", "Value": ["王^小"]}})["status"] == "succeeded"
    )
    file = pydicom.dcmread(io.BytesIO(instance(base_url, triple)))
    assert (file.PatientName, file.SpecificCharacterSet, file.file_meta.TransferSyntaxUID) == (
        "王^小",
        "ISO_IR 192",
        syntax,
    )
    assert np.array_equal(file.pixel_array, pixels)
    assert [get(f"{url}/{path}", accept).content for path, accept in PICTURES] == before
    for target in (ELE, J2KL):
        transcoded = pydicom.dcmread(io.BytesIO(get(url, f"application/dicom; transfer-syntax={target}").content))
        assert (transcoded.PatientName, transcoded.file_meta.TransferSyntaxUID) == ("王^小", target)
        assert np.array_equal(transcoded.pixel_array, pixels)


PICTURES = (
    ("frames/2", "application/octet-stream"),
    ("rendered", "image/png"),
    ("frames/3/rendered", "image/png"),
)


def test_character_sets(base_url: str) -> None:
    """PLT-74: all text of a file that becomes Unicode keeps its values, also in sequences with sets of their own"""
    inner = Dataset()
    inner.SpecificCharacterSet, inner.CodeMeaning = "ISO_IR 144", "Люкceмбypг"
    triple = new_triple()
    file = triple.file(
        SpecificCharacterSet="ISO_IR 100", StudyDescription="Größe", ProcedureCodeSequence=[inner], PatientName="Müller"
    )
    store(base_url, file)
    update(base_url, triple.study, changes={"00080090": {"vr": "PN", "Value": [{"Alphabetic": "Ä^Ö"}]}})
    assert metadata(base_url, triple)["00080005"]["Value"] == ["ISO_IR 100"], "it fits"
    update(base_url, triple.study, changes={"00100010": {"vr": "PN", "Value": [{"Ideographic": "山田^太郎"}]}})
    shown = metadata(base_url, triple)
    assert shown["00080005"]["Value"] == ["ISO_IR 192"]
    assert shown["00081030"]["Value"] == ["Größe"]
    assert shown["00080090"]["Value"] == [{"Alphabetic": "Ä^Ö"}]
    assert shown["00081032"]["Value"][0]["00080104"]["Value"] == ["Люкceмбypг"]
    read = pydicom.dcmread(io.BytesIO(instance(base_url, triple)))
    assert read.ProcedureCodeSequence[0].CodeMeaning == "Люкceмбypг"
    assert str(read.PatientName) == "=山田^太郎"


def test_extended_query_tags(base_url: str) -> None:
    """PLT-78: study-level tags on attributes that may be changed are searched by their new values"""
    triple = new_triple()
    store(base_url, triple.file(PatientComments="x", OtherPatientNames="Old^Other", PatientAge="001Y"))
    tags = [{"path": "00101001", "vr": "PN", "level": "Study"}, {"path": "00101010", "vr": "AS", "level": "Study"}]
    added = httpx.post(f"{base_url}/v2/extendedquerytags", json=tags)
    assert added.status_code == 202
    ended(base_url, added.json()["id"])
    try:
        assert found(base_url, f"StudyInstanceUID={triple.study}&PatientAge=001Y") == [triple.study]
        update(base_url, triple.study, changes={"00101010": {"vr": "AS", "Value": ["002Y"]}})
        assert found(base_url, f"StudyInstanceUID={triple.study}&PatientAge=001Y") == []
        assert found(base_url, f"StudyInstanceUID={triple.study}&PatientAge=002Y") == [triple.study]
        assert found(base_url, f"StudyInstanceUID={triple.study}&OtherPatientNames=Old^Other") == [triple.study]
    finally:
        for tag in tags:
            httpx.delete(f"{base_url}/v2/extendedquerytags/{tag['path']}")


def test_a_large_file(base_url: str, size: Callable[[str], int]) -> None:
    """PLT-74: of many MB, frame by frame as before"""
    rows = size("bytes of a large file") // 2 // 1000 // 10
    dataset = made_image(np.arange(10 * rows * 1000, dtype="<u2").reshape(10, rows, 1000), PatientName="Old")
    triple = Triple(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    before = encoded(dataset)
    assert store(base_url, before).status == 200
    assert update(base_url, triple.study)["results"]["instanceUpdated"] == 1
    after = instance(base_url, triple)
    assert after[-dataset.PixelData.__len__() :] == dataset.PixelData
    assert instance(base_url, triple, msdicom_request_original="true") == before
    parts = parts_of(get(f"{base_url}/v2{triple.path}/frames/2,10", f"{FRAME_PARTS}; transfer-syntax=*"))
    frame = rows * 2000
    assert [part.content for part in parts] == [dataset.PixelData[frame : 2 * frame], dataset.PixelData[9 * frame :]]


ACCEPTED = [name for name in bundled_files() if not isinstance(EXCEPTIONS.get(name), str)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["New^Name", "王^小"])
def test_bundled_files(empty_store: dict[str, str], start_host_on: StartHost, name: str) -> None:
    """PLT-72, PLT-74: all files that pydicom carries and a store takes, in one operation of up to 50 studies"""
    host = start_host_on(empty_store)
    contents: dict[Triple, bytes] = {}
    for path in ACCEPTED:
        content = Path(ROOT / path).read_bytes()
        answer = send("PUT", f"{host.url}/v2/studies", content, {"Content-Type": "application/dicom", "Accept": JSON})
        assert answer.status in (200, 202)
        read = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        contents[Triple(read.StudyInstanceUID, read.SeriesInstanceUID, read.SOPInstanceUID)] = content
    studies = sorted({str(triple.study) for triple in contents})
    updated = 0
    for start in range(0, len(studies), 50):
        changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
        operation = update(host.url, *studies[start : start + 50], changes=changes)
        assert operation["status"] == "succeeded", operation
        updated += operation["results"]["instanceUpdated"]
    assert updated == len(contents)
    for triple, content in contents.items():
        assert metadata(host.url, triple)["00100010"]["Value"] == [{"Alphabetic": name}]
        old = metadata(host.url, triple, msdicom_request_original="true")
        assert same(old, metadata(host.url, triple))
        original = instance(host.url, triple, msdicom_request_original="true")
        assert original[128:] == content[128:]
        after = pydicom.dcmread(io.BytesIO(instance(host.url, triple)), force=True)
        before = pydicom.dcmread(io.BytesIO(content), force=True)
        assert after.get("PixelData") == before.get("PixelData")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether metadata differ in nothing but the name and the character sets."""

    def rest(item: dict[str, Any], *, top: bool) -> dict[str, Any]:
        return {
            tag: [rest(each, top=False) for each in element.get("Value", [])] if element["vr"] == "SQ" else element
            for tag, element in item.items()
            if tag != "00080005" and (tag != "00100010" or not top)
        }

    return rest(one, top=True) == rest(other, top=True)


def test_switched_off(start_host: StartHost) -> None:
    """PLT-59: with `DICOM_DISABLE_OPERATIONS` no bulk update begins"""
    host = start_host({"DICOM_DISABLE_OPERATIONS": "true"})
    answer = post(host.url, NOTHING)
    text = "Asynchronous operations are temporarily disabled. Please try again later."
    assert (answer.status_code, answer.text) == (400, text)
    assert httpx.get(f"{host.url}/health").status_code == 200
