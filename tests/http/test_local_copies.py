"""Local copies of files by URL: they serve what storage has lost, and never what was deleted or replaced."""

import asyncio
from pathlib import Path

import httpx
import pytest

from shared.settings import Settings
from shared.storage import names
from shared.storage.azure import AzureStorage
from tests.conftest import StartHost
from tests.support.made_files import new_uid
from tests.support.made_images import encoded, gradient, made_image
from tests.support.processes import LocalHost
from tests.support.retrieving import get
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = [
    pytest.mark.integration,
    pytest.mark.one_store("the embedded store needs no copies: its files are local"),
]

FORMS = [
    ("", "application/dicom; transfer-syntax=*"),
    ("/frames/1", "application/octet-stream"),
    ("/rendered", "image/png"),
]


def image(triple: Triple, greatest: int) -> bytes:
    dataset = made_image(gradient(30, 30, "<u2", 0, greatest), PatientID=f"P{greatest}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        triple.study,
        triple.series,
        triple.instance,
    )
    return encoded(dataset)


def lose_files(azurite: str, study: str) -> int:
    """Removes the files of a study from the storage, behind the back of the service; how many there were."""

    async def lose() -> int:
        storage = AzureStorage(Settings(storage_connection=azurite))
        try:
            prefix = f"Microsoft.Default/{study}/"
            items = [item.name async for item in storage.list_blobs(names.DICOM, prefix)]
            for name in items:
                await storage.delete_blob(names.DICOM, name)
            return len(items)
        finally:
            await storage.close()

    return asyncio.run(lose())


def all_forms(host: LocalHost, triple: Triple) -> list[bytes | int]:
    answers = [get(f"{host.url}/v2{triple.path}{path}", accept) for path, accept in FORMS]
    return [answer.content if answer.status_code == 200 else answer.status_code for answer in answers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


@pytest.fixture
def hosts(start_host_on: StartHost, azurite: str, folder: Path) -> tuple[LocalHost, LocalHost]:
    """Two hosts on one storage that share a folder."""
    settings = {"AzureWebJobsStorage": azurite, "DICOM_LOCAL_COPIES_PATH": str(folder)}
    return start_host_on(settings), start_host_on(settings)


def test_shared(hosts: tuple[LocalHost, LocalHost], azurite: str) -> None:
    """local copies: written through at the store, and read by every worker without asking the storage for the file"""
    one, two = hosts
    triple = new_triple()
    content = image(triple, 900)
    assert store(one.url, content).status == 200
    expected = all_forms(two, triple)
    assert expected[0] == content
    assert lose_files(azurite, triple.study) == 1
    assert all_forms(one, triple) == all_forms(two, triple) == expected


def test_made_when_read(hosts: tuple[LocalHost, LocalHost], azurite: str, folder: Path) -> None:
    """local copies: also of a file that is read as a whole"""
    one, two = hosts
    triple = new_triple()
    content = image(triple, 901)
    assert store(one.url, content).status == 200
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
    assert all_forms(two, triple)[0] == content
    assert lose_files(azurite, triple.study) == 1
    assert all_forms(one, triple)[0] == content


def test_deleted_and_replaced(hosts: tuple[LocalHost, LocalHost]) -> None:
    """RET-09, local copies: a version that was deleted or replaced is never served"""
    one, two = hosts
    triple = new_triple()
    assert store(one.url, image(triple, 500)).status == 200
    before = all_forms(two, triple)
    assert upsert(two.url, image(triple, 600)).status == 200
    after = all_forms(one, triple)
    assert after == all_forms(two, triple)
    assert after[0] == image(triple, 600)
    assert after[1] != before[1]
    assert httpx.delete(f"{one.url}/v2{triple.path}").status_code == 204
    assert all_forms(one, triple) == all_forms(two, triple) == [404] * 3
    again = image(triple, 700)
    assert store(two.url, again).status == 200
    assert all_forms(one, triple)[0] == again


@pytest.mark.parametrize("setting", [{"DICOM_LOCAL_COPIES_BYTES": "0"}, {"DICOM_LOCAL_COPIES_PATH": "/dev/null/no"}])
def test_off(start_host_on: StartHost, azurite: str, folder: Path, setting: dict[str, str]) -> None:
    """local copies: without them, wanted or not, everything works; a disk that refuses is logged once"""
    host = start_host_on({"AzureWebJobsStorage": azurite, "DICOM_LOCAL_COPIES_PATH": str(folder), **setting})
    triples = [Triple(new_uid(), new_uid(), new_uid()) for _ in range(3)]
    assert store(host.url, *(image(triple, 800) for triple in triples)).status == 200
    assert [all_forms(host, triple)[0] for triple in triples] == [image(triple, 800) for triple in triples]
    assert not folder.exists()
    assert lose_files(azurite, triples[0].study) == 1
    assert all_forms(host, triples[0])[0] == 500
    logged = "There are no more local copies of files"
    assert host.output().count(logged) == (1 if "DICOM_LOCAL_COPIES_PATH" in setting else 0)
