"""Clients of two worker processes race for one instance, series or study; consumers of the feed read meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.conftest import StartHost
from tests.support.made_files import STORE_HEADERS, made_file, new_uid, store_body
from tests.support.writers import ORIGINAL

pytestmark = pytest.mark.integration

CLIENTS = 8
JSON = {"Accept": "application/dicom+json"}


@pytest.fixture
async def client(start_host_on: StartHost, empty_store: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a host with two workers on a store of its own."""
    host = start_host_on(empty_store, workers=2)
    limits = httpx.Limits(max_keepalive_connections=0)  # a connection a request, so that both workers get their share
    async with httpx.AsyncClient(base_url=host.url + "/v2", timeout=60, limits=limits) as client:
        yield client


async def _store(client: httpx.AsyncClient, method: str, *files: bytes) -> httpx.Response:
    return await client.request(method, "/studies", content=store_body(files), headers=STORE_HEADERS)


def _failure(response: httpx.Response) -> int:
    return int(response.json()["00081198"]["Value"][0]["00081197"]["Value"][0])


async def _feed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    while page := (await client.get(f"/changefeed?offset={len(entries)}&limit=200&includeMetadata=false")).json():
        entries += page
    return entries


async def test_one_post_wins(client: httpx.AsyncClient) -> None:
    """STO-48: of simultaneous POSTs of one instance one is stored, the others are duplicates; one entry in the feed."""
    for _ in range(10):
        key = (new_uid(), new_uid(), new_uid())
        files = [made_file(*key, PatientName=f"Racer^{number}") for number in range(CLIENTS)]
        answers = await asyncio.gather(*(_store(client, "POST", file) for file in files))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: CLIENTS - 1}
        assert {_failure(answer) for answer in answers if answer.status_code == 409} <= {45070, 45071}
        winner = files[[answer.status_code for answer in answers].index(200)]
        path = "/studies/{}/series/{}/instances/{}".format(*key)
        assert (await client.get(path, headers=ORIGINAL)).content == winner
        assert [entry["action"] for entry in await _feed(client) if entry["sopInstanceUid"] == key[2]] == ["Create"]


async def test_simultaneous_puts(client: httpx.AsyncClient) -> None:
    """STO-117: all are answered 200, one file remains with its own metadata, each made an entry."""
    key = (new_uid(), new_uid(), new_uid())
    files = {f"Racer^{number}": made_file(*key, PatientName=f"Racer^{number}") for number in range(CLIENTS)}
    answers = await asyncio.gather(*(_store(client, "PUT", file) for file in files.values()))
    assert {answer.status_code for answer in answers} == {200}
    path = "/studies/{}/series/{}/instances/{}".format(*key)
    metadata = (await client.get(path + "/metadata", headers=JSON)).json()
    name = metadata[0]["00100010"]["Value"][0]["Alphabetic"]
    assert (await client.get(path, headers=ORIGINAL)).content == files[name]
    entries = [entry for entry in await _feed(client) if entry["sopInstanceUid"] == key[2]]
    assert [entry["action"] for entry in entries] == ["Create"] + ["Update"] * (CLIENTS - 1)
    assert [entry["state"] for entry in entries] == ["Replaced"] * (CLIENTS - 1) + ["Current"]


async def test_stores_into_one_study(client: httpx.AsyncClient) -> None:
    """STO-48: simultaneous stores of different instances into one new study lose nothing."""
    study, series = new_uid(), [new_uid() for _ in range(3)]
    keys = [(study, series[number % 3], new_uid()) for number in range(5 * CLIENTS)]
    answers = await asyncio.gather(*(_store(client, "POST", made_file(*key)) for key in keys))
    assert {answer.status_code for answer in answers} == {200}
    found = (await client.get(f"/studies/{study}/instances?limit=200", headers=JSON)).json()
    assert sorted(item["00080018"]["Value"][0] for item in found) == sorted(key[2] for key in keys)
    fields = "includefield=NumberOfStudyRelatedInstances"
    studies = (await client.get(f"/studies?StudyInstanceUID={study}&{fields}", headers=JSON)).json()
    assert [item["00201208"]["Value"][0] for item in studies] == [len(keys)]
    found = (await client.get(f"/studies/{study}/series", headers=JSON)).json()
    assert sorted(item["0020000E"]["Value"][0] for item in found) == sorted(series)


async def test_store_against_delete(client: httpx.AsyncClient) -> None:
    """STO-151: the instance is wholly there or wholly gone, and the feed says the same."""
    for _ in range(10):
        key = (new_uid(), new_uid(), new_uid())
        path = "/studies/{}/series/{}/instances/{}".format(*key)
        assert (await _store(client, "POST", made_file(*key))).status_code == 200
        put, deleted = await asyncio.gather(
            _store(client, "PUT", made_file(*key, PatientName="Later")), client.delete(f"/studies/{key[0]}")
        )
        assert (put.status_code, deleted.status_code) == (200, 204)
        there = (await client.get(path, headers=ORIGINAL)).status_code
        search = (await client.get(f"/studies?StudyInstanceUID={key[0]}", headers=JSON)).status_code
        actions = [entry["action"] for entry in await _feed(client) if entry["sopInstanceUid"] == key[2]]
        if there == 200:
            assert search == 200
            assert actions == ["Create", "Delete", "Create"]
        else:
            assert (there, search) == (404, 204)
            assert actions == ["Create", "Update", "Delete"]


async def test_one_delete_wins(client: httpx.AsyncClient) -> None:
    """STO-151: of simultaneous DELETEs one is answered 204, the others 404; one entry per instance."""
    study = new_uid()
    keys = [(study, new_uid(), new_uid()) for _ in range(5)]
    assert (await _store(client, "POST", *(made_file(*key) for key in keys))).status_code == 200
    answers = await asyncio.gather(*(client.delete(f"/studies/{study}") for _ in range(CLIENTS)))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 404: CLIENTS - 1}
    deletions = [entry for entry in await _feed(client) if entry["action"] == "Delete"]
    assert sorted(entry["sopInstanceUid"] for entry in deletions) == sorted(key[2] for key in keys)


class Consumers:
    """Reads the feed by offset and by closed time windows while others write."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.by_offset: list[int] = []
        self.by_window: list[int] = []
        self._edge = "0001-01-01T00:00:00Z"

    async def read(self) -> None:
        await asyncio.gather(self._read_offset(), self._read_window())

    async def _read_offset(self) -> None:
        query = f"offset={len(self.by_offset)}&limit=50&includeMetadata=false"
        self.by_offset += [entry["sequence"] for entry in (await self._client.get(f"/changefeed?{query}")).json()]

    async def _read_window(self) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        while True:
            window = {"startTime": self._edge, "endTime": now, "limit": "200", "includeMetadata": "false"}
            found: list[dict[str, Any]] = []
            while page := (await self._client.get("/changefeed", params={**window, "offset": str(len(found))})).json():
                found += page
            self.by_window += [entry["sequence"] for entry in found]
            self._edge = now
            return


async def test_consumers_see_every_event_once(client: httpx.AsyncClient) -> None:
    """CHG-08, CHG-17: by offset and by closed windows, while four writers store, replace and delete."""
    consumers = Consumers(client)

    async def write() -> None:
        for _ in range(10):
            key = (new_uid(), new_uid(), new_uid())
            for method in ("POST", "PUT"):
                assert (await _store(client, method, made_file(*key))).status_code == 200
            assert (await client.delete(f"/studies/{key[0]}")).status_code == 204

    writing = asyncio.gather(*(write() for _ in range(4)))
    while not writing.done():
        await consumers.read()
    await writing
    for _ in range(5):
        await consumers.read()
    everything = list(range(1, 4 * 10 * 3 + 1))
    assert consumers.by_offset == everything
    assert consumers.by_window == everything
