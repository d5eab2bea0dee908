"""The servers that a benchmark starts: the product on either engine, and Orthanc where it is installed."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from shared.azurite import Azurite, free_azurite_ports, free_ports, start_azurite
from tests.support.processes import LocalHost


@contextlib.contextmanager
def azurite_on_disk() -> Iterator[Azurite]:
    """Azurite as `dev.py start` runs it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        process = start_azurite(Path(directory) / "data", free_azurite_ports(), Path(directory) / "azurite.log")
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.stop()


@contextlib.contextmanager
def product(settings: dict[str, str], workers: int = 1) -> Iterator[LocalHost]:
    """The app in the local host."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        host = LocalHost(settings, workers, Path(directory) / "host.log")
        try:
            host.wait_until_ready()
            yield host
        finally:
            host.stop()


@contextlib.contextmanager
def orthanc() -> Iterator[tuple[str, int]]:
    """(base URL of its DICOMweb, process id) of an Orthanc with its DICOMweb plugin; raises `SystemExit` without."""
    command = shutil.which("Orthanc")
    plugins = sorted(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*"))
    if command is None or not plugins:
        raise SystemExit("Orthanc with its DICOMweb plugin is not installed (Debian: orthanc, orthanc-dicomweb)")
    http_port, dicom_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        configuration = {
            "Name": "bench",
            "StorageDirectory": directory,
            "IndexDirectory": directory,
            "HttpPort": http_port,
            "DicomPort": dicom_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": True,
            "Plugins": [str(plugins[0])],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "PublicRoot": "/dicom-web/"},
        }
        file = Path(directory) / "orthanc.json"
        file.write_text(json.dumps(configuration))
        with (Path(directory) / "orthanc.log").open("wb") as log:
            process = subprocess.Popen([command, str(file)], stdout=log, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{http_port}"
        try:
            _wait(f"{url}/system")
            yield f"{url}/dicom-web", process.pid
        finally:
            process.terminate()
            process.wait()


def _wait(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")
