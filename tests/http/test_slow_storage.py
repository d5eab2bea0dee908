"""Health while storage takes its time."""

import time
from pathlib import Path

import httpx
import pytest

from tests.support.processes import local_host
from tests.support.tcp_proxy import Mishap, storage_proxies

pytestmark = [pytest.mark.integration, pytest.mark.one_store("the embedded store is not reached over a network")]

MOST_SECONDS = 3.0


def test_health_answers_while_storage_is_slow(azurite: str, tmp_path: Path) -> None:
    """PLT-20, PLT-21: in bounded time, and as degraded rather than away, since storage did answer before."""
    with storage_proxies(azurite) as proxies:
        settings = {"AzureWebJobsStorage": proxies.connection_string}
        with local_host(settings, log=tmp_path / "host.log") as host:
            assert httpx.get(f"{host.url}/health").json()["status"] == "healthy"
            for proxy in (proxies.blob, proxies.table, proxies.queue):
                proxy.plan(Mishap.DELAY, times=1000, seconds=2.5)
            seen = set()
            end = time.monotonic() + 8
            while time.monotonic() < end:
                for path, name in (("/health", "status"), ("/health/check", "overallStatus")):
                    began = time.monotonic()
                    answer = httpx.get(host.url + path, timeout=30)
                    assert time.monotonic() - began < MOST_SECONDS
                    assert answer.status_code == 200
                    seen.add(answer.json()[name].lower())
                time.sleep(0.2)
            assert seen == {"healthy", "degraded"}
