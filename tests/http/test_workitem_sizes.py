"""Workitems of any size behave alike, whatever a row of the store can hold."""

import asyncio
import json

import pytest

from shared.settings import Settings
from shared.storage import names
from shared.storage.engine import open_storage
from tests.support.made_files import new_uid
from tests.support.worklist import (
    STATE,
    Dataset,
    Worklist,
    code,
    complete,
    performed,
    reference,
    request,
    short,
    study_of,
    text,
    uids,
)

pytestmark = pytest.mark.integration

MEBIBYTE = 1024 * 1024


@pytest.fixture
def worklist(base_url: str) -> Worklist:
    return Worklist(f"{base_url}/v2")


@pytest.mark.parametrize("bytes_", [20_000, 200_000, 4 * MEBIBYTE])
def test_ups_94_every_transaction(worklist: Worklist, bytes_: int) -> None:
    """UPS-94: create, retrieve, update, claim, complete, cancel and search."""
    patient = new_uid()
    sent = complete(patient) | {"00404021": study_of(bytes_), "00404025": text("SQ", code("BIG"))}
    assert bytes_ * 0.9 < len(json.dumps(sent)) < bytes_ * 1.1 + 10_000
    uid, transaction = worklist.claimed(sent)
    assert worklist.dataset(uid)["00404021"] == sent["00404021"]
    (item,) = worklist.found(("PatientID", patient), ("ScheduledStationNameCodeSequence.CodeValue", "big"))
    assert item["00404021"] == sent["00404021"]
    assert item[STATE] == text("CS", "IN PROGRESS")
    update = performed() | {"00404021": study_of(bytes_ + 1000), "00404025": text("SQ", code("NEW"))}
    assert worklist.update(uid, update, transaction).status_code == 200
    assert worklist.dataset(uid)["00404021"] == update["00404021"]
    (item,) = worklist.found(("PatientID", patient), ("ScheduledStationNameCodeSequence.CodeValue", "new"))
    assert item["00404021"] == update["00404021"]
    assert worklist.found(("PatientID", patient), ("ScheduledStationNameCodeSequence.CodeValue", "big")) == []
    assert worklist.update(uid, {"00404021": text("SQ", reference())}, transaction).status_code == 200
    assert worklist.dataset(uid)["00404021"] == text("SQ", reference())
    assert worklist.change(uid, "COMPLETED", transaction).status_code == 200
    canceled = worklist.new(sent)
    assert worklist.cancel(canceled, {"00741238": text("LT", "why")}).status_code == 202
    assert worklist.state(canceled) == "CANCELED"
    assert worklist.create(sent, canceled).status_code == 409
    assert uids(worklist.found(("PatientID", patient))) == [canceled, uid]


def test_ups_94_many_values_to_search(worklist: Worklist) -> None:
    """UPS-94, UPS-63: thousands of items in a sequence that is searched, and a value longer than a property."""
    patient = new_uid()
    several: Dataset = {"0040A370": text("SQ", *(request(f"ACC{number}") for number in range(3000)))}
    uid = worklist.new(short(patient) | several)
    accession = "ReferencedRequestSequence.AccessionNumber"
    assert uids(worklist.found(("PatientID", patient), (accession, "acc2999"))) == [uid]
    assert worklist.found(("PatientID", patient), (accession, "acc3000")) == []
    long = "L" * 3000
    uid = worklist.new(short(patient) | {"0020000D": text("UI", long + "1"), "00404026": text("SQ", code(long))})
    assert uids(worklist.found(("PatientID", patient), ("StudyInstanceUID", long + "1"))) == [uid]
    assert worklist.found(("PatientID", patient), ("StudyInstanceUID", long)) == []
    huge = {"00100020": text("LO", patient), "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"A^{'b' * MEBIBYTE}"}]}}
    uid = worklist.new(huge)
    assert uids(worklist.found(("PatientID", patient), ("PatientName", "a bbb"), query="fuzzymatching=true")) == [uid]


def test_ups_68_a_page_of_large_ones(worklist: Worklist) -> None:
    """UPS-68, UPS-94: an answer that does not fit in memory's share of it."""
    patient = new_uid()
    inputs = study_of(MEBIBYTE)
    created = [worklist.new(short(patient) | {"00404021": inputs}) for _ in range(10)]
    response = worklist.search(f"PatientID={patient}")
    assert len(response.content) == int(response.headers["content-length"]) > 9 * MEBIBYTE
    assert uids(response.json()) == created[::-1]
    assert all(item["00404021"] == inputs for item in response.json())


def test_ups_68_what_cannot_be_read(worklist: Worklist, store_settings: dict[str, str]) -> None:
    """UPS-68: the rest comes with 206; a retrieve of what was lost fails and says nothing of how."""
    patient = new_uid()
    kept, lost = worklist.new(short(patient)), worklist.new(short(patient) | {"00404021": study_of(MEBIBYTE)})

    async def lose() -> None:
        storage = open_storage(Settings.model_validate(store_settings))
        try:
            blobs = [item.name async for item in storage.list_blobs(names.OVERFLOW, "workitems/") if lost in item.name]
            assert len(blobs) == 1
            assert await storage.delete_blob(names.OVERFLOW, blobs[0])
        finally:
            await storage.close()

    asyncio.run(lose())
    response = worklist.search(f"PatientID={patient}")
    assert response.status_code == 206
    assert uids(response.json()) == [kept]
    response = worklist.search(f"PatientID={patient}&limit=1")
    assert (response.status_code, response.json()) == (206, [])
    response = worklist.retrieve(lost)
    assert response.status_code == 500
    assert "blob" not in response.text.lower()


def test_ups_94_too_much(worklist: Worklist) -> None:
    """A body that is too large to hold is refused, and nothing done."""
    uid = new_uid()
    response = worklist.create(b'{"00100020":{"vr":"LO","Value":["' + b"x" * 65 * MEBIBYTE + b'"]}}', uid)
    assert response.status_code == 413
    assert worklist.retrieve(uid).status_code == 404
