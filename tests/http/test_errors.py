"""Faults of the service and of its storage, as clients see them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.azurite import Azurite, free_azurite_ports, start_azurite
from tests.support.processes import LocalHost
from tests.support.stow import new_triple, send, store

pytestmark = pytest.mark.integration

OVER_A_NETWORK = pytest.mark.one_store("the embedded store is not reached over a network")

DICOM = {"Content-Type": "application/dicom", "Accept": "*/*"}


@OVER_A_NETWORK
def test_storage_that_is_away(start_host_on: Callable[..., LocalHost], own_azurite: Callable[[None], Azurite]) -> None:
    """PLT-13, PLT-16, PLT-20, PLT-21: 503 in bounded time that says when to try again; the start page stays."""
    azurite = own_azurite(None)
    host = start_host_on({"AzureWebJobsStorage": azurite.connection_string})
    triple = new_triple()
    assert store(host.url, triple.file()).status == 200
    azurite.stop()
    for method, path in (
        ("GET", "/v2/changefeed"),
        ("GET", "/v2/studies"),
        ("DELETE", f"/v2/studies/{triple.study}"),
        ("POST", "/v2/studies"),
    ):
        began = time.monotonic()
        content = new_triple().file() if method == "POST" else b""
        answer = send(method, host.url + path, content, DICOM)
        assert answer.status == 503, (method, path, answer.text)
        assert int(answer.response.headers["retry-after"]) > 0
        assert answer.response.headers["content-type"] == "text/plain; charset=utf-8"
        assert "Traceback" not in answer.text
        assert time.monotonic() - began < 30
    began = time.monotonic()
    health = httpx.get(host.url + "/health", timeout=30)
    assert time.monotonic() - began < 5
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    check = httpx.get(host.url + "/health/check", timeout=30)
    assert (check.status_code, check.json()["overallStatus"]) == (503, "Unhealthy")
    assert httpx.get(host.url + "/").status_code == 200
    assert httpx.get(host.url + "/v2/nope").status_code == 404


@OVER_A_NETWORK
def test_storage_that_comes_back(start_host_on: Callable[..., LocalHost], tmp_path: Path) -> None:
    """PLT-16, PLT-20: full service once it is there again."""
    azurite = start_azurite(tmp_path / "data", free_azurite_ports(), tmp_path / "azurite.log")
    azurite.wait_until_ready()
    host = start_host_on({"AzureWebJobsStorage": azurite.connection_string})
    triple = new_triple()
    assert store(host.url, triple.file()).status == 200
    azurite.stop()
    assert send("POST", f"{host.url}/v2/studies", new_triple().file(), DICOM).status == 503
    azurite = start_azurite(tmp_path / "data", azurite.ports, tmp_path / "azurite.log")
    try:
        azurite.wait_until_ready()
        end = time.monotonic() + 30
        while httpx.get(host.url + "/health", timeout=30).status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert store(host.url, triple.file()).reasons == [45070]
        assert store(host.url, triple.sibling().file()).status == 200
    finally:
        azurite.stop()


def test_healthy(base_url: str) -> None:
    """PLT-20, PLT-21: in two forms; nothing follows the second."""
    health = httpx.get(base_url + "/health")
    assert (health.status_code, health.headers["content-type"]) == (200, "application/json")
    assert health.json()["status"] == "healthy"
    check = httpx.get(base_url + "/health/check")
    assert check.status_code == 200
    assert check.json() == {
        "overallStatus": "Healthy",
        "details": [
            {"name": name, "status": "Healthy", "description": "Successfully connected.", "data": {}}
            for name in ("DicomBlobHealthCheck", "DicomTableHealthCheck")
        ],
    }
    assert httpx.get(base_url + "/health/check/more").status_code == 404
    assert httpx.get(base_url + "/health/other").status_code == 404


def test_table_file_near_its_limit(start_host: Callable[..., LocalHost], tmp_path: Path) -> None:
    """PLT-20: from the first limit on the service is degraded; from the second on it refuses stores and says why."""
    table_file = tmp_path / "tables.json"
    table_file.write_bytes(b"x" * 1000)
    settings = {
        "DICOM_AZURITE_TABLE_FILE": str(table_file),
        "DICOM_AZURITE_TABLE_WARNING_BYTES": "2000",
        "DICOM_AZURITE_TABLE_LIMIT_BYTES": "3000",
    }
    host = start_host(settings)

    def status() -> Any:
        return httpx.get(host.url + "/health").json()["status"]

    def becomes(expected: str) -> None:
        end = time.monotonic() + 15
        while status() != expected:
            assert time.monotonic() < end
            time.sleep(0.2)

    triple = new_triple()
    assert status() == "healthy"
    assert store(host.url, triple.file()).status == 200
    table_file.write_bytes(b"x" * 2000)
    becomes("degraded")
    assert httpx.get(host.url + "/health").status_code == 200
    assert httpx.get(host.url + "/health/check").json()["overallStatus"] == "Degraded"
    assert store(host.url, triple.sibling().file()).status == 200
    table_file.write_bytes(b"x" * 3000)
    time.sleep(1.5)
    answer = store(host.url, triple.sibling().file())
    assert answer.status == 503
    assert "full" in answer.text
    assert answer.response.headers["retry-after"]
    assert httpx.get(f"{host.url}/v2/changefeed").status_code == 200
    assert httpx.delete(f"{host.url}/v2{triple.path}").status_code == 204
    table_file.write_bytes(b"x")
    time.sleep(1.5)
    assert store(host.url, triple.file()).status == 200


def test_reset(start_host: Callable[..., LocalHost], empty_store: dict[str, str]) -> None:
    """CHG-19: an empty store in one request, and full service on it."""
    host = start_host(empty_store)
    triple = new_triple()
    for _ in range(2):
        assert store(host.url, triple.file()).status == 200
        answer = httpx.post(host.url + "/_emulator/reset", timeout=60)
        assert (answer.status_code, answer.content) == (204, b"")
        assert httpx.get(f"{host.url}/v2/changefeed").json() == []
        search = httpx.get(f"{host.url}/v2/studies", headers={"Accept": "*/*"})
        assert search.status_code == 204
    assert store(host.url, triple.file()).status == 200
    assert httpx.get(f"{host.url}/v2/changefeed/latest").json()["sequence"] == 1


@pytest.mark.parametrize("settings", [{"DICOM_EMULATOR_ENDPOINTS": "false"}, {"WEBSITE_SITE_NAME": "a-function-app"}])
def test_reset_can_be_switched_off(start_host: Callable[..., LocalHost], settings: dict[str, str]) -> None:
    """On Azure it is off unless the setting says otherwise."""
    host = start_host(settings)
    triple = new_triple()
    assert store(host.url, triple.file()).status == 200
    answer = httpx.post(host.url + "/_emulator/reset")
    assert (answer.status_code, answer.content) == (404, b"")
    assert store(host.url, triple.file()).reasons == [45070]


@OVER_A_NETWORK
def test_storage_that_was_never_there(tmp_path: Path) -> None:
    """PLT-16, PLT-20: an app without its storage answers all of its clients 503, in bounded time, and then recovers."""
    ports = free_azurite_ports()
    host = LocalHost({"AzureWebJobsStorage": ports.connection_string()}, 1, tmp_path / "host.log")
    try:
        end = time.monotonic() + 30
        while not answers(host.url):
            assert time.monotonic() < end, host.output()
            time.sleep(0.1)
        began = time.monotonic()
        with ThreadPoolExecutor(12) as pool:
            statuses = list(
                pool.map(lambda _: httpx.get(f"{host.url}/v2/changefeed", timeout=60).status_code, range(12))
            )
        assert statuses == [503] * 12
        assert time.monotonic() - began < 20
        assert httpx.get(host.url + "/health", timeout=10).json()["status"] == "unhealthy"
        azurite = start_azurite(None, ports, tmp_path / "azurite.log")
        try:
            azurite.wait_until_ready()
            assert httpx.get(f"{host.url}/v2/changefeed", timeout=60).json() == []
            assert store(host.url, new_triple().file()).status == 200
        finally:
            azurite.stop()
    finally:
        host.stop()


def answers(url: str) -> bool:
    """Whether the host listens: its start page needs no storage."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
