"""Storage for tests of services."""

from collections.abc import Iterator

import pytest

from shared.azurite import free_azurite_ports, start_azurite


@pytest.fixture(scope="session")
def azurite_with_value_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of an Azurite in which only processes that write value rows write: the others would have it
    that they are not complete. Empty it before use."""
    process = start_azurite(None, free_azurite_ports(), tmp_path_factory.mktemp("values") / "azurite.log")
    try:
        process.wait_until_ready()
        yield process.connection_string
    finally:
        process.stop()
