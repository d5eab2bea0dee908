"""What `func azure functionapp publish` and `azd deploy` send to a Function App: the app, and it is complete."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.azurite import ROOT
from tests.packaging.ignore_rules import (
    Ignored,
    docker_rule,
    files_below,
    func_rule,
    git_rule,
    patterns,
)
from tests.runtime.environment import VERSION, environment_python, find_python
from tests.runtime.worker import RuntimeWorker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FROM_THE_ROOT = {"function_app.py", "host.json", "requirements.txt"}

LOCAL_ONLY = (
    "shared/azurite.py",
    "shared/certificate.py",
    "shared/cli.py",
    "shared/command_line.py",
    "shared/data_directory.py",
    "shared/devhost/",
    "shared/stop_with_parent.py",
)
"""The local host and the commands, which a Function App has no use for."""

LITTER = (
    ".azure/shared-test/.env",
    ".dev/data/__azurite_db_table__.json",
    ".env",
    ".git/config",
    ".venv/bin/activate",
    ".venv/lib/python3.13/site-packages/shared/x.py",
    ".vscode/settings.json",
    "__azurite_db_table__.json",
    "__blobstorage__/1",
    "__pycache__/function_app.cpython-313.pyc",
    "data/patient.dcm",
    "local.settings.json",
    "node_modules/azurite/package.json",
    "shared/__pycache__/app.cpython-313.pyc",
    "shared/storage/__pycache__/rows.cpython-313.pyc",
    "tests/http/test_store.py",
)
"""What lies about in a working directory, and in no image and no publish."""

RULES: dict[str, Callable[[], Ignored]] = {
    "func": lambda: func_rule(patterns(ROOT / ".funcignore")),
    "azd": lambda: git_rule(patterns(ROOT / ".funcignore")),
    "docker": lambda: docker_rule(patterns(ROOT / ".dockerignore")),
}


def published(rule: str) -> set[str]:
    return set(files_below(ROOT, RULES[rule]()))


@pytest.mark.parametrize("rule", RULES)
def test_no_litter(rule: str) -> None:
    ignored = RULES[rule]()
    assert [path for path in LITTER if not ignored(path)] == []


@pytest.mark.parametrize("rule", ["func", "azd"])
def test_the_app_is_published_and_nothing_else(rule: str) -> None:
    """Not tests, documents, deployment, data or the local host."""
    files = published(rule)
    assert {file for file in files if "/" not in file} == FROM_THE_ROOT
    assert {file.split("/")[0] for file in files if "/" in file} == {"shared"}
    assert not [file for file in files if file.startswith(LOCAL_ONLY)]
    images = {file for file in published("docker") if not file.startswith(LOCAL_ONLY)}
    assert files == images, "an image holds the same, and the local host"


def test_func_and_azd_agree() -> None:
    assert published("func") == published("azd")


@pytest.fixture
def function_app_directory(tmp_path: Path) -> Path:
    """A directory with the published files alone."""
    for file in published("func"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path


def test_the_worker_library_serves_what_is_published(
    function_app_directory: Path, azurite: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """PLT-113, PLT-114: indexed, loaded and answered by Microsoft's worker from these files alone"""
    python = find_python()
    if python is None:
        pytest.skip(f"The worker library needs Python {VERSION}, and none was found.")
    output = tmp_path_factory.mktemp("published") / "output.log"
    settings = {"AzureWebJobsStorage": azurite}
    with RuntimeWorker(environment_python(python), settings, output, function_app_directory) as worker:
        worker.index()
        for function in worker.functions:
            answer = worker.ask("load", function=worker.ids[function.name])
            assert answer["succeeded"], answer["error"]
        assert worker.request("GET", "/health").json()["status"] == "healthy"
        assert worker.request("GET", "/v2/changefeed").json() is not None
