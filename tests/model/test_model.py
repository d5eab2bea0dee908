"""The commit protocol, explored: every interleaving, kill and lost answer of small programs on a model of the storage."""

import subprocess
import sys

import pytest

from shared.azurite import ROOT

pytestmark = pytest.mark.unit

SMALL = (
    "post-post-kills",
    "expiry",
    "large-delete",
    "pending-full",
    "update-ends",
    "update-again",
    "retrieve-original",
)
"""Scenarios of up to some 100,000 states; all of them hold 76 million."""

SMALL_RULES = ("fence", "remember", "settle on refusal", "seal", "made from", "named originals")


def explore(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.model.check", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(3600)
def test_protocol_holds(request: pytest.FixtureRequest) -> None:
    """No scenario has a violation or a livelock; all of them with `--full`."""
    names = () if request.config.getoption("--full") else SMALL
    assert explore(*names).rstrip().endswith("as expected")


@pytest.mark.timeout(600)
def test_every_rule_is_needed(request: pytest.FixtureRequest) -> None:
    """Without a rule the checker finds a violation; so it can find one."""
    names = () if request.config.getoption("--full") else SMALL_RULES
    assert explore("--rules", *names).rstrip().endswith("as expected")
