"""Each file that pydicom carries goes through store, search, metadata, retrieve, change feed and delete."""

import io
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.support.bundled_files import EXCEPTIONS, ROOT, UNREADABLE, bundled_files
from tests.support.stow import Triple, send

pytestmark = pytest.mark.integration

DICOM = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
JSON = {"Accept": "application/dicom+json"}
ORIGINAL = {"Accept": "application/dicom; transfer-syntax=*"}

NAMES = bundled_files()
ACCEPTED = [name for name in NAMES if not isinstance(EXCEPTIONS.get(name), str)]
REFUSED = [name for name in NAMES if isinstance(EXCEPTIONS.get(name), str)]


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{base_url}/v2", timeout=60) as client:
        yield client


def triple_of(content: bytes) -> Triple:
    """The UIDs that pydicom reads."""
    dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
    return Triple(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))


def without_preamble(content: bytes) -> bytes:
    """What is stored: the 128 bytes before `DICM` become zeros (STO-101)."""
    return bytes(128) + content[128:] if content[128:132] == b"DICM" else content


@pytest.mark.one_store("no app is asked")
def test_the_table_names_files_that_exist() -> None:
    """The table follows pydicom: rows of files that are gone would hide new ones."""
    assert set(EXCEPTIONS) <= set(NAMES)
    assert len(ACCEPTED) > 100


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(client: httpx.Client, name: str) -> None:
    """STO-41, STO-79, STO-100, STO-101, STO-102, STO-104, STO-140: through its whole life, byte for byte."""
    content = Path(ROOT / name).read_bytes()
    triple = triple_of(content)
    client.delete(f"/studies/{triple.study}")

    answer = send("POST", f"{client.base_url}studies", content, DICOM)
    warning = EXCEPTIONS.get(name)
    assert answer.status == (200 if warning is None else 202), answer.text
    assert answer.warnings == [warning]

    for path in (
        f"/studies?StudyInstanceUID={triple.study}",
        f"/studies/{triple.study}/series?SeriesInstanceUID={triple.series}",
        f"/instances?SOPInstanceUID={triple.instance}&StudyInstanceUID={triple.study}",
    ):
        assert len(client.get(path, headers=JSON).json()) == 1

    (metadata,) = client.get(f"{triple.path}/metadata", headers=JSON).json()
    assert metadata["00080018"]["Value"] == [triple.instance]
    assert "7FE00010" not in metadata

    retrieved = client.get(triple.path, headers=ORIGINAL)
    assert retrieved.status_code == 200
    assert retrieved.content == without_preamble(content)
    header = Message()
    header["Content-Type"] = retrieved.headers["content-type"]
    assert header.get_content_type() == "application/dicom"

    entry = client.get("/changefeed/latest").json()
    assert (entry["sopInstanceUid"], entry["action"], entry["state"]) == (triple.instance, "Create", "Current")
    assert entry["metadata"] == metadata

    assert client.delete(triple.path).status_code == 204
    assert client.get(triple.path, headers=ORIGINAL).status_code == 404
    entry = client.get("/changefeed/latest").json()
    assert (entry["sopInstanceUid"], entry["action"], entry["state"]) == (triple.instance, "Delete", "Deleted")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client: httpx.Client, name: str) -> None:
    """STO-29, STO-43, STO-60: with the right reason, and no entry in the feed."""
    before = client.get("/changefeed/latest?includeMetadata=false")
    answer = send("POST", f"{client.base_url}studies", Path(ROOT / name).read_bytes(), DICOM)
    assert (answer.status, answer.reasons, answer.stored) == (409, [43264], [])
    (item,) = answer.failed
    if EXCEPTIONS[name] == UNREADABLE:
        assert list(item) == ["00081197"]
    else:
        assert answer.comments([item])[0][0] == EXCEPTIONS[name]
    assert client.get("/changefeed/latest?includeMetadata=false").content == before.content
