"""The change feed by URL: entries, states, metadata, windows."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.processes import LocalHost
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = pytest.mark.integration

JSON = "application/json; charset=utf-8"


@pytest.fixture
def host(start_host: Callable[..., LocalHost], empty_store: dict[str, str]) -> LocalHost:
    """An app with a feed of its own."""
    return start_host(empty_store)


@pytest.fixture
def feed(host: LocalHost) -> Callable[..., list[dict[str, Any]]]:
    """Reads a page of version 2; keyword arguments are parameters."""

    def read(version: str = "v2", **parameters: Any) -> list[dict[str, Any]]:
        response = httpx.get(f"{host.url}/{version}/changefeed", params=parameters, timeout=60)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == JSON
        entries: list[dict[str, Any]] = response.json()
        return entries

    return read


def states(entries: list[dict[str, Any]], triple: Triple) -> list[tuple[str, str]]:
    return [(entry["action"], entry["state"]) for entry in entries if entry["sopInstanceUid"] == triple.instance]


def delete(host: LocalHost, path: str) -> None:
    assert httpx.delete(f"{host.url}/v2{path}").status_code == 204


def test_a_life(host: LocalHost, feed: Callable[..., list[dict[str, Any]]]) -> None:
    """CHG-03, CHG-05, CHG-06, CHG-08, CHG-13 to CHG-15, CHG-18, STO-104, STO-115, STO-149: a feed from empty on."""
    assert feed() == []
    latest = httpx.get(f"{host.url}/v2/changefeed/latest")
    assert (latest.status_code, latest.content) == (204, b"")

    triple = new_triple()
    assert store(host.url, triple.file(PatientID="one"), b"unreadable").status == 202
    (entry,) = feed()
    assert list(entry) == [
        "sequence", "partitionName", "studyInstanceUid", "seriesInstanceUid", "sopInstanceUid", "action", "timestamp",
        "state", "metadata",
    ]  # fmt: skip
    assert entry["sequence"] == 1
    assert entry["partitionName"] == "Microsoft.Default"
    assert Triple(entry["studyInstanceUid"], entry["seriesInstanceUid"], entry["sopInstanceUid"]) == triple
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?\+00:00", entry["timestamp"])
    assert entry["metadata"]["00100020"] == {"vr": "LO", "Value": ["one"]}
    assert httpx.get(f"{host.url}/v2/changefeed/latest").json() == entry

    assert store(host.url, triple.file(PatientID="two")).status == 409
    assert len(feed()) == 1

    assert upsert(host.url, triple.file(PatientID="three")).status == 200
    assert states(feed(), triple) == [("Create", "Replaced"), ("Update", "Current")]
    assert [entry["metadata"]["00100020"]["Value"] for entry in feed()] == [["three"], ["three"]]

    delete(host, triple.path)
    assert states(feed(), triple) == [("Create", "Deleted"), ("Update", "Deleted"), ("Delete", "Deleted")]
    assert not [entry for entry in feed() if "metadata" in entry]

    assert store(host.url, triple.file(PatientID="four")).status == 200
    assert states(feed(), triple) == [
        ("Create", "Replaced"), ("Update", "Replaced"), ("Delete", "Replaced"), ("Create", "Current"),
    ]  # fmt: skip
    assert {entry["metadata"]["00100020"]["Value"][0] for entry in feed()} == {"four"}
    assert not [entry for entry in feed(includeMetadata="false") if "metadata" in entry]

    other = new_triple()
    assert store(host.url, other.file()).status == 200
    delete(host, f"/studies/{triple.study}")
    assert {state for _, state in states(feed(), triple)} == {"Deleted"}
    assert states(feed(), other) == [("Create", "Current")]
    entries = feed()
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry["timestamp"] for entry in entries] == sorted(entry["timestamp"] for entry in entries)


def test_windows(host: LocalHost, feed: Callable[..., list[dict[str, Any]]]) -> None:
    """CHG-05 to CHG-08, CHG-31: time edges, offset and limit; sequences in version 1."""
    triples = [new_triple() for _ in range(5)]
    for triple in triples:
        assert store(host.url, triple.file()).status == 200
    entries = feed(includeMetadata="false")
    times = [entry["timestamp"] for entry in entries]
    assert len(set(times)) == 5
    assert feed(startTime=times[1], endTime=times[3], includeMetadata="false") == entries[1:3]
    assert feed(startTime=times[4], includeMetadata="false") == entries[4:]
    assert feed(endTime=times[0]) == []
    assert feed(startTime="2999-01-01T00:00:00Z") == []
    assert feed(offset=1, limit=2, includeMetadata="false") == entries[1:3]
    assert feed(offset=5) == []
    assert feed(offset=2**63 - 1) == []
    assert feed(startTime=times[1], offset=1, limit=1, includeMetadata="false") == entries[2:3]
    walked = [entry for offset in range(6) for entry in feed(limit=1, offset=offset, includeMetadata="false")]
    assert walked == entries
    assert feed("v1", offset=1, limit=2, includeMetadata="false") == entries[1:3]
    assert feed("v1.0-prerelease", limit=1, startTime="nonsense", includeMetadata="false") == entries[:1]
    assert feed("v1", offset=5) == []
    for version in ("v1", "v2"):
        latest = httpx.get(f"{host.url}/{version}/changefeed/latest?includeMetadata=False&limit=0").json()
        assert latest == entries[-1]


def test_upserts(host: LocalHost, feed: Callable[..., list[dict[str, Any]]]) -> None:
    """CHG-16, STO-114, STO-115: a PUT of a new instance is a Create; twice in one request it is an Update, too."""
    one, two = new_triple(), new_triple()
    assert upsert(host.url, one.file()).status == 200
    assert states(feed(), one) == [("Create", "Current")]
    assert upsert(host.url, two.file(), two.file(PatientID="last")).status == 200
    assert states(feed(), two) == [("Create", "Replaced"), ("Update", "Current")]
    assert feed()[-1]["metadata"]["00100020"]["Value"] == ["last"]


def test_large_stores_and_deletions(host: LocalHost, feed: Callable[..., list[dict[str, Any]]]) -> None:
    """CHG-02, CHG-08, STO-104, STO-149: one entry an instance, also where a batch on a table is full."""
    first = new_triple()
    triples = [first, *(first.sibling() for _ in range(149))]
    assert store(host.url, *(triple.file() for triple in triples)).status == 200
    delete(host, f"/studies/{first.study}")
    entries = [entry for offset in (0, 200) for entry in feed(limit=200, offset=offset)]
    assert [entry["sequence"] for entry in entries] == list(range(1, 301))
    for action, part in (("Create", entries[:150]), ("Delete", entries[150:])):
        assert {entry["action"] for entry in part} == {action}
        assert {entry["sopInstanceUid"] for entry in part} == {triple.instance for triple in triples}


def refusals() -> Iterator[tuple[str, str, str]]:
    yield (
        "v2/changefeed",
        "limit=0",
        "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200.",
    )
    yield (
        "v1/changefeed",
        "limit=101",
        "The query parameter 'limit' is invalid. The field limit must be between 1 and 100.",
    )
    yield "v2/changefeed", "offset=x", "The query parameter 'Offset' is invalid. The value 'x' is not valid for Offset."
    yield (
        "v2/changefeed",
        "startTime=2024-05-01T10:00:00",
        "The query parameter 'StartTime' is invalid. Date and time value must specify a time zone.",
    )
    yield (
        "v2/changefeed/latest",
        "INCLUDEMETADATA=yes",
        "The query parameter 'IncludeMetadata' is invalid. The value 'yes' is not valid for IncludeMetadata.",
    )


@pytest.mark.parametrize(("path", "query", "text"), list(refusals()))
def test_refused_parameters(base_url: str, path: str, query: str, text: str) -> None:
    """CHG-10, CHG-12, CHG-18, PLT-12, PLT-15: bare text."""
    response = httpx.get(f"{base_url}/{path}?{query}")
    assert (response.status_code, response.text) == (400, text)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("accept", ["image/png", "", "application/dicom+json", "nonsense"])
def test_accept_does_not_matter(base_url: str, accept: str) -> None:
    """CHG-01"""
    response = httpx.get(f"{base_url}/v2/changefeed?limit=1", headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, JSON)


def test_paths(base_url: str) -> None:
    """CHG-02, PLT-50: one feed; there is none below a partition or an entry."""
    for path in ("/v2/partitions/Microsoft.Default/changefeed", "/v2/changefeed/1"):
        assert httpx.get(base_url + path).status_code == 404
