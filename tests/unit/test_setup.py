"""`dev.py`: what it installs again and what not, and the one line when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dev
from shared.azurite import ROOT

pytestmark = pytest.mark.unit


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip finds nothing anywhere; a requirements file that asks for something."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(dev, "VENV_PYTHON", Path(sys.executable))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-anywhere==1.0\n", "utf-8")
    return requirements


@pytest.fixture
def no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty directory is all that PATH names."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


def test_packages_are_installed_again_only_when_their_files_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime, development = tmp_path / "requirements.txt", tmp_path / "requirements-dev.txt"
    runtime.write_text("a==1\n", "utf-8")
    development.write_text("b==1\n", "utf-8")
    calls: list[str] = []
    monkeypatch.setattr(dev, "VENV_PYTHON", Path(sys.executable))
    monkeypatch.setattr(dev, "VENV_STAMP", tmp_path / "installed.json")
    monkeypatch.setattr(dev, "run_pip", lambda what, arguments: calls.append(what))
    files = (runtime, development)

    assert not dev.packages_are_installed(files)
    dev.install_packages(files)
    assert dev.packages_are_installed(files)
    assert dev.packages_are_installed((runtime,))
    runtime.write_text("a==2\n", "utf-8")
    assert not dev.packages_are_installed((runtime,))
    assert not dev.packages_are_installed(files)
    dev.install_packages((runtime,))
    assert dev.packages_are_installed((runtime,))
    assert not dev.packages_are_installed(files)
    assert calls == ["packages", "packages"]


def test_azurite_is_installed_again_when_its_files_or_its_node_have_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock, node, stamp = tmp_path / "package-lock.json", tmp_path / "node", tmp_path / "installed.json"
    lock.write_text("{}", "utf-8")
    node.touch()
    monkeypatch.setattr(dev, "AZURITE_FILES", (lock,))
    monkeypatch.setattr(dev, "AZURITE_STAMP", stamp)
    assert not dev.azurite_is_installed()
    stamp.write_text(json.dumps({"files": dev.digest((lock,)), "node": str(node)}), "utf-8")
    assert dev.azurite_is_installed()
    node.unlink()
    assert not dev.azurite_is_installed()


def test_a_node_that_is_too_old_or_has_no_npm_is_not_taken(no_node: Path) -> None:
    assert dev.find_node() is None
    program(no_node / "node", "echo v22.1.0")
    assert dev.find_node() is None
    program(no_node / "npm", "exit 0")
    assert dev.find_node() == (str(no_node / "node"), [str(no_node / "npm")])
    program(no_node / "node", "echo v20.20.2")
    assert dev.find_node() is None
    program(no_node / "node", "echo nonsense")
    assert dev.find_node() is None


def test_no_node_to_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch, no_registry: Path) -> None:
    monkeypatch.setattr(dev, "NODE_REQUIREMENTS", no_registry)
    with pytest.raises(dev.SetupError) as failure:
        dev.node_from_pypi()
    line = str(failure.value)
    assert line.startswith("Azurite needs Node.js 22 or newer with npm: none was found, and PyPI gave none (")
    assert "No matching distribution found" in line or "Could not find a version" in line
    assert line.endswith("Install Node.js, or use --storage or --store embedded")
    assert "\n" not in line


def test_a_failing_pip_is_one_line(no_registry: Path) -> None:
    with pytest.raises(dev.SetupError) as failure:
        dev.run_pip("packages", ["-r", str(no_registry)])
    line = str(failure.value)
    assert line.startswith("Installing packages with pip failed: ERROR: ")
    assert "no-such-package-anywhere" in line
    assert "\n" not in line


def test_a_failing_npm_is_one_line(monkeypatch: pytest.MonkeyPatch, no_node: Path, tmp_path: Path) -> None:
    program(no_node / "node", "echo v22.1.0")
    program(no_node / "npm", "echo 'npm error code ENOTFOUND' >&2; exit 1")
    monkeypatch.setattr(dev, "AZURITE_HOME", tmp_path / "azurite")
    monkeypatch.setattr(dev, "AZURITE_STAMP", tmp_path / "azurite" / "installed.json")
    with pytest.raises(dev.SetupError) as failure:
        dev.install_azurite()
    line = str(failure.value)
    assert line.startswith("Installing Azurite with npm failed: the package registry cannot be reached (")
    assert not dev.azurite_is_installed()


def test_a_python_without_ensurepip_is_one_line(tmp_path: Path) -> None:
    """Debian ships ensurepip apart; the copy of the repository has no environment yet."""
    for name in ("requirements.txt", "dev.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    script = "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv = ['dev.py', 'start', '--storage', 'x']; "
    script += "runpy.run_path('dev.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("dev.py: this Python (")
    assert done.stderr.rstrip().endswith("(Debian, Ubuntu: apt install python3-venv)")
    assert done.stderr.count("\n") == 1


def test_the_lock_of_azurite_names_no_addresses() -> None:
    """npm takes every package from the registry that the user has configured."""
    lock = json.loads((ROOT / "azurite" / "package-lock.json").read_text("utf-8"))
    packages = lock["packages"]
    assert packages["node_modules/azurite"]["version"] == packages[""]["dependencies"]["azurite"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_every_requirement_is_pinned() -> None:
    for file in ("requirements.txt", "requirements-dev.txt", "azurite/requirements.txt"):
        lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text("utf-8").splitlines()]
        assert [line for line in lines if line and not line.startswith("-r") and "==" not in line] == []
