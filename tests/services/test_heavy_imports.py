"""What a start does not import: the list of packages that cost tenths of a second, or tens of megabytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.azurite import ROOT

pytestmark = pytest.mark.integration

HEAVY = {
    "aiohttp": "identities on Azure",
    "azure.core": "identities on Azure",
    "azure.data": "nothing in the app",
    "azure.identity": "identities on Azure",
    "azure.storage": "nothing in the app",
    "gdcm": "JPEG Lossless and JPEG-LS",
    "numpy": "pixel data",
    "openjpeg": "JPEG 2000",
    "PIL": "JPEG and PNG",
    "pydicom": "files that the reader of the app leaves to it",
    "requests": "nothing in the app",
    "rle": "RLE Lossless",
}
"""Name and what it is imported for, when that is first needed."""

EMBEDDED = ("shared.storage.azure", "shared.storage.local_copies")
AZURE = ("shared.storage.embedded", "sqlite3")

PROGRAM = """
import asyncio, sys
import function_app
from shared.composition import open_services
from shared.settings import Settings

async def start():
    await (await open_services(Settings())).close()

asyncio.run(start())
heavy = [name for name in sys.argv[1:] if any(f"{module}.".startswith(f"{name}.") for module in sys.modules)]
sys.exit(", ".join(heavy) or None)
"""


def imported(settings: dict[str, str], names: tuple[str, ...]) -> str:
    """Those of the names that an app which opened its store has imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DICOM_", "AzureWebJobs"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *names],
        env={**environment, "PYTHONPATH": str(ROOT), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 or done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def test_a_start_on_the_embedded_store(tmp_path: Path) -> None:
    settings = {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path)}
    assert imported(settings, (*HEAVY, *EMBEDDED)) == ""


def test_a_start_on_azurite(azurite: str) -> None:
    assert imported({"AzureWebJobsStorage": azurite}, (*HEAVY, *AZURE)) == ""


def test_the_list_is_looked_at(tmp_path: Path) -> None:
    settings = {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path)}
    assert (
        imported(settings, ("no_such_module", "orjson", "shared.storage.embedded")) == "orjson, shared.storage.embedded"
    )
