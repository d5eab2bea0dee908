"""Storage for fault tests: theirs alone, since they kill, count and read the whole change feed."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.storage.azure import AzureStorage
from shared.storage.embedded import EmbeddedStorage
from shared.storage.primitives import Storage
from tests.support.stepping import Process

ENGINES = ("azurite", "embedded")
WITH_VALUE_ROWS = "azurite with value rows"

NewProcess = Callable[..., Process]


@pytest.fixture(params=ENGINES)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty store."""
    engine: Storage
    if request.param in ("azurite", WITH_VALUE_ROWS):
        value_rows = "on" if request.param == WITH_VALUE_ROWS else "auto"
        connection_string = request.getfixturevalue("new_azure_account")()
        engine = AzureStorage(Settings(AzureWebJobsStorage=connection_string, DICOM_VALUE_ROWS=value_rows))
    else:
        engine = EmbeddedStorage(tmp_path / "store")
    await engine.prepare()
    yield engine
    await engine.close()


@pytest.fixture
async def process(storage: Storage) -> AsyncIterator[NewProcess]:
    """Makes processes of the product over the store; those that are left are killed after the test."""
    made: list[Process] = []

    def make(name: str) -> Process:
        made.append(Process(storage, name))
        return made[-1]

    yield make
    for each in made:
        each.kill()
