"""`msdicom-request-original` by URL: the versions that were stored, of instances that a bulk update has changed."""

import io
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.support.made_images import encoded, gradient, made_image
from tests.support.multipart_answers import parts_of
from tests.support.retrieving import ELE, FRAME_PARTS, J2KL, PARTS, get
from tests.support.stow import Triple, new_triple, send, store, upsert
from tests.support.updating import bulk_update

pytestmark = pytest.mark.integration

HEADER = {"msdicom_request_original": "true"}
ANY = "application/dicom; transfer-syntax=*"
ALL = f"{PARTS}; transfer-syntax=*"
JSON = "application/dicom+json"

Update = Callable[..., None]


@pytest.fixture
def update(store_settings: dict[str, str]) -> Update:
    """`update(study, PatientName="New^Name")`"""

    def with_values(study: str, *instances: str, **values: Any) -> None:
        bulk_update(store_settings, study, instances or None, **values)

    return with_values


def stored(base_url: str, *triples: Triple, **elements: Any) -> list[bytes]:
    """Files of these instances, which are stored."""
    files = [triple.file(**{"PatientName": "Old^Name", **elements}) for triple in triples]
    assert store(base_url, *files).status == 200
    return files


def name_of(content: bytes) -> str:
    return str(dcmread(io.BytesIO(content)).PatientName)


def of_levels(base_url: str, triple: Triple, **headers: str) -> list[list[bytes]]:
    """The files that retrieval of study, series and instance gives."""
    study = f"{base_url}/v2/studies/{triple.study}"
    files = []
    for url in (study, f"{study}/series/{triple.series}", f"{base_url}/v2{triple.path}"):
        answer = get(url, ALL, **headers)
        assert answer.status_code == 200, answer.text
        files.append([part.content for part in parts_of(answer)])
    return files


def metadata_urls(base_url: str, triple: Triple) -> tuple[str, str, str]:
    study = f"{base_url}/v2/studies/{triple.study}"
    return (f"{study}/metadata", f"{study}/series/{triple.series}/metadata", f"{base_url}/v2{triple.path}/metadata")


def names(url: str, **headers: str) -> list[str]:
    """The names of patients in metadata."""
    answer = get(url, JSON, **headers)
    assert answer.status_code == 200, answer.text
    return [item["00100010"]["Value"][0]["Alphabetic"] for item in answer.json()]


def triple_of(dataset: Dataset) -> Triple:
    return Triple(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))


def some_series(count: int) -> list[Triple]:
    """Two series of a study, of so many instances together."""
    first = new_triple()
    other = Triple(first.study, new_triple().series, new_triple().instance)
    return [first, other, *(first.sibling() for _ in range(count - 2))]


@pytest.mark.parametrize("count", [3, 7])
def test_both_versions(base_url: str, update: Update, count: int) -> None:
    """RET-110, RET-111, PLT-76, PLT-77: at three levels, byte for byte, whatever case the header has, also after a
    second update."""
    triples = some_series(count)
    files = stored(base_url, *triples)
    of_series = [files[0], *files[2:]]
    update(triples[0].study, PatientName="New^Name")
    for name in ("New^Name", "Newer^Name"):
        for headers in ({}, {"msdicom_request_original": "false"}):
            latest = of_levels(base_url, triples[0], **headers)
            assert [len(each) for each in latest] == [count, count - 1, 1]
            assert {name_of(content) for each in latest for content in each} == {name}
        for value in ("true", "True", "TRUE"):
            study, series, instance = of_levels(base_url, triples[0], msdicom_request_original=value)
            assert sorted(study) == sorted(files)
            assert series == of_series, "in the order in which they were stored"
            assert instance == files[:1]
        update(triples[0].study, PatientName="Newer^Name")


@pytest.mark.parametrize("value", ["false", "1", "", "yes", "true, true", "original"])
def test_other_values_mean_the_latest(base_url: str, update: Update, value: str) -> None:
    """RET-110, PLT-76: and are no error."""
    triple = new_triple()
    stored(base_url, triple)
    update(triple.study, PatientName="New^Name")
    headers = {"msdicom_request_original": value}
    assert [name_of(content) for [content] in of_levels(base_url, triple, **headers)] == ["New^Name"] * 3
    for url in metadata_urls(base_url, triple):
        assert names(url, **headers) == ["New^Name"]


@pytest.mark.parametrize("count", [2, 6])
def test_metadata_and_its_etag(base_url: str, update: Update, count: int) -> None:
    """RET-110, RET-114, RET-75: an update changes the ETag; it is that of the latest version for either."""
    triples = some_series(count)
    stored(base_url, *triples)
    before = [get(url, JSON).headers["etag"] for url in metadata_urls(base_url, triples[0])]
    update(triples[0].study, PatientName="New^Name")
    for url, old, expected in zip(metadata_urls(base_url, triples[0]), before, (count, count - 1, 1), strict=True):
        assert names(url) == ["New^Name"] * expected
        assert names(url, **HEADER) == ["Old^Name"] * expected
        etag = get(url, JSON).headers["etag"]
        assert etag != old
        assert get(url, JSON, **HEADER).headers["etag"] == etag
        assert get(url, JSON, if_none_match=etag, **HEADER).status_code == 304
        assert get(url, JSON, if_none_match=old, **HEADER).status_code == 200


def test_study_that_is_updated_in_part(base_url: str, update: Update) -> None:
    """RET-110, RET-115: instances that were not updated are given as they are, with the header and without."""
    triples = some_series(6)
    files = stored(base_url, *triples)
    update(triples[0].study, *(each.instance for each in triples[:4]), PatientName="New^Name")
    study, _, _ = of_levels(base_url, triples[0])
    assert sorted(map(name_of, study)) == ["New^Name"] * 4 + ["Old^Name"] * 2
    assert sorted(of_levels(base_url, triples[0], **HEADER)[0]) == sorted(files)
    assert of_levels(base_url, triples[5])[2] == of_levels(base_url, triples[5], **HEADER)[2] == files[5:]
    assert names(metadata_urls(base_url, triples[0])[0], **HEADER) == ["Old^Name"] * 6


def test_without_an_update(base_url: str) -> None:
    """RET-115: the header has no effect, and an unknown study is not found either way."""
    triple = new_triple()
    files = stored(base_url, triple)
    assert of_levels(base_url, triple, **HEADER) == of_levels(base_url, triple) == [files] * 3
    for url in metadata_urls(base_url, triple):
        assert get(url, JSON, **HEADER).content == get(url, JSON).content
    for url in (*metadata_urls(base_url, new_triple()), f"{base_url}/v2{new_triple().path}"):
        assert get(url, ANY, JSON, **HEADER).status_code == 404


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_delete_takes_both(base_url: str, update: Update, level: str) -> None:
    """RET-115, PLT-80: 404 afterwards, with and without the header."""
    triple = new_triple()
    stored(base_url, triple)
    update(triple.study, PatientName="New^Name")
    path = {
        "study": f"/studies/{triple.study}",
        "series": f"/studies/{triple.study}/series/{triple.series}",
        "instance": triple.path,
    }[level]
    assert send("DELETE", f"{base_url}/v2{path}").status == 204
    for headers in ({}, HEADER):
        assert get(f"{base_url}/v2{triple.path}", ANY, **headers).status_code == 404
        for url in metadata_urls(base_url, triple):
            assert get(url, JSON, **headers).status_code == 404
    files = stored(base_url, triple, PatientName="Again")
    assert of_levels(base_url, triple, **HEADER) == [files] * 3


def test_put_begins_anew(base_url: str, update: Update) -> None:
    """STO-31, RET-110: what is put over an updated instance is its only version; POST of it is refused (PLT-81)."""
    triple = new_triple()
    [file] = stored(base_url, triple)
    update(triple.study, PatientName="New^Name")
    assert store(base_url, file).reasons == [45070]
    assert [name_of(content) for [content] in of_levels(base_url, triple)] == ["New^Name"] * 3
    put = triple.file(PatientName="Put")
    assert upsert(base_url, put).status == 200
    assert of_levels(base_url, triple, **HEADER) == of_levels(base_url, triple) == [[put]] * 3
    update(triple.study, PatientName="Newer^Name")
    assert of_levels(base_url, triple, **HEADER) == [[put]] * 3


def test_transcoding_of_either(base_url: str, update: Update) -> None:
    """RET-113: of native and of compressed pixels, single-part and multipart."""
    dataset = made_image(gradient(40, 30), PatientName="Old^Name")
    triple = triple_of(dataset)
    assert not store(base_url, encoded(dataset, ImplicitVRLittleEndian)).failed
    update(triple.study, PatientName="New^Name")
    url = f"{base_url}/v2{triple.path}"
    for headers, name in (({}, "New^Name"), (HEADER, "Old^Name")):
        for target in (ELE, J2KL):
            single = get(url, f"application/dicom; transfer-syntax={target}", **headers)
            [part] = parts_of(get(url, f"{PARTS}; transfer-syntax={target}", **headers))
            for content in (single.content, part.content):
                made = dcmread(io.BytesIO(content))
                assert (made.file_meta.TransferSyntaxUID, str(made.PatientName)) == (target, name)
                if target == ExplicitVRLittleEndian:
                    assert made.PixelData == dataset.PixelData


def test_frames_rendered_and_search_ignore_it(base_url: str, update: Update) -> None:
    """RET-52, RET-101, PLT-76: they give the latest version."""
    dataset = made_image(gradient(40, 30), PatientName="Old^Name")
    triple = triple_of(dataset)
    assert not store(base_url, encoded(dataset)).failed
    update(triple.study, PatientName="New^Name")
    v2 = f"{base_url}/v2"
    [part] = parts_of(get(f"{v2}{triple.path}/frames/1", FRAME_PARTS, **HEADER))
    assert part.content == dataset.PixelData
    for url in (f"{v2}{triple.path}/rendered", f"{v2}{triple.path}/frames/1/rendered"):
        assert get(url, "image/png", **HEADER).content == get(url, "image/png").content
    for level in ("studies", "series", "instances"):
        url = f"{v2}/{level}?StudyInstanceUID={triple.study}&includefield=PatientName"
        found = get(url, JSON, **HEADER).json()
        assert [item["00100010"]["Value"][0]["Alphabetic"] for item in found] == ["New^Name"]
    assert get(f"{v2}/studies?PatientName=Old^Name&StudyInstanceUID={triple.study}", JSON, **HEADER).status_code == 204


@pytest.mark.parametrize("count", [1, 5])
def test_what_is_too_large_for_a_row(base_url: str, update: Update, count: int) -> None:
    """RET-110, STO-105: metadata of either version that lies in blobs of its own."""
    first = new_triple()
    triples = [first, *(first.sibling() for _ in range(count - 1))]
    files = stored(base_url, *triples, TextValue=secrets.token_hex(200_000))
    update(triples[0].study, PatientName="New^Name")
    assert of_levels(base_url, triples[0], **HEADER) == [files, files, files[:1]]
    for url, expected in zip(metadata_urls(base_url, triples[0]), (count, count, 1), strict=True):
        assert names(url, **HEADER) == ["Old^Name"] * expected
        assert names(url) == ["New^Name"] * expected


def test_change_feed_tells_of_the_latest(base_url: str, update: Update) -> None:
    """PLT-79, CHG-13: one entry for each instance, current; those before are replaced, with the latest metadata."""
    triples = some_series(2)
    stored(base_url, *triples)
    update(triples[0].study, PatientName="New^Name")
    latest = get(f"{base_url}/v2/changefeed/latest?includeMetadata=false", JSON).json()["sequence"]
    page = get(f"{base_url}/v2/changefeed?offset={max(latest - 150, 0)}&limit=200", JSON, **HEADER).json()
    mine = [entry for entry in page if entry["studyInstanceUid"] == triples[0].study]
    assert [(entry["action"], entry["state"]) for entry in mine] == [
        ("Create", "Replaced"),
        ("Create", "Replaced"),
        ("Update", "Current"),
        ("Update", "Current"),
    ]
    assert {entry["metadata"]["00100010"]["Value"][0]["Alphabetic"] for entry in mine} == {"New^Name"}


def test_by_way_of_the_route(base_url: str) -> None:
    """RET-110, RET-111, RET-112: what `$bulkUpdate` makes of a study, and what was stored of it."""
    dataset = made_image(gradient(40, 30), PatientName="Old^Name")
    triple, file = triple_of(dataset), encoded(dataset)
    assert not store(base_url, file).failed
    body = {
        "studyInstanceUids": [triple.study],
        "changeDataset": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}},
    }
    answer = send(
        "POST", f"{base_url}/v2/studies/$bulkUpdate", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    assert answer.status == 202, answer.text
    ends = time.monotonic() + 60
    while (state := get(answer.response.json()["href"], "application/json")).status_code == 202:
        assert time.monotonic() < ends, state.text
        time.sleep(0.05)
    assert state.json()["status"] == "succeeded"
    for [content] in of_levels(base_url, triple):
        latest = dcmread(io.BytesIO(content))
        assert (latest.PatientName, latest.PixelData) == ("New^Name", dataset.PixelData)
        assert latest.file_meta.ImplementationClassUID == "1.3.6.1.4.1.311.129"
    assert of_levels(base_url, triple, **HEADER) == [[file]] * 3


def test_document_names_the_header(base_url: str) -> None:
    """RET-110, RET-52, RET-101: where it has an effect."""
    document = get(f"{base_url}/v2/api.json", "application/json").json()
    named = {
        path.removeprefix("/v2")
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter.get("name") == "msdicom-request-original"
    }
    series = "/studies/{study}/series/{series}"
    levels = ("/studies/{study}", series, f"{series}/instances/{{instance}}")
    assert {path for path in named if not path.startswith("/partitions")} == {
        f"{level}{metadata}" for level in levels for metadata in ("", "/metadata")
    }
