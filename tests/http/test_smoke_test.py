"""`scripts/smoke_test.py` passes on a healthy emulator and fails on anything else."""

import subprocess
import sys

import pytest

from shared.azurite import ROOT, free_ports

pytestmark = pytest.mark.integration


def smoke_test(url: str) -> tuple[int, list[str]]:
    command = [sys.executable, "scripts/smoke_test.py", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout.splitlines()


def test_it_passes(base_url: str) -> None:
    code, lines = smoke_test(base_url)
    assert code == 0, lines
    assert lines[-1] == "All is well."
    assert len(lines) == 14


def test_it_fails_where_nothing_answers() -> None:
    code, lines = smoke_test(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert code == 1
    assert lines[-1].startswith("FAILED  health: ")
