"""`scripts/smoke_test.py` as its users run it."""

import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from shared.azurite import ROOT, free_ports
from tests.support.processes import LocalHost

pytestmark = pytest.mark.integration


def run(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/smoke_test.py", url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_every_step_passes_and_nothing_stays(start_host: Callable[..., LocalHost]) -> None:
    """A line a step, exit code 0, and an empty store afterwards."""
    host = start_host()
    before = httpx.get(f"{host.url}/v2/studies?limit=200", headers={"Accept": "*/*"}).content
    for _ in range(2):
        done = run(host.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "FAILED" not in done.stdout
        assert " passed, 0 failed, " in done.stdout.splitlines()[-1]
    assert httpx.get(f"{host.url}/v2/studies?limit=200", headers={"Accept": "*/*"}).content == before


@pytest.mark.one_store("no app is asked")
def test_failures_are_told() -> None:
    """Against nothing at all: a line for each step, exit code 1, no traceback."""
    done = run(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert done.returncode == 1
    assert "FAILED  health" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 passed, ")
    assert "Traceback" not in done.stdout + done.stderr
