"""A bulk update whose process is killed: before each of its storage operations in turn, and with its whole host."""

import asyncio
import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydicom import dcmread

from shared.clock import SECOND
from shared.composition import Services, open_services
from shared.dicomweb.bulk_update_request import BulkUpdate
from shared.services.bulk_update import run_update_step, start_update
from shared.services.operations import get_operation
from shared.settings import Settings
from shared.storage import update_batches
from shared.storage.operations import OperationStatus
from shared.storage.records import DEFAULT_PARTITION, Action, InstanceKey
from tests.conftest import StartHost
from tests.faults.conftest import NewProcess
from tests.support.invariants import check_store, whole_feed
from tests.support.made_files import made_file, store
from tests.support.processes import LocalHost
from tests.support.stepping import Process
from tests.support.updating import of_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NEW = {0x00100010: "New^Name"}


async def stored(process: Process, study: str, instances: int) -> None:
    services = process.services
    began = services.clock()
    known = await services.tags.known()
    new = []
    for number in range(instances):
        key = InstanceKey(DEFAULT_PARTITION, study, f"{study}.1", f"{study}.1.{number}")
        file = made_file(key.study, key.series, key.instance, PatientName="Old^Name")
        new.append(await of_file(services, key, file, known))
    await services.committer.store(new, replace=False, expires=None, began=began)


async def names_of(services: Services, study: str) -> list[str]:
    found = []
    for record in await services.index.instances(DEFAULT_PARTITION, study):
        content = await services.files.read_whole(record.file, record.size)
        found.append(str(dcmread(io.BytesIO(content)).PatientName))
    return found


async def killed_before(process: Process, operation: str, number: int) -> bool:
    """Begins a step of the operation and kills its process before a storage operation; False if it came to its end."""
    task = process.begin(run_update_step(process.services, operation))
    for _ in range(number):
        await process._arrive()
        if not process.gate.steps:
            break
        await process.gate.steps.pop(0).let_pass()
    await process._arrive()
    ended = task.done()
    process.kill()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return not ended


@pytest.mark.one_store("on both, by the fixture `storage`")
async def test_killed_before_each_operation(process: NewProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-73: whoever goes on ends it: every instance has one new version, one entry in the feed, the new content"""
    monkeypatch.setattr(update_batches, "BATCH", 2)
    after = process("after")
    number, killed = 0, True
    while killed:
        study = f"1.{number + 1}"
        await stored(after, study, 3)
        operation = await start_update(after.services, DEFAULT_PARTITION, BulkUpdate([study], NEW))
        killed = await killed_before(process(f"killed {number}"), operation, number)
        await run_update_step(after.services, operation)
        state = await get_operation(after.services, operation)
        assert state.operation.status is OperationStatus.SUCCEEDED, number
        assert state.results is not None
        assert state.results["instanceUpdated"] == 3, number
        assert await names_of(after.services, study) == ["New^Name"] * 3, number
        entries = [entry for entry in await whole_feed(after.services) if entry.key.study == study]
        assert Counter(entry.action for entry in entries) == {Action.CREATE: 3, Action.UPDATE: 3}, number
        await after.repair(study)
        number += 1
    assert number > 25
    await check_store(after.services, after.storage)


@pytest.mark.one_store("on both, by the fixture `storage`")
async def test_killed_again_and_again(process: NewProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-73: whatever the order of deaths, and with a clock that goes on by seconds between them"""
    monkeypatch.setattr(update_batches, "BATCH", 2)
    after = process("after")
    await stored(after, "1.2", 5)
    operation = await start_update(after.services, DEFAULT_PARTITION, BulkUpdate(["1.2"], NEW))
    for number in (7, 15, 23, 11, 19, 27, 9, 31):
        dying = process(f"killed {number}")
        dying.clock.ahead = number * SECOND
        await killed_before(dying, operation, number)
    after.clock.ahead = 60 * SECOND
    await run_update_step(after.services, operation)
    assert (await get_operation(after.services, operation)).operation.status is OperationStatus.SUCCEEDED
    assert await names_of(after.services, "1.2") == ["New^Name"] * 5
    entries = Counter(entry.key.instance for entry in await whole_feed(after.services) if entry.action is Action.UPDATE)
    assert set(entries.values()) == {1}
    await after.repair()
    await check_store(after.services, after.storage)


def feed_of(host: LocalHost) -> list[dict[str, str]]:
    """All entries, without metadata."""
    entries: list[dict[str, str]] = []
    while True:
        query: dict[str, int | str] = {"limit": 200, "offset": len(entries), "includeMetadata": "false"}
        page = httpx.get(f"{host.url}/v2/changefeed", params=query, timeout=30).json()
        entries += page
        if len(page) < 200:
            return entries


def updated(host: LocalHost) -> Counter[str]:
    """How often each instance was updated."""
    return Counter(entry["sopInstanceUid"] for entry in feed_of(host) if entry["action"] == "Update")


def wait(met: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it does not go on"
        time.sleep(0.03)


def test_a_host_that_is_killed(
    empty_store: dict[str, str], start_host_on: StartHost, size: Callable[[str], int]
) -> None:
    """PLT-73: SIGKILL to the host and its workers while files are made and while they are committed; the next host
    brings the operation to its end"""
    host = start_host_on(empty_store, workers=2)
    instances = [f"1.2.3.{number}" for number in range(size("instances of one study updated"))]
    for start in range(0, len(instances), 100):
        some = instances[start : start + 100]
        files = [made_file("1.2", "1.2.3", uid, PatientName="Old^Name", PatientComments=uid) for uid in some]
        store(f"{host.url}/v2", *files)
    change = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}
    body = {"studyInstanceUids": ["1.2"], "changeDataset": change}
    path = "/v2/operations/" + httpx.post(f"{host.url}/v2/studies/$bulkUpdate", json=body).json()["id"]

    def read() -> dict[str, Any]:
        document: dict[str, Any] = httpx.get(host.url + path, timeout=30).json()
        return document

    wait(lambda: read()["status"] == "running", 30)
    host.kill()
    host = start_host_on(empty_store, workers=2)
    assert not updated(host), "the first kill came while files were made"
    wait(lambda: bool(read()) and len(updated(host)) > 0, 120)
    host.kill()
    host = start_host_on(empty_store, workers=2)
    assert 0 < len(updated(host)) < len(instances), "the second one while they were committed"
    wait(lambda: read()["status"] not in ("running", "notStarted"), 120)
    results = {"studyProcessed": 1, "studyUpdated": 1, "studyFailed": 0, "instanceUpdated": len(instances)}
    assert (read()["status"], read()["results"]) == ("succeeded", results)
    assert updated(host) == dict.fromkeys(instances, 1)
    accept = {"Accept": "application/dicom+json"}
    for headers, name in ((accept, "New^Name"), ({**accept, "msdicom-request-original": "true"}, "Old^Name")):
        metadata = httpx.get(f"{host.url}/v2/studies/1.2/metadata", headers=headers, timeout=60).json()
        assert {item["00080018"]["Value"][0] for item in metadata} == set(instances)
        for item in metadata:
            assert item["00100010"]["Value"] == [{"Alphabetic": name}]
            assert item["00104000"]["Value"] == item["00080018"]["Value"]
    host.stop()
    asyncio.run(check(empty_store))


async def check(settings: dict[str, str]) -> None:
    services = await open_services(Settings.model_validate(settings))
    try:
        await services.committer.repair(DEFAULT_PARTITION, "1.2")
        await check_store(services, services.storage)
        assert set(await names_of(services, "1.2")) == {"New^Name"}
    finally:
        await services.close()
