"""Workers, the whole host and Azurite are killed with SIGKILL while clients write; nothing acknowledged is lost."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from shared.azurite import Azurite, free_azurite_ports, start_azurite
from shared.clock import HOUR
from shared.composition import Services, open_services
from shared.settings import Settings
from shared.storage import names
from shared.storage.garbage import GarbageCollector
from tests.support.invariants import check_store
from tests.support.processes import LocalHost
from tests.support.stepping import TestClock
from tests.support.writers import Writers, check_ledger

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

UNFLUSHED_SECONDS = 8
"""Azurite writes its tables and blobs down every five seconds; what it acknowledged since is lost with it."""


class Site:
    """A host with two workers on a store on disk, any part of which can be killed and started again."""

    def __init__(self, directory: Path, engine: str) -> None:
        self._directory = directory
        self._ports = free_azurite_ports()
        self._logs = 0
        self.azurite = self._start_azurite() if engine == "azurite" else None
        self.host = self._start_host()

    @property
    def settings(self) -> dict[str, str]:
        """What names the store."""
        if self.azurite:
            return {"AzureWebJobsStorage": self.azurite.connection_string}
        return {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(self._directory / "store")}

    def _start_azurite(self) -> Azurite:
        process = start_azurite(self._directory / "data", self._ports, self._directory / "azurite.log")
        process.wait_until_ready()
        return process

    def _start_host(self) -> LocalHost:
        self._logs += 1
        host = LocalHost(self.settings, 2, self._directory / f"host-{self._logs}.log")
        host.wait_until_ready()
        return host

    def kill_worker(self) -> None:
        workers = psutil.Process(self.host.process.pid).children(recursive=True)
        victims = [child for child in workers if any("spawn_main" in part for part in child.cmdline())] or workers
        os.kill(random.choice(victims).pid, signal.SIGKILL)

    def kill_host(self) -> None:
        self.host.kill()

    def restart_host(self) -> None:
        self.host = self._start_host()

    def kill_azurite(self) -> None:
        assert self.azurite is not None
        self.azurite.process.kill()
        self.azurite.stop()

    def restart_azurite(self) -> None:
        self.azurite = self._start_azurite()

    def stop(self) -> None:
        self.host.stop()
        if self.azurite:
            self.azurite.stop()

    @asynccontextmanager
    async def services(self, ahead: int = 0) -> AsyncIterator[Services]:
        """The store seen past the host, from a clock that is ahead."""
        clock = TestClock(ahead=ahead)
        opened = await open_services(Settings.model_validate(self.settings), clock)
        try:
            yield opened
        finally:
            await opened.close()


@pytest.fixture
def site(engine: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, engine)
    yield made
    made.stop()


async def _round(site: Site, victim: str, chance: random.Random) -> Writers:
    """Writes, kills until a request was interrupted, brings everything back and checks what the clients were told."""
    writers = Writers(lambda: site.host.url, forgetful=victim == "azurite")
    writing = asyncio.create_task(writers.run())
    killed = 0.0
    for _ in range(20):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        killed = time.monotonic()
        {"worker": site.kill_worker, "host": site.kill_host, "azurite": site.kill_azurite}[victim]()
        await asyncio.sleep(0.3)
        if victim != "worker" or writers.ledger.interrupted:
            break
    if victim == "azurite":
        await _until(lambda: writers.ledger.interrupted > 0, 30, "503 while Azurite is down")
        await asyncio.to_thread(site.restart_azurite)
        before = writers.ledger.acknowledged
        await _until(lambda: writers.ledger.acknowledged > before + 8, 30, "full service once Azurite is back")
    writers.stopping = True
    await writing
    if victim == "host":
        await asyncio.to_thread(site.restart_host)
    assert not writers.ledger.faults, writers.ledger.faults
    assert writers.ledger.interrupted > 0, "the kill hit a write"
    assert writers.ledger.acknowledged > 0
    if victim == "azurite":
        for told in writers.ledger.instances.values():
            told.excuse(killed - UNFLUSHED_SECONDS)
    return writers


async def _until(met: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.1)


async def _check(site: Site, writers: Writers, *, files: bool) -> None:
    await check_ledger(site.host.url, writers.ledger)
    async with site.services() as services:
        for attempt in range(60):  # the host repairs at its start, and clears rows after they fell quiet
            try:
                await check_store(services, services.storage, files=files)
                break
            except AssertionError:
                if attempt == 59:
                    raise
                await asyncio.sleep(0.25)


@pytest.mark.parametrize(
    ("engine", "victim"),
    [("azurite", "worker"), ("azurite", "host"), ("azurite", "azurite"), ("embedded", "worker"), ("embedded", "host")],
)
async def test_kills(engine: str, victim: str, site: Site, size: Callable[[str], int]) -> None:
    """After each kill every acknowledged write holds, and index, feed and search tell one story."""
    chance = random.Random(f"{engine} {victim}")
    for _ in range(size(f"kills of {victim}")):
        # Azurite may lose a file and keep its row, or the other way round
        await _check(site, await _round(site, victim, chance), files=victim != "azurite")
    if victim == "azurite":
        return
    async with site.services(ahead=25 * HOUR) as services:
        await GarbageCollector(services.storage, services.files, services.change_feed, services.clock).sweep()
    async with site.services(ahead=50 * HOUR) as services:
        garbage = GarbageCollector(services.storage, services.files, services.change_feed, services.clock)
        await garbage.follow_feed()
        await garbage.sweep()
        blobs = {item.name async for item in services.storage.list_blobs(names.DICOM)}
        rows = {record.file async for record in services.index.all_instances("Microsoft.Default")}
    assert blobs == rows, "no file without a row outlives the sweep, and no row is without its file"


@pytest.mark.parametrize("engine", ["azurite"])
async def test_azurite_down(site: Site) -> None:
    """While storage is down every request is answered with 503 within 30 s; then all is as before (PLT-16, PLT-20)."""
    site.kill_azurite()
    requests = (
        ("GET", "/v2/studies"),
        ("GET", "/v2/changefeed"),
        ("GET", "/v2/studies/1.2/metadata"),
        ("DELETE", "/v2/studies/1.2"),
    )
    async with httpx.AsyncClient(timeout=30, headers={"Accept": "application/dicom+json"}) as client:
        for method, path in requests:
            response = await client.request(method, site.host.url + path)
            assert response.status_code == 503, f"{method} {path}: {response.status_code}"
    await _until(lambda: httpx.get(site.host.url + "/health", timeout=30).status_code == 503, 15, "unhealthy")
    site.restart_azurite()
    assert httpx.get(site.host.url + "/v2/changefeed", timeout=30).status_code == 200
    await _until(lambda: httpx.get(site.host.url + "/health", timeout=30).status_code == 200, 15, "healthy again")
