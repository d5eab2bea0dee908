"""`scripts/check_wheels.py`: which requirements it asks for where. It is run by a workflow, as it asks PyPI a lot."""

from pathlib import Path

import pytest

from scripts.check_wheels import PLATFORMS, PYTHONS, ROOT, requirements

pytestmark = pytest.mark.unit


def asked(python: str, platform: str) -> list[str]:
    return list(requirements(python, PLATFORMS[platform], [ROOT / "requirements.txt"]))


def test_markers_are_those_of_the_target() -> None:
    assert any(one.startswith("azure-functions==1.") for one in asked("3.12", "linux-arm64"))
    assert any(one.startswith("azure-functions==2.") for one in asked("3.13", "linux-arm64"))
    assert any(one.startswith("uvloop==") for one in asked("3.14", "macos-arm64"))
    assert not any(one.startswith("uvloop==") for one in asked("3.14", "windows"))
    assert any(one.startswith("colorama==") for one in asked("3.11", "windows"))
    assert not any(one.startswith("colorama==") for one in asked("3.11", "linux-x86_64"))


def test_every_pin_is_exact() -> None:
    for python in PYTHONS:
        for platform in PLATFORMS:
            assert all(one.count("==") == 1 and ";" not in one for one in asked(python, platform))


def test_lines_without_a_requirement_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\n\n-r other.txt\nattrs==1.0  # why\n", "utf-8")
    assert list(requirements("3.13", PLATFORMS["windows"], [file])) == ["attrs==1.0"]
