"""What tests of the app by URL share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.azurite import Azurite


@pytest.fixture
def empty_store(
    store_settings: dict[str, str], own_azurite: Callable[[Path | None], Azurite], tmp_path: Path
) -> dict[str, str]:
    """Settings of a store that nobody else uses, of the kind that the session runs on."""
    if "DICOM_STORE" in store_settings:
        return {**store_settings, "DICOM_STORE_PATH": str(tmp_path / "store")}
    return {"AzureWebJobsStorage": own_azurite(None).connection_string}
