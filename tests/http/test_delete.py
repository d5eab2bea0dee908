"""DELETE by URL at its three levels."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.made_files import new_uid
from tests.support.stow import Triple, new_triple, store

pytestmark = pytest.mark.integration

JSON = {"Accept": "application/dicom+json"}


@pytest.fixture
def v2(base_url: str) -> str:
    return f"{base_url}/v2"


def delete(url: str, **headers: str) -> tuple[int, str]:
    response = httpx.delete(url, headers=headers, timeout=60)
    return response.status_code, response.text


def found(v2: str, path: str) -> int:
    """How many results a search has."""
    response = httpx.get(v2 + path, headers=JSON, timeout=60)
    assert response.status_code in (200, 204), response.text
    return len(response.json()) if response.status_code == 200 else 0


def gone(level: str) -> tuple[int, str]:
    return 404, f"The specified {level} cannot be found."


def bad_uid(name: str) -> tuple[int, str]:
    return (
        400,
        f"Dicom element '{name}' failed validation for VR 'UI': DICOM Identifier is invalid. Value length should not "
        "exceed the maximum length of 64 characters. Value should contain characters in '0'-'9' and '.'. Each "
        "component must start with non-zero number.",
    )


def study_of(instances_per_series: list[int]) -> list[list[Triple]]:
    study = new_uid()
    return [
        [Triple(study, series, new_uid()) for _ in range(count)]
        for count in instances_per_series
        for series in [new_uid()]
    ]


def stored(base_url: str, series: list[list[Triple]]) -> None:
    answer = store(base_url, *(triple.file() for group in series for triple in group))
    assert answer.status == 200


def test_an_instance_then_its_series_then_the_study(base_url: str, v2: str) -> None:
    """STO-140, STO-142: the level above goes with the last below it; siblings stay."""
    (first, second), (third,) = study_of([2, 1])
    stored(base_url, [[first, second], [third]])
    assert delete(v2 + first.path) == (204, "")
    assert found(v2, f"/studies/{first.study}/instances") == 2
    assert delete(v2 + second.path) == (204, "")
    assert found(v2, f"/studies/{first.study}/series") == 1
    assert found(v2, f"/series?SeriesInstanceUID={second.series}") == 0
    assert delete(v2 + third.path) == (204, "")
    assert found(v2, f"/studies?StudyInstanceUID={first.study}") == 0
    assert found(v2, f"/series?StudyInstanceUID={first.study}") == 0
    assert found(v2, f"/instances?StudyInstanceUID={first.study}") == 0
    assert delete(f"{v2}/studies/{first.study}") == gone("study")


def test_a_series(base_url: str, v2: str) -> None:
    """STO-140, STO-143: its instances and nothing else."""
    (first, second), (third,) = study_of([2, 1])
    stored(base_url, [[first, second], [third]])
    path = f"{v2}/studies/{first.study}/series/{first.series}"
    assert delete(path) == (204, "")
    assert delete(path) == gone("series")
    assert delete(v2 + second.path) == gone("instance")
    assert found(v2, f"/studies/{first.study}/series") == 1
    assert found(v2, f"/studies/{first.study}/instances") == 1


def test_a_study(base_url: str, v2: str) -> None:
    """STO-140, STO-141, STO-144: all in it; the same series and instance elsewhere stay."""
    (first,), (second,) = study_of([1, 1])
    elsewhere = Triple(new_uid(), first.series, first.instance)
    stored(base_url, [[first], [second], [elsewhere]])
    assert delete(f"{v2}/studies/{first.study}") == (204, "")
    for path, level in ((f"/studies/{first.study}", "study"), (first.path, "instance"), (second.path, "instance")):
        assert delete(v2 + path) == gone(level)
    assert found(v2, f"/studies?StudyInstanceUID={first.study}") == 0
    assert found(v2, f"/instances?SOPInstanceUID={first.instance}") == 1
    assert delete(v2 + elsewhere.path) == (204, "")


def test_the_whole_path_has_to_fit(base_url: str, v2: str) -> None:
    """STO-145, STO-147: nothing is deleted by a path that mixes studies or series."""
    (first,), (second,) = study_of([1, 1])
    other = new_triple()
    stored(base_url, [[first], [second], [other]])
    for triple in (
        Triple(first.study, second.series, first.instance),
        Triple(other.study, first.series, first.instance),
        Triple(new_uid(), first.series, first.instance),
    ):
        assert delete(v2 + triple.path) == gone("instance")
    assert delete(f"{v2}/studies/{other.study}/series/{first.series}") == gone("series")
    assert found(v2, f"/studies/{first.study}/instances") == 2


@pytest.mark.parametrize("uid", ["x", "1.2.", "1-2", "1" * 65, "1.2%2F3", "1..a", "%20"])
def test_uids_are_checked_before_anything(base_url: str, v2: str, uid: str) -> None:
    """STO-146, PLT-117: by the level of the path, first from the left."""
    assert delete(f"{v2}/studies/{uid}") == bad_uid("StudyInstanceUid")
    assert delete(f"{v2}/studies/1.2/series/{uid}") == bad_uid("SeriesInstanceUid")
    assert delete(f"{v2}/studies/1.2/series/1.3/instances/{uid}") == bad_uid("SopInstanceUid")
    assert delete(f"{v2}/studies/{uid}/series/{uid}") == bad_uid("StudyInstanceUid")


def test_headers_and_body_do_not_matter(base_url: str, v2: str) -> None:
    """STO-140, STO-47: nor does padding of a UID."""
    triple = new_triple()
    stored(base_url, [[triple]])
    response = httpx.request(
        "DELETE",
        f"{v2}/studies/{triple.study}%20%20",
        headers={"Accept": "image/png", "Content-Type": "text/plain"},
        content=b"ignored" * 100_000,
    )
    assert (response.status_code, response.content) == (204, b"")


def test_stored_again(base_url: str, v2: str) -> None:
    """STO-124, STO-148: new in every respect; neither values nor expiry of the old study shine through."""
    triple, patient = new_triple(), new_uid()
    expiring = {"msdicom_expiry_time_milliseconds": "86400000"}
    assert store(base_url, triple.file(PatientID=patient, StudyDescription="old"), **expiring).status == 200
    assert delete(f"{v2}/studies/{triple.study}") == (204, "")
    assert store(base_url, triple.file(PatientID="new")).status == 200
    assert found(v2, f"/studies?PatientID={patient}") == 0
    study = httpx.get(
        f"{v2}/studies?StudyInstanceUID={triple.study}&includefield=StudyDescription", headers=JSON
    ).json()
    assert study[0]["00100020"]["Value"] == ["new"]
    assert not study[0].get("00081030", {}).get("Value")


def test_study_level_values_stay(base_url: str, v2: str) -> None:
    """STO-150: deleting the instance that wrote them last does not take them back."""
    triple, patient = new_triple(), new_uid()
    second = triple.sibling()
    assert store(base_url, triple.file(PatientID=new_uid())).status == 200
    assert store(base_url, second.file(PatientID=patient)).status == 200
    assert delete(v2 + second.path) == (204, "")
    assert found(v2, f"/studies?PatientID={patient}") == 1


def test_a_large_study(base_url: str, v2: str, size: Callable[[str], int]) -> None:
    """STO-144: more instances than a batch on a table takes; each has its entry in the feed."""
    count = size("instances of one study deleted at once")
    triples = [triple for group in study_of([count // 2, count - count // 2]) for triple in group]
    for start in range(0, count, 100):
        assert store(base_url, *(triple.file() for triple in triples[start : start + 100])).status == 200
    sequence = httpx.get(f"{v2}/changefeed/latest?includeMetadata=false").json()["sequence"]
    assert delete(f"{v2}/studies/{triples[0].study}") == (204, "")
    assert found(v2, f"/instances?StudyInstanceUID={triples[0].study}") == 0
    assert found(v2, f"/studies?StudyInstanceUID={triples[0].study}") == 0
    entries = []
    for offset in range(sequence, sequence + count + 100, 100):
        entries += httpx.get(f"{base_url}/v1/changefeed?offset={offset}&limit=100&includeMetadata=false").json()
    deleted = [entry["sopInstanceUid"] for entry in entries if entry["studyInstanceUid"] == triples[0].study]
    assert sorted(deleted) == sorted(triple.instance for triple in triples)
    assert {entry["action"] for entry in entries if entry["studyInstanceUid"] == triples[0].study} == {"Delete"}


def test_simultaneous_deletions(base_url: str, v2: str) -> None:
    """STO-151: one of them gets 204, and the feed has one entry for each instance."""
    ((first, second),) = study_of([2])
    stored(base_url, [[first, second]])
    sequence = httpx.get(f"{v2}/changefeed/latest?includeMetadata=false").json()["sequence"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: delete(f"{v2}/studies/{first.study}"), range(8)))
    assert sorted(answers) == [(204, ""), *[gone("study")] * 7]
    entries = httpx.get(f"{base_url}/v1/changefeed?limit=100&includeMetadata=false&offset={sequence}").json()
    own = [entry["sopInstanceUid"] for entry in entries if entry["studyInstanceUid"] == first.study]
    assert sorted(own) == sorted([first.instance, second.instance])
