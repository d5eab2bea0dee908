"""One suite for every engine of the storage primitives."""

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.storage.azure import AzureStorage
from shared.storage.embedded import EmbeddedStorage
from shared.storage.primitives import Storage
from tests.support.azurites import NewAccount

ENGINES = ("azurite", "embedded", "embedded durable")


def azure_storage(connection_string: str) -> AzureStorage:
    return AzureStorage(Settings.model_validate({"AzureWebJobsStorage": connection_string}))


@pytest.fixture(scope="session")
def azurite(new_azure_account: NewAccount) -> str:
    """Connection string of a storage for rows that no service could read: no host runs on it."""
    return new_azure_account()


@pytest.fixture(params=ENGINES)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A prepared store. Azurite's is shared with other tests: keep to `partition` and to names made from it."""
    engine: Storage
    if request.param == "azurite":
        engine = azure_storage(request.getfixturevalue("azurite"))
    else:
        engine = EmbeddedStorage(tmp_path / "store", durable=request.param == "embedded durable")
    await engine.prepare()
    yield engine
    await engine.close()


@pytest.fixture(params=ENGINES)
def open_own(request: pytest.FixtureRequest, tmp_path: Path, new_azure_account: NewAccount) -> Callable[[], Storage]:
    """Opens a store, not prepared, that this test has to itself; each call gives another view of the same."""
    if request.param == "azurite":
        connection_string = new_azure_account()
        return lambda: azure_storage(connection_string)
    return lambda: EmbeddedStorage(tmp_path / "store", durable=request.param == "embedded durable")


@pytest.fixture
def partition() -> str:
    """A partition key, or beginning of a name, that no other test uses."""
    return f"contract|{secrets.token_hex(8)}"
