"""Metadata at three levels by URL: its form, what is in it, ETags."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.made_files import made_file, new_uid
from tests.support.retrieving import get, refusal
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = pytest.mark.integration

JSON = "application/dicom+json"


def levels(base_url: str, triple: Triple) -> dict[str, str]:
    """The three URLs of an instance's metadata."""
    study = f"{base_url}/v2/studies/{triple.study}"
    return {
        "study": f"{study}/metadata",
        "series": f"{study}/series/{triple.series}/metadata",
        "instance": f"{base_url}/v2{triple.path}/metadata",
    }


@pytest.fixture(scope="module")
def one(base_url: str) -> Triple:
    triple = new_triple()
    assert (
        store(
            base_url, triple.file(PatientName="Held^Out", SliceThickness="2.5", Private=(0x00091001, "UN", b"1"))
        ).status
        == 200
    )
    return triple


@pytest.mark.parametrize(
    "accept",
    [
        JSON,
        "Application/DICOM+json; transfer-syntax=*",
        "application/json",
        "application/*",
        "*/*",
        "image/png, */*;q=0",
    ],
)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_array(base_url: str, one: Triple, level: str, accept: str) -> None:
    """RET-60, RET-61, RET-62, RET-64"""
    answer = get(levels(base_url, one)[level], accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json; charset=utf-8")
    [item] = answer.json()
    assert list(item) == sorted(item)
    assert item["00080018"] == {"vr": "UI", "Value": [one.instance]}
    assert item["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Held^Out"}]}
    assert item["00180050"] == {"vr": "DS", "Value": [2.5]}
    assert not {"00091001", "00020010", "00081190"} & set(item)


@pytest.mark.parametrize(
    "accept",
    [(), ("",), ("application/dicom",), ("application/dicom+xml",), ("multipart/related",), ("application/data",)],
)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_unacceptable(base_url: str, one: Triple, level: str, accept: tuple[str, ...]) -> None:
    """RET-06, RET-07, RET-13, RET-60: an empty body, also for a bad UID and for what is unknown"""
    for triple in (one, new_triple(), Triple("x", "y", "z")):
        assert refusal(get(levels(base_url, triple)[level], *accept)) == (406, "")


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_not_found(base_url: str, level: str) -> None:
    """RET-06, RET-70, RET-76: 404 also with a tag; a bad UID is 400"""
    url = levels(base_url, new_triple())[level]
    assert refusal(get(url, JSON)) == (404, f"The specified {level} cannot be found.")
    assert get(url, JSON, If_None_Match="1-1").status_code == 404
    names = {"study": "StudyInstanceUid", "series": "SeriesInstanceUid", "instance": "SopInstanceUid"}
    bad = url.removesuffix("/metadata") + "x/metadata"
    status, text = refusal(get(bad, JSON))
    assert (status, text.startswith(f"Dicom element '{names[level]}' failed validation")) == (400, True)


def test_one_object_for_each_instance(base_url: str) -> None:
    """RET-61, RET-71: a study of two series"""
    first = new_triple()
    triples = [first, first.sibling(), Triple(first.study, new_uid(), new_uid())]
    assert store(base_url, *(triple.file(TextValue="x" * 200_000) for triple in triples)).status == 200
    urls = levels(base_url, first)
    found = {level: [item["00080018"]["Value"][0] for item in get(url, JSON).json()] for level, url in urls.items()}
    assert sorted(found["study"]) == sorted(triple.instance for triple in triples)
    assert sorted(found["series"]) == sorted(triple.instance for triple in triples[:2])
    assert found["instance"] == [first.instance]


# ------------------------------------------------------------------ ETags


def tags(base_url: str, triple: Triple) -> dict[str, str]:
    answers = {level: get(url, JSON) for level, url in levels(base_url, triple).items()}
    return {level: answer.headers["etag"] for level, answer in answers.items()}


def test_tags(base_url: str, one: Triple) -> None:
    """RET-75: bare, a version and a count; reading changes nothing (RET-78)"""
    found = tags(base_url, one)
    version = found["instance"]
    assert version.isdigit()
    assert found["study"] == found["series"] == f"{version}-1"
    assert tags(base_url, one) == found


def test_not_modified(base_url: str, one: Triple) -> None:
    """RET-76, RET-77, RET-79"""
    for level, tag in tags(base_url, one).items():
        url = levels(base_url, one)[level]
        for value in (tag, f'"{tag}"'):
            answer = get(url, JSON, If_None_Match=value)
            assert (answer.status_code, answer.content) == (304, b"")
            assert "content-type" not in answer.headers
        for value in ("*", f"{tag}, 1-1", f"{tag}0", "", f"W/{tag}", "1-1"):
            answer = get(url, JSON, If_None_Match=value)
            assert (answer.status_code, answer.headers["etag"]) == (200, tag)
            assert json.loads(answer.content)


def test_tags_change(base_url: str) -> None:
    """RET-75, RET-78: with what is added, replaced and deleted; other series keep theirs"""
    first = new_triple()
    other = Triple(first.study, new_uid(), new_uid())

    def stored(triple: Triple) -> bytes:
        return made_file(triple.study, triple.series, triple.instance, PatientComments=new_uid())

    def changes() -> Iterator[None]:
        yield
        second = first.sibling()
        assert store(base_url, stored(second)).status == 200
        yield
        assert upsert(base_url, stored(second)).status == 200
        yield
        assert httpx.delete(f"{base_url}/v2{second.path}").status_code == 204
        yield

    assert store(base_url, stored(first), stored(other)).status == 200
    seen: list[tuple[str, str, str]] = []
    for _ in changes():
        one, two = tags(base_url, first), tags(base_url, other)
        seen.append((one["study"], one["series"], two["series"]))
    assert [tag.rpartition("-")[2] for tag, _, _ in seen] == ["2", "3", "3", "2"]
    assert len({study for study, _, _ in seen[:3]}) == len({series for _, series, _ in seen[:3]}) == 3
    assert seen[3][0] != seen[2][0]
    assert len({untouched for _, _, untouched in seen}) == 1
