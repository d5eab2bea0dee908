"""Orthanc with its DICOMweb plugin as a client, where it is installed: the pair of docker-compose.with-orthanc.yml."""

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from shared.azurite import ROOT, free_ports
from tests.support.made_files import made_file, new_uid

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        ORTHANC is None or not PLUGIN.exists(), reason="Orthanc with its DICOMweb plugin is not installed"
    ),
]


class Orthanc:
    """A running Orthanc that knows the emulator as the server `emulator`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def upload(self, file: bytes) -> str:
        """Orthanc's id of the study that the file is of."""
        answer = self._http.post("/instances", content=file).raise_for_status().json()
        return str(self._http.get(f"/instances/{answer['ID']}/study").json()["ID"])

    def files(self) -> list[bytes]:
        """Every file that Orthanc has."""
        return [self._http.get(f"/instances/{one}/file").content for one in self._http.get("/instances").json()]

    def forget(self) -> None:
        """Empties Orthanc, not the emulator."""
        for study in self._http.get("/studies").json():
            self._http.delete(f"/studies/{study}").raise_for_status()

    def at_emulator(self, operation: str, **body: Any) -> Any:
        """A request of the plugin's client: `stow`, `qido`, `retrieve`, `get` or `delete`."""
        response = self._http.post(f"/dicom-web/servers/emulator/{operation}", json=body)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="module")
def orthanc(base_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """With the configuration that the compose file gives it, on a free port and the emulator of the session."""
    directory = tmp_path_factory.mktemp("orthanc")
    [port] = free_ports(1)
    configuration = json.loads((ROOT / "docker" / "orthanc.json").read_text("utf-8"))
    configuration["DicomWeb"]["Servers"]["emulator"]["Url"] = f"{base_url}/v2/"
    configuration |= {
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "Plugins": [str(PLUGIN)],
    }
    file, log = directory / "orthanc.json", directory / "orthanc.log"
    file.write_text(json.dumps(configuration), "utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen([str(ORTHANC), str(file)], stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/dicom-web/servers", process, log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            yield Orthanc(http)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        try:
            assert httpx.get(url).json() == ["emulator"]
            return
        except httpx.TransportError:
            assert time.monotonic() < end, log.read_text("utf-8", "replace")
            time.sleep(0.1)


def test_store_query_and_retrieve(orthanc: Orthanc, base_url: str) -> None:
    """STO-41, STO-100, QRY-01: a study goes to the emulator, is found there, and comes back byte for byte"""
    orthanc.forget()
    study, series = new_uid(), new_uid()
    name = f"Orthanc^{study[-9:]}"
    files = [made_file(study, series, new_uid(), PatientName=name, InstanceNumber=number) for number in (1, 2)]
    sent = {str(read(file).SOPInstanceUID) for file in files}
    of_orthanc = {orthanc.upload(file) for file in files}

    assert orthanc.at_emulator("stow", Resources=list(of_orthanc), Synchronous=True)["InstancesCount"] == "2"

    [found] = orthanc.at_emulator("qido", Uri="/studies", Arguments={"PatientName": name})
    assert found["0020000D"]["Value"] == study
    instances = orthanc.at_emulator("qido", Uri=f"/studies/{study}/series/{series}/instances")
    assert {one["00080018"]["Value"] for one in instances} == sent

    metadata = orthanc.at_emulator("get", Uri=f"/studies/{study}/metadata")
    assert {one["00100010"]["Value"][0]["Alphabetic"] for one in metadata} == {name}

    orthanc.forget()
    assert orthanc.files() == []
    received = orthanc.at_emulator("retrieve", Resources=[{"Study": study}], Synchronous=True)
    assert received["ReceivedInstancesCount"] == "2"
    assert sorted(orthanc.files()) == sorted(files)


def test_one_instance_of_a_compressed_study(orthanc: Orthanc) -> None:
    """STO-100, QRY-01: JPEG 2000 stays what it is when the client takes any transfer syntax"""
    orthanc.forget()
    original = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
    study = orthanc.upload(original)
    stored = orthanc.files()
    assert orthanc.at_emulator("stow", Resources=[study], Synchronous=True)["InstancesCount"] == "1"
    [found] = orthanc.at_emulator("qido", Uri="/instances", Arguments={"PatientID": str(read(original).PatientID)})

    orthanc.forget()
    uids = {"Study": "0020000D", "Series": "0020000E", "Instance": "00080018"}
    resource = {level: found[tag]["Value"] for level, tag in uids.items()}
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    received = orthanc.at_emulator("retrieve", Resources=[resource], HttpHeaders=accept, Synchronous=True)
    assert received["ReceivedInstancesCount"] == "1"
    assert orthanc.files() == stored


def read(file: bytes) -> Dataset:
    return dcmread(io.BytesIO(file), stop_before_pixels=True)


def test_delete(orthanc: Orthanc, base_url: str) -> None:
    """STO-144, STO-147: what Orthanc deletes there is gone"""
    orthanc.forget()
    study = new_uid()
    of_orthanc = orthanc.upload(made_file(study, new_uid(), new_uid()))
    orthanc.at_emulator("stow", Resources=[of_orthanc], Synchronous=True)
    assert httpx.get(f"{base_url}/v2/studies/{study}/metadata").status_code == 200
    orthanc.at_emulator("delete", Level="Study", StudyInstanceUID=study)
    assert httpx.get(f"{base_url}/v2/studies/{study}/metadata").status_code == 404
