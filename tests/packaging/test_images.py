"""The Dockerfiles: clean, and their steps lead to a service that answers."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shared.azurite import ROOT, free_ports
from shared.cli import HOST_DEFAULTS
from tests.packaging.checkers import complaints
from tests.packaging.images import Image, Installer, build, instructions, linked_packages, pip
from tests.support.made_files import made_file, new_uid, store

pytestmark = pytest.mark.integration

FUNCTIONS = ROOT / "Dockerfile"
SLIM = ROOT / "docker" / "Dockerfile.slim"
START_SECONDS = 2.0
"""Until the slim image answers."""

FROM_THE_ROOT = {"requirements.txt", "host.json", "function_app.py"}


@pytest.fixture(scope="module")
def slim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(SLIM, ROOT, tmp_path_factory.mktemp("slim"), _installer(request))


@pytest.fixture(scope="module")
def functions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(FUNCTIONS, ROOT, tmp_path_factory.mktemp("functions"), _installer(request))


def _installer(request: pytest.FixtureRequest) -> Installer:
    return pip if request.config.getoption("--full") else linked_packages


@contextmanager
def running(command: list[str], environment: dict[str, str], directory: Path, log: Path) -> Iterator[float]:
    """The command until it answers and while the block runs; the seconds that it took."""
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{command[command.index('--port') + 1]}"
    try:
        while True:
            assert process.poll() is None, log.read_text("utf-8")
            try:
                assert httpx.get(f"{url}/health", timeout=5).status_code == 200, log.read_text("utf-8")
                break
            except httpx.TransportError:
                assert time.monotonic() < began + 60, log.read_text("utf-8")
                time.sleep(0.02)
        yield time.monotonic() - began
    finally:
        process.terminate()
        assert process.wait(20) in (0, -15) or sys.platform == "win32"


def on_port(command: list[str], port: int) -> list[str]:
    """The command on a free port, and on this machine alone."""
    changed = list(command)
    changed[changed.index("--port") + 1] = str(port)
    if "--host" in changed:
        changed[changed.index("--host") + 1] = "127.0.0.1"
    return changed


# -- what the files say


@pytest.mark.skipif(sys.platform == "win32", reason="hadolint is not published for Windows")
@pytest.mark.parametrize("dockerfile", [FUNCTIONS, SLIM], ids=lambda file: file.name)
def test_hadolint_has_no_complaint(dockerfile: Path) -> None:
    assert complaints("hadolint", "--no-color", dockerfile) == ""


def test_bases_are_pinned() -> None:
    bases = [next(one.rest for one in instructions(file) if one.keyword == "FROM") for file in (FUNCTIONS, SLIM)]
    assert bases[0] == "mcr.microsoft.com/azure-functions/python:4-python3.13"
    assert re.fullmatch(r"python:3\.13\.\d+-slim-[a-z]+", bases[1])


def test_the_slim_image_is_not_root_and_keeps_its_data_in_a_volume(slim: Image) -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", slim.user)
    volumes = [one.rest for one in instructions(SLIM) if one.keyword == "VOLUME"]
    assert volumes == [json.dumps([slim.environment["DICOM_STORE_PATH"]])]
    assert slim.environment["DICOM_STORE"] == "embedded"
    assert slim.path("/data").is_dir()


@pytest.mark.parametrize("dockerfile", [FUNCTIONS, SLIM], ids=lambda file: file.name)
def test_every_image_has_the_settings_that_the_host_needs(dockerfile: Path) -> None:
    """PLT-11, PLT-18: those for Python below 3.13 aside"""
    words = " ".join(one.rest for one in instructions(dockerfile) if one.keyword == "ENV")
    for name in HOST_DEFAULTS.keys() - {"PYTHON_ENABLE_INIT_INDEXING"}:
        assert f"{name}={HOST_DEFAULTS[name]}" in words.split()


# -- what they hold


@pytest.mark.parametrize("name", ["slim", "functions"])
def test_images_hold_the_app_and_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(name)
    app = "app/" if name == "slim" else "home/site/wwwroot/"
    names = {file.removeprefix(app) for file in image.files()}
    assert {file for file in names if not file.startswith("shared/")} == FROM_THE_ROOT
    of_the_app = {file for file in names if file.startswith("shared/")}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "shared"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert of_the_app == {file for file in listed.stdout.split() if (ROOT / file).exists()}


# -- what they do


def test_the_slim_image_answers_soon(slim: Image, tmp_path: Path) -> None:
    """Start, health check, a study stored and found, and the same study after another start; no write to the app."""
    before = {file: slim.path(f"/{file}").stat().st_mtime_ns for file in slim.files() if file.startswith("app/")}
    study, port = new_uid(), free_ports(1)[0]
    command = on_port(slim.command(slim.entrypoint), port)
    took = []
    for attempt in range(3):
        with running(command, slim.start_environment(), slim.path("."), tmp_path / "host.log") as seconds:
            took.append(seconds)
            url = f"http://127.0.0.1:{port}/v2"
            if attempt == 0:
                assert httpx.get(f"{url}/studies").status_code in (200, 204)
                store(url, made_file(study, new_uid(), new_uid()))
                check = [one.replace("8080", str(port)) for one in slim.command(slim.health_check)]
                assert subprocess.run(check, timeout=30).returncode == 0
            found = httpx.get(f"{url}/studies", params={"StudyInstanceUID": study}).json()
            assert [one["0020000D"]["Value"] for one in found] == [[study]]
        if attempt and min(took) < START_SECONDS:
            break
    assert min(took) < START_SECONDS, took
    assert subprocess.run(check, timeout=30, capture_output=True).returncode != 0
    assert before == {file: slim.path(f"/{file}").stat().st_mtime_ns for file in before}


def test_the_functions_image_has_what_a_host_needs(functions: Image, azurite: str, tmp_path: Path) -> None:
    """The local host stands in for Microsoft's, which is no package."""
    root = functions.environment["AzureWebJobsScriptRoot"]
    port = free_ports(1)[0]
    command = functions.command(
        ["python", "-m", "shared.devhost", "function_app:app", "--directory", root, "--port", str(port)]
    )
    environment = {**functions.start_environment(), "AzureWebJobsStorage": azurite}
    with running(command, environment, functions.path(root), tmp_path / "host.log"):
        assert httpx.get(f"http://127.0.0.1:{port}/v2/changefeed").status_code == 200
