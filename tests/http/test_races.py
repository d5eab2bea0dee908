"""Clients that meet: two worker processes, many connections, one outcome."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest

from tests.support.made_files import new_uid
from tests.support.processes import LocalHost, local_host
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = pytest.mark.integration

T = TypeVar("T")

JSON = {"Accept": "application/dicom+json"}
ORIGINAL = {"Accept": "application/dicom; transfer-syntax=*"}
ROUNDS = range(5)


@pytest.fixture(scope="module")
def host(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    """The app in two worker processes."""
    log = tmp_path_factory.mktemp("races") / "host.log"
    with local_host(store_settings, workers=2, log=log, under_func=under_func) as host:
        yield host


def at_once(actions: Iterable[Callable[[], T]]) -> list[T]:
    """Runs all actions from a common start, each on a connection of its own; the results in their order."""
    actions = list(actions)
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], T]) -> T:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def get(host: LocalHost, path: str, headers: dict[str, str] = JSON) -> httpx.Response:
    return httpx.get(f"{host.url}/v2{path}", headers=headers, timeout=60)


def found(host: LocalHost, path: str) -> list[dict[str, Any]]:
    response = get(host, path)
    assert response.status_code in (200, 204), response.text
    results: list[dict[str, Any]] = response.json() if response.status_code == 200 else []
    return results


def sequence(host: LocalHost) -> int:
    """Where the feed ends."""
    latest = get(host, "/changefeed/latest?includeMetadata=false")
    return int(latest.json()["sequence"]) if latest.status_code == 200 else 0


def entries(host: LocalHost, after: int, triple: Triple) -> list[tuple[str, str]]:
    """Action and state of each entry of an instance behind a sequence number."""
    page = httpx.get(f"{host.url}/v1/changefeed?offset={after}&limit=100&includeMetadata=false", timeout=60).json()
    return [(entry["action"], entry["state"]) for entry in page if entry["sopInstanceUid"] == triple.instance]


@pytest.mark.parametrize("number", ROUNDS)
def test_one_instance_posted_by_many(host: LocalHost, number: int) -> None:
    """STO-48: exactly one gets 200, the others 45070 or 45071; what remains is the winner's, whole."""
    triple, after = new_triple(), sequence(host)
    files = [triple.file(PatientID=f"patient-{client}") for client in range(8)]
    answers = at_once(partial(store, host.url, file) for file in files)
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert {reason for answer in answers if answer.status == 409 for reason in answer.reasons} <= {45070, 45071}
    winner = [answer.status for answer in answers].index(200)
    assert get(host, triple.path, ORIGINAL).content == files[winner]
    assert get(host, f"{triple.path}/metadata").json()[0]["00100020"]["Value"] == [f"patient-{winner}"]
    (study,) = found(host, f"/studies?StudyInstanceUID={triple.study}")
    assert study["00100020"]["Value"] == [f"patient-{winner}"]
    assert entries(host, after, triple) == [("Create", "Current")]


@pytest.mark.parametrize("number", ROUNDS)
def test_one_instance_put_by_many(host: LocalHost, number: int) -> None:
    """STO-117: all answer 200; one file remains with its metadata and index, and each made an entry."""
    triple, after = new_triple(), sequence(host)
    files = [triple.file(PatientID=f"patient-{client}") for client in range(8)]
    answers = at_once(partial(upsert, host.url, file) for file in files)
    assert [answer.status for answer in answers] == [200] * 8
    remains = files.index(get(host, triple.path, ORIGINAL).content)
    assert get(host, f"{triple.path}/metadata").json()[0]["00100020"]["Value"] == [f"patient-{remains}"]
    (study,) = found(host, f"/studies?StudyInstanceUID={triple.study}")
    assert study["00100020"]["Value"] == [f"patient-{remains}"]
    told = entries(host, after, triple)
    assert told == [("Create", "Replaced"), *[("Update", "Replaced")] * 6, ("Update", "Current")]


@pytest.mark.parametrize("number", ROUNDS)
def test_one_new_study_stored_by_many(host: LocalHost, number: int) -> None:
    """STO-48: nothing is lost, and there is one study, one series of each, and every instance."""
    study, series = new_uid(), [new_uid(), new_uid()]
    triples = [Triple(study, series[client % 2], new_uid()) for client in range(32)]
    answers = at_once(
        partial(store, host.url, *(triple.file() for triple in triples[start : start + 4])) for start in range(0, 32, 4)
    )
    assert [answer.status for answer in answers] == [200] * 8
    assert len(found(host, f"/studies?StudyInstanceUID={study}")) == 1
    assert len(found(host, f"/series?StudyInstanceUID={study}")) == 2
    instances = found(host, f"/studies/{study}/instances?limit=100")
    assert sorted(each["00080018"]["Value"][0] for each in instances) == sorted(each.instance for each in triples)


@pytest.mark.parametrize("number", ROUNDS)
def test_a_store_meets_the_deletion_of_its_study(host: LocalHost, number: int) -> None:
    """STO-151: either order, and nothing in between: all is gone, or the new instance alone is there."""
    old = new_triple()
    new = old.sibling()
    assert store(host.url, old.file(PatientID="old")).status == 200
    stored, deleted = at_once(
        (
            lambda: store(host.url, new.file(PatientID="new")).status,
            lambda: httpx.delete(f"{host.url}/v2/studies/{old.study}", timeout=60).status_code,
        )
    )
    assert (stored, deleted) == (200, 204)
    left = [each["00080018"]["Value"][0] for each in found(host, f"/instances?StudyInstanceUID={old.study}")]
    assert left in ([], [new.instance])
    assert get(host, old.path, ORIGINAL).status_code == 404
    assert get(host, new.path, ORIGINAL).status_code == (200 if left else 404)
    studies = found(host, f"/studies?StudyInstanceUID={old.study}")
    assert [each["00100020"]["Value"] for each in studies] == ([["new"]] if left else [])


@pytest.mark.parametrize("number", ROUNDS)
def test_a_store_meets_the_deletion_of_its_instance(host: LocalHost, number: int) -> None:
    """STO-148, STO-151: the instance is wholly there or wholly gone, and the feed agrees."""
    triple, after = new_triple(), sequence(host)
    assert store(host.url, triple.file()).status == 200
    replaced, deleted = at_once(
        (
            lambda: upsert(host.url, triple.file(PatientID="new")).status,
            lambda: httpx.delete(f"{host.url}/v2{triple.path}", timeout=60).status_code,
        )
    )
    assert (replaced, deleted) == (200, 204)
    there = get(host, triple.path, ORIGINAL).status_code == 200
    assert bool(found(host, f"/instances?SOPInstanceUID={triple.instance}")) == there
    told = entries(host, after, triple)
    if there:
        assert told == [("Create", "Replaced"), ("Delete", "Replaced"), ("Create", "Current")]
    else:
        assert told == [("Create", "Deleted"), ("Update", "Deleted"), ("Delete", "Deleted")]


def test_one_study_deleted_by_many(host: LocalHost) -> None:
    """STO-151: one gets 204, the others 404; one entry for each instance."""
    first = new_triple()
    triples = [first, *(first.sibling() for _ in range(5))]
    assert store(host.url, *(triple.file() for triple in triples)).status == 200
    after = sequence(host)
    url = f"{host.url}/v2/studies/{first.study}"
    answers = at_once(lambda: httpx.delete(url, timeout=60).status_code for _ in range(8))
    assert sorted(answers) == [204] + [404] * 7
    assert [entries(host, after, triple) for triple in triples] == [[("Delete", "Deleted")]] * 6


def test_readers_while_an_instance_is_replaced(host: LocalHost) -> None:
    """STO-116: they get the old or the new one, never a mixture and never a 404."""
    triple = new_triple()
    files = [triple.file(PatientID=f"patient-{number}", PatientComments="x" * 2000 * number) for number in range(6)]
    assert upsert(host.url, files[0]).status == 200
    done = threading.Event()

    def read() -> int:
        count = 0
        with httpx.Client(base_url=f"{host.url}/v2", timeout=60) as client:
            while not done.is_set():
                response = client.get(triple.path, headers=ORIGINAL)
                assert response.status_code == 200
                assert response.content in files
                (metadata,) = client.get(f"{triple.path}/metadata", headers=JSON).json()
                assert metadata["00100020"]["Value"][0].startswith("patient-")
                count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for _ in range(5):
                for file in files:
                    assert upsert(host.url, file).status == 200
        finally:
            done.set()
        assert all(reader.result() > 0 for reader in readers)
