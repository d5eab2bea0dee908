"""The GitHub workflows: valid, with as few rights as can be, and nothing that moves by itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.check_wheels import PYTHONS
from shared.azurite import ROOT
from tests.packaging.checkers import complaints, read_yaml, schema_complaints

pytestmark = pytest.mark.unit

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))


def jobs() -> Iterator[tuple[str, Any]]:
    for file in FILES:
        for name, job in read_yaml(file)["jobs"].items():
            yield f"{file.name}: {name}", job


def text_of(job: Any) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_valid_by_the_schema_of_workflows(file: Path) -> None:
    assert schema_complaints("github-workflows", file) == ""


def test_dependabot_keeps_the_pins_young() -> None:
    assert schema_complaints("dependabot", GITHUB / "dependabot.yml") == ""
    updates = read_yaml(GITHUB / "dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "docker", "docker-compose", "pip", "npm"}
    for one in updates:
        for directory in one.get("directories", [one.get("directory")]):
            assert (ROOT / directory.lstrip("/")).is_dir(), directory


def test_zizmor_has_no_complaint() -> None:
    """The one auditor of workflows that comes as a package: injections, rights, credentials, pins."""
    assert complaints("zizmor", "--offline", "--strict-collection", "--min-severity", "medium", GITHUB) == ""


def test_actions_are_pinned_by_the_commit() -> None:
    used = [line.strip() for file in FILES for line in file.read_text("utf-8").splitlines() if "uses: " in line]
    used = [line for line in used if "uses: ./" not in line]
    assert used
    for line in used:
        assert re.fullmatch(r"(- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    versions: dict[str, set[str]] = {}
    for line in used:
        name, _, pin = line.partition("uses: ")[2].partition("@")
        versions.setdefault(name, set()).add(pin)
    assert {name: pins for name, pins in versions.items() if len(pins) > 1} == {}


def test_rights_are_those_of_a_reader_unless_a_job_says_more() -> None:
    for file in FILES:
        assert read_yaml(file)["permissions"] == {"contents": "read"}, file.name
    more = {name: job["permissions"] for name, job in jobs() if "permissions" in job}
    assert more == {
        "images.yml: publish": {
            "contents": "read",
            "packages": "write",
            "id-token": "write",
            "attestations": "write",
        }
    }


def test_every_job_ends() -> None:
    for name, job in jobs():
        assert "uses" in job or job["timeout-minutes"] <= 240, name


def test_what_runs_where() -> None:
    """Every supported Python on three systems; the real host; full size and newest packages at night."""
    tests, nightly = read_yaml(GITHUB / "workflows" / "tests.yml")["jobs"], read_yaml(GITHUB / "workflows/nightly.yml")
    for job in ("suite", "other-systems"):
        assert tests[job]["strategy"]["matrix"]["python"] == list(PYTHONS)
    systems = [tests["suite"]["runs-on"], *tests["other-systems"]["strategy"]["matrix"]["system"]]
    assert [system.split("-")[0] for system in systems] == ["ubuntu", "macos", "windows"]
    assert ".ci/run" in text_of(tests["suite"])
    assert "--under-func" in text_of(tests["real-host"])
    assert "check_wheels.py" in text_of(tests["wheels"])
    assert {"bandit", "pip-audit", "actionlint"} <= set(text_of(tests["security"]).split())
    assert "dev.py test --full" in text_of(nightly["jobs"]["full"])
    assert "azurite@latest" in text_of(nightly["jobs"]["newest"])


def test_images_are_published_after_the_tests_signed_and_described() -> None:
    publish = read_yaml(GITHUB / "workflows" / "images.yml")["jobs"]["publish"]
    assert publish["needs"] == "tests"
    images = publish["strategy"]["matrix"]["include"]
    assert {one["dockerfile"]: one["platforms"] for one in images} == {
        "docker/Dockerfile.slim": "linux/amd64,linux/arm64",
        "Dockerfile": "linux/amd64",
    }
    assert all((ROOT / one["dockerfile"]).exists() for one in images)
    assert "cosign sign" in text_of(publish)
    build, sbom = (
        next(step["with"] for step in publish["steps"] if step.get("uses", "").startswith(action))
        for action in ("docker/build-push-action", "anchore/sbom-action")
    )
    assert build["provenance"] == "mode=max"
    assert sbom["format"] == "cyclonedx-json"
    attested = [step["with"] for step in publish["steps"] if step.get("uses", "").startswith("actions/attest@")]
    assert [one.get("sbom-path") for one in attested] == [None, sbom["output-file"]]
