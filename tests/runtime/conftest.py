"""The worker of the check: one for all its tests."""

from collections.abc import Iterator

import pytest

from tests.runtime.environment import VERSION, environment_python, find_python
from tests.runtime.worker import RuntimeWorker


@pytest.fixture(scope="session")
def runtime_python() -> str:
    """The interpreter with the worker library; without Python 3.13 the check is skipped."""
    python = find_python()
    if python is None:
        pytest.skip(f"The worker library needs Python {VERSION}, and none was found.")
    return environment_python(python)


@pytest.fixture(scope="session")
def worker(runtime_python: str, azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeWorker]:
    """A worker that has indexed the app."""
    output = tmp_path_factory.mktemp("worker") / "output.log"
    settings = {"AzureWebJobsStorage": azurite}
    with RuntimeWorker(runtime_python, settings, output) as started:
        started.index()
        yield started
