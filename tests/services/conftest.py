"""Storage for tests of services."""

import pytest

from tests.support.azurites import NewAccount


@pytest.fixture(scope="session")
def azurite_with_value_rows(new_azure_account: NewAccount) -> str:
    """Connection string of a storage in which only processes that write value rows write: the others would have it
    that they are not complete. Empty it before use."""
    return new_azure_account()
