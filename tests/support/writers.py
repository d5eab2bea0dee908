"""Clients that write all the time and note what they were told, so that a test can hold the store to it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from tests.support.made_files import STORE_HEADERS, made_file, new_uid, store_body

Key = tuple[str, str, str]
"""Study, series and SOP Instance UID."""

ORIGINAL = {"Accept": "application/dicom; transfer-syntax=*"}


@dataclass
class Told:
    """What may be true of one instance: contents that it may have, None standing for "not there".

    `history` holds what it was before, with the time at which that ended.
    """

    possible: list[bytes | None] = field(default_factory=lambda: [None])
    history: list[tuple[float, list[bytes | None]]] = field(default_factory=list)

    def acknowledged(self, content: bytes | None) -> None:
        self.history.append((time.monotonic(), list(self.possible)))
        self.possible = [content]

    def interrupted(self, content: bytes | None) -> None:
        self.possible.append(content)

    def excuse(self, since: float) -> None:
        """What was acknowledged since then may have been lost by storage."""
        for until, possible in self.history:
            if until >= since:
                self.possible += possible


@dataclass
class Ledger:
    """All that the clients of a round were told."""

    instances: dict[Key, Told] = field(default_factory=dict)
    acknowledged: int = 0
    interrupted: int = 0
    faults: list[str] = field(default_factory=list)

    def told(self, key: Key) -> Told:
        return self.instances.setdefault(key, Told())


class Writers:
    """Four kinds of clients, two of each: new studies, one study together, upserts, deletions.

    `forgetful` says that storage may lose what it acknowledged a moment ago: a study may be gone before its deletion.
    """

    def __init__(self, url: Callable[[], str], *, forgetful: bool = False) -> None:
        self._url = url
        self._done = {200, 204, 404} if forgetful else {200, 204}
        self.ledger = Ledger()
        self.stopping = False
        self._together = new_uid()
        self._number = itertools.count(1)

    async def run(self) -> None:
        """Writes until `stopping` is set."""
        limits = httpx.Limits(max_connections=16)
        async with httpx.AsyncClient(timeout=40, limits=limits) as client:
            kinds = (self._new_studies, self._one_study, self._upserts, self._deletions)
            await asyncio.gather(*(kind(client) for kind in kinds for _ in range(2)))

    def _file(self, key: Key) -> bytes:
        return made_file(*key, PatientName=f"Writer^{next(self._number)}", StudyDescription="written by many")

    async def _send(self, client: httpx.AsyncClient, method: str, key: Key) -> None:
        file = self._file(key)
        await self._tell(key, file, lambda: client.request(
            method, f"{self._url()}/v2/studies", content=store_body([file]), headers=STORE_HEADERS
        ))  # fmt: skip

    async def _tell(self, key: Key, content: bytes | None, send: Callable[[], Awaitable[httpx.Response]]) -> None:
        told = self.ledger.told(key)
        try:
            response = await send()
        except httpx.TransportError:
            response = None
        if response is None or response.status_code == 503:
            told.interrupted(content)
            self.ledger.interrupted += 1
            await asyncio.sleep(0.05)
        elif response.status_code in self._done:
            told.acknowledged(content)
            self.ledger.acknowledged += 1
        else:
            self.ledger.faults.append(f"{response.request.method}: {response.status_code} {response.text[:200]}")
            self.stopping = True

    async def _new_studies(self, client: httpx.AsyncClient) -> None:
        while not self.stopping:
            await self._send(client, "POST", (new_uid(), new_uid(), new_uid()))

    async def _one_study(self, client: httpx.AsyncClient) -> None:
        series = new_uid()
        while not self.stopping:
            await self._send(client, "POST", (self._together, series, new_uid()))

    async def _upserts(self, client: httpx.AsyncClient) -> None:
        keys = [(new_uid(), new_uid(), new_uid()) for _ in range(3)]
        for key in itertools.cycle(keys):
            if self.stopping:
                break
            await self._send(client, "PUT", key)

    async def _deletions(self, client: httpx.AsyncClient) -> None:
        while not self.stopping:
            key = (new_uid(), new_uid(), new_uid())
            await self._send(client, "POST", key)
            if self.ledger.told(key).possible != [None] and len(self.ledger.told(key).possible) == 1:
                await self._tell(key, None, lambda key=key: client.delete(f"{self._url()}/v2/studies/{key[0]}"))  # type: ignore[misc]


async def check_ledger(url: str, ledger: Ledger) -> None:
    """Every instance is what its clients may believe: by retrieval, and by search on all levels."""
    limit = asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=40) as client:

        async def check(key: Key, told: Told) -> None:
            async with limit:
                await _check_instance(client, f"{url}/v2", key, told)

        await asyncio.gather(*(check(key, told) for key, told in ledger.instances.items()))


async def _check_instance(client: httpx.AsyncClient, url: str, key: Key, told: Told) -> None:
    study, series, instance = key
    path = f"/studies/{study}/series/{series}/instances/{instance}"
    response = await client.get(url + path, headers=ORIGINAL)
    there = response.content if response.status_code == 200 else None
    assert response.status_code in (200, 404), f"{path}: {response.status_code} {response.text[:200]}"
    assert there in told.possible, (
        f"{path}: {len(told.possible)} states possible, {'absent' if there is None else 'other'}"
    )
    searches = (
        f"/studies?StudyInstanceUID={study}",
        f"/studies/{study}/series?SeriesInstanceUID={series}",
        f"/studies/{study}/series/{series}/instances?SOPInstanceUID={instance}",
    )
    for search in searches[0 if there is not None else 2 :]:
        found = await client.get(url + search, headers={"Accept": "application/dicom+json"})
        assert found.status_code == (204 if there is None else 200), f"{search}: {found.status_code} {found.text[:200]}"
