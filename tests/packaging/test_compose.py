"""The compose files: valid, and in step with the rest of the repository."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.azurite import ROOT
from shared.cli import HOST_DEFAULTS
from tests.packaging.checkers import read_yaml, schema_complaints

pytestmark = pytest.mark.unit

FILES = sorted(ROOT.glob("docker-compose*.yml"))
AZURITE_PORTS = {10000, 10001, 10002}


def services(name: str) -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(ROOT / name)
    return dict(content["services"])


def published(service: dict[str, Any]) -> set[int]:
    return {int(port.rsplit(":", 2)[1]) for port in service["ports"]}


def test_there_are_two() -> None:
    assert [file.name for file in FILES] == ["docker-compose.with-orthanc.yml", "docker-compose.yml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_valid_by_the_schema_of_the_compose_specification(file: Path) -> None:
    assert schema_complaints("compose-spec", file) == ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_mounted_is_there_and_read_only(file: Path) -> None:
    content = read_yaml(file)
    for service in content["services"].values():
        for volume in service.get("volumes", []):
            source, *rest = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).exists(), volume
                assert rest[1:] == ["ro"], volume
            else:
                assert source in content["volumes"], volume


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_images_are_pinned_and_ports_stay_on_this_machine(file: Path) -> None:
    for service in services(file.name).values():
        assert re.search(r":[^:/]*[0-9a-z]$", service["image"]), service["image"]
        assert not service["image"].endswith(":latest")
        for port in service["ports"]:
            assert port.startswith("${DICOM_ADDRESS:-127.0.0.1}:"), port


def test_the_azurite_is_the_one_that_dev_py_installs() -> None:
    azurite = services("docker-compose.yml")["azurite"]
    pinned = json.loads((ROOT / "azurite" / "package.json").read_text("utf-8"))["dependencies"]["azurite"]
    assert azurite["image"].endswith(f"/azurite:{pinned}")
    assert f"npx azurite@{pinned} --skipApiVersionCheck" in (ROOT / "README.md").read_text("utf-8")
    assert published(azurite) == AZURITE_PORTS
    assert "--skipApiVersionCheck" in azurite["command"]


def test_the_host_runs_as_on_azure_beside_azurite() -> None:
    """PLT-11, PLT-18: Python 3.13 for amd64, the settings that every start needs, storage at `azurite`."""
    emulator = services("docker-compose.yml")["emulator"]
    assert emulator["image"].startswith("mcr.microsoft.com/azure-functions/python:4-python3.13-core-tools")
    assert emulator["platform"] == "linux/amd64"
    assert published(emulator) == {8080}
    assert emulator["depends_on"]["azurite"]["condition"] == "service_healthy"
    environment = emulator["environment"]
    newer = {name for name in HOST_DEFAULTS if name != "PYTHON_ENABLE_INIT_INDEXING"}  # for Python below 3.13 alone
    assert {name: environment[name] for name in newer} == {name: HOST_DEFAULTS[name] for name in newer}
    assert environment["AzureWebJobsSecretStorageType"] == "files"
    connection = dict(part.split("=", 1) for part in environment["AzureWebJobsStorage"].strip(";\n").split(";"))
    assert connection["AccountName"] == "devstoreaccount1"
    for service, port in (("Blob", 10000), ("Queue", 10001), ("Table", 10002)):
        assert connection[f"{service}Endpoint"] == f"http://azurite:{port}/devstoreaccount1"


def test_core_tools_listen_on_all_addresses_of_the_container() -> None:
    """From version 4.14 on their default is 127.0.0.1, which no published port reaches."""
    settings = json.loads((ROOT / "docker" / "core-tools.settings.json").read_text("utf-8"))
    assert settings["Host"] == {"LocalHttpPort": 8080, "LocalHttpAddress": "0.0.0.0"}
    mounted = "./docker/core-tools.settings.json:/home/site/wwwroot/local.settings.json:ro"
    assert mounted in services("docker-compose.yml")["emulator"]["volumes"]


def test_orthanc_knows_the_emulator() -> None:
    both = services("docker-compose.with-orthanc.yml")
    assert (published(both["emulator"]), published(both["orthanc"])) == ({8080}, {8042, 4242})
    assert both["emulator"]["build"]["dockerfile"] == "docker/Dockerfile.slim"
    orthanc = json.loads((ROOT / "docker" / "orthanc.json").read_text("utf-8"))
    assert orthanc["DicomWeb"]["Servers"]["emulator"]["Url"] == "http://emulator:8080/v2/"
    assert "./docker/orthanc.json:/etc/orthanc/orthanc.json:ro" in both["orthanc"]["volumes"]
