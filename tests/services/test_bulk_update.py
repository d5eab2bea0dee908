"""The steps of a bulk update on a real storage: results, failures, others who write meanwhile, steps at once."""

import asyncio
import io
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import orjson
import pytest
from pydicom import dcmread

from shared.clock import HOUR, SECOND
from shared.composition import Services, open_services
from shared.dicomweb.bulk_update_request import BulkUpdate
from shared.services import maintenance, new_versions, operation_progress, update_progress
from shared.services.bulk_update import UpdateRunning, fail_update, run_update_step, start_update
from shared.services.operation_steps import carry_out, give_up
from shared.services.operations import get_operation
from shared.services.update_progress import UPDATE
from shared.settings import Settings
from shared.storage import names, update_batches
from shared.storage.operations import Operation, Operations, OperationStatus
from shared.storage.records import DEFAULT_PARTITION, Action, InstanceKey
from tests.support.azurites import NewAccount
from tests.support.invariants import check_store, whole_feed
from tests.support.made_files import made_file
from tests.support.stepping import TestClock
from tests.support.updating import of_file

pytestmark = pytest.mark.integration

NAME = {0x00100010: "New^Name", 0x00081030: "New description"}


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=["azurite", "embedded"])
async def services(
    request: pytest.FixtureRequest, tmp_path: Path, new_azure_account: NewAccount, clock: TestClock
) -> AsyncIterator[Services]:
    """A store of its own: one update at a time is active."""
    if request.param == "embedded":
        settings = Settings(store="embedded", store_path=str(tmp_path / "store"))
    else:
        settings = Settings(storage_connection=new_azure_account(), local_copies_bytes=0)
    opened = await open_services(settings, clock)
    yield opened
    await opened.close()


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step does one thing, and a batch holds two instances."""
    monkeypatch.setattr(operation_progress, "STEP_SECONDS", -1)
    monkeypatch.setattr(update_batches, "BATCH", 2)


def key(study: str, instance: int | str) -> InstanceKey:
    return InstanceKey(DEFAULT_PARTITION, study, f"{study}.1", f"{study}.1.{instance}")


async def store(services: Services, study: str, *instances: int, content: bytes = b"", name: str = "Old^Name") -> None:
    """Stores instances of a study; `content` in place of a file that can be read."""
    began = services.clock()
    known = await services.tags.known()
    new = []
    for number in instances:
        each = key(study, number)
        file = made_file(each.study, each.series, each.instance, PatientName=name, InstanceNumber=number)
        made = await of_file(services, each, file, known)
        if content:
            await services.files.discard(made.file)
            await services.storage.put_blob(names.DICOM, made.file, content)
        new.append(made)
    await services.committer.store(new, replace=True, expires=None, began=began)


async def start(services: Services, *studies: str, changes: dict[int, str] | None = None) -> str:
    return await start_update(services, DEFAULT_PARTITION, BulkUpdate(list(studies), changes or NAME))


async def finish(services: Services, operation: str) -> dict[str, object]:
    """Runs the steps; the results."""
    for _ in range(200):
        state = await get_operation(services, operation)
        if state.operation.status.finished:
            assert state.results is not None
            return dict(state.results)
        await run_update_step(services, operation)
    raise AssertionError("it does not end")


async def contents(services: Services, study: str) -> dict[str, str]:
    """Patient names in the files of a study, by the ends of the UIDs."""
    found = {}
    for record in await services.index.instances(DEFAULT_PARTITION, study, metadata=True):
        dataset = dcmread(io.BytesIO(await services.files.read_whole(record.file, record.size)))
        metadata = orjson.loads(await services.index.metadata(record))
        assert metadata["00100010"]["Value"] == [{"Alphabetic": str(dataset.PatientName)}]
        assert len(await services.files.read_whole(record.file, 1 << 20)) == record.size
        found[record.key.instance.rpartition(".")[2]] = str(dataset.PatientName)
    return found


async def updates(services: Services) -> list[str]:
    """The instances of the entries `Update`, in order of the feed."""
    return [entry.key.instance for entry in await whole_feed(services) if entry.action is Action.UPDATE]


async def files(services: Services) -> set[str]:
    return {item.name async for item in services.storage.list_blobs(names.DICOM)}


async def settled(services: Services) -> None:
    """Waits until rows have fallen quiet, and looks whether all is right."""
    for study in {entry.key.study for entry in await whole_feed(services)}:
        await services.committer.repair(DEFAULT_PARTITION, study)
    await check_store(services, services.storage)


async def phase(services: Services, operation: str) -> object:
    found = await Operations(services.storage).get(operation)
    assert found is not None
    return found.state["phase"]


async def test_plt_71_what_is_counted(services: Services, short_steps: None) -> None:
    """PLT-71, PLT-72, PLT-73, PLT-79, PLT-81: listed, updated, unknown and doubled studies; others are untouched"""
    await store(services, "1.1", 1, 2, 3, 4, 5)
    await store(services, "1.2", 1)
    await store(services, "1.3", 1)
    operation = await start(services, "1.1", "1.99", "1.2", "1.1")
    percents = []
    while not (state := await get_operation(services, operation)).operation.status.finished:
        assert state.results is None
        await run_update_step(services, operation)
        percents.append((await get_operation(services, operation)).operation.percent)
    assert percents == sorted(percents)
    assert {25, 50, 75, 100} <= set(percents)
    assert await finish(services, operation) == {
        "studyProcessed": 4, "studyUpdated": 2, "studyFailed": 0, "instanceUpdated": 6,
    }  # fmt: skip
    assert state.operation.status is OperationStatus.SUCCEEDED
    assert sorted(await updates(services)) == [f"1.1.1.{number}" for number in range(1, 6)] + ["1.2.1.1"]
    assert set((await contents(services, "1.1") | await contents(services, "1.2")).values()) == {"New^Name"}
    assert await contents(services, "1.3") == {"1": "Old^Name"}
    rows = services.storage.query(names.OPERATIONS, operation)
    assert [entity.row async for entity in rows] == ["operation"], "no batches are left"
    await settled(services)


async def test_plt_66_nothing_to_change(services: Services) -> None:
    """PLT-66: every instance has a new version all the same"""
    await store(services, "1.1", 1, 2)
    assert (await finish(services, await start(services, "1.1", changes={})))["instanceUpdated"] == 2
    assert len(await updates(services)) == 2


@pytest.mark.parametrize(("broken", "lines"), [((2,), 2), ((1, 2, 3, 4, 5), 6), (range(1, 9), 7)])
async def test_plt_72_a_study_is_all_or_nothing(
    services: Services, short_steps: None, broken: Collection[int], lines: int
) -> None:
    """PLT-72: with its texts; what was uploaded is gone, the other studies are updated"""
    await store(services, "1.1", *[number for number in range(1, 10) if number not in broken])
    await store(services, "1.1", *broken, content=b"no DICOM " * 40)
    await store(services, "1.2", 1)
    before = await files(services)
    operation = await start(services, "1.1", "1.2")
    results = await finish(services, operation)
    errors = results.pop("errors")
    assert results == {"studyProcessed": 2, "studyUpdated": 1, "studyFailed": 1, "instanceUpdated": 1}
    assert (await get_operation(services, operation)).operation.status is OperationStatus.FAILED
    assert isinstance(errors, list)
    assert len(errors) == lines
    assert errors[0] == "Failed to update instances for study 1.1"
    assert errors[1].startswith(
        "Failed to update instance. PartitionKey: Microsoft.Default, StudyInstanceUID: 1.1, SeriesInstanceUID: 1.1.1, "
        f"SOPInstanceUID: 1.1.1.{min(broken)}"
    )
    if lines == 7:
        assert errors[6] == "More than 5 instances of study 1.1 failed to update."
    assert await updates(services) == ["1.2.1.1"]
    assert len(await files(services) - before) == 1, "the new version of the other study alone"
    await settled(services)


async def test_plt_72_a_file_that_is_missing(services: Services) -> None:
    """PLT-72: fails its study"""
    await store(services, "1.1", 1, 2)
    (record, *_) = await services.index.instances(DEFAULT_PARTITION, "1.1")
    await services.files.discard(record.file)
    results = await finish(services, await start(services, "1.1"))
    assert (results["studyFailed"], results["instanceUpdated"]) == (1, 0)
    assert await updates(services) == []


async def test_plt_73_others_write_meanwhile(services: Services, short_steps: None) -> None:
    """PLT-73, PLT-74: what was replaced is made anew, what is gone is left out, what is new is no part of it"""
    await store(services, "1.1", 1, 2, 3, 4, 5, 6)
    operation = await start(services, "1.1")
    while await phase(services, operation) != "commit":
        await run_update_step(services, operation)
    made = await files(services)
    await store(services, "1.1", 2, 7, name="Between^Times")
    await services.committer.delete(DEFAULT_PARTITION, "1.1", "1.1.1", "1.1.1.3")
    assert await finish(services, operation) == {
        "studyProcessed": 1, "studyUpdated": 1, "studyFailed": 0, "instanceUpdated": 5,
    }  # fmt: skip
    names_ = await contents(services, "1.1")
    assert names_ == dict.fromkeys("12456", "New^Name") | {"7": "Between^Times"}
    assert sorted(await updates(services)) == [f"1.1.1.{number}" for number in (1, 2, 2, 4, 5, 6)]
    rows = {record.file for record in await services.index.instances(DEFAULT_PARTITION, "1.1")}
    assert rows <= await files(services)
    new = [name for name in made if name.rpartition("/")[0].endswith((".2", ".3")) and name in await files(services)]
    assert len(new) == 2, "of those two only what was stored first is left, until the grace is over"
    await settled(services)


async def test_plt_73_a_study_that_is_deleted_meanwhile(services: Services, short_steps: None) -> None:
    """PLT-71: it is processed, no more"""
    await store(services, "1.1", 1, 2, 3)
    operation = await start(services, "1.1")
    while await phase(services, operation) != "commit":
        await run_update_step(services, operation)
    await services.committer.delete(DEFAULT_PARTITION, "1.1")
    assert await finish(services, operation) == {
        "studyProcessed": 1, "studyUpdated": 0, "studyFailed": 0, "instanceUpdated": 0,
    }  # fmt: skip
    assert await services.index.instances(DEFAULT_PARTITION, "1.1") == []
    await settled(services)


async def test_plt_73_files_that_wait_for_too_long(services: Services, short_steps: None, clock: TestClock) -> None:
    """PLT-73: what may not be committed any more, since a sweep may take it, is made anew"""
    await store(services, "1.1", 1, 2, 3)
    operation = await start(services, "1.1")
    while await phase(services, operation) != "commit":
        await run_update_step(services, operation)
    clock.ahead = 2 * HOUR
    assert (await finish(services, operation))["instanceUpdated"] == 3
    assert set((await contents(services, "1.1")).values()) == {"New^Name"}
    assert len(await updates(services)) == 3
    assert len(await files(services)) == 6


async def test_plt_73_steps_at_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-73: two steps at a time all along: nothing is done twice"""
    monkeypatch.setattr(operation_progress, "STEP_SECONDS", 0)
    monkeypatch.setattr(update_batches, "BATCH", 3)
    for study in ("1.1", "1.2"):
        await store(services, study, *range(8))
    operation = await start(services, "1.1", "1.2")
    for _ in range(60):
        await asyncio.gather(*(run_update_step(services, operation) for _ in range(2)))
        if (await get_operation(services, operation)).operation.status.finished:
            break
    assert (await finish(services, operation))["instanceUpdated"] == 16
    assert len(await updates(services)) == len(set(await updates(services))) == 16
    await settled(services)


async def test_plt_77_a_second_update(services: Services) -> None:
    """PLT-73, PLT-77: an instance that another update has made is updated like any other"""
    await store(services, "1.1", 1, 2)
    await finish(services, await start(services, "1.1"))
    await finish(services, await start(services, "1.1", changes={0x00100010: "Newer"}))
    assert await contents(services, "1.1") == {"1": "Newer", "2": "Newer"}
    assert len(await updates(services)) == 4
    await settled(services)


async def test_plt_69_one_at_a_time(services: Services) -> None:
    """PLT-69: of several that start at once one does; the next one when it has ended"""
    answers = await asyncio.gather(*(start(services, "1.1") for _ in range(8)), return_exceptions=True)
    (operation,) = [answer for answer in answers if isinstance(answer, str)]
    refused = [str(answer) for answer in answers if isinstance(answer, UpdateRunning)]
    assert refused == [f"There is already an active update operation with ID '{operation}'."] * 7
    rows = [entity.partition async for entity in services.storage.query(names.OPERATIONS)]
    assert sorted(rows) == sorted(["active", operation]), "those that were refused have left nothing"
    await finish(services, operation)
    assert await start(services, "1.1") != operation


async def test_plt_69_a_process_that_died_between_its_writes(services: Services) -> None:
    """PLT-69: an operation that was written down and never became the active one stands in nobody's way; one that did,
    and whose message was never sent, is sent on by whoever asks next"""
    now = services.clock()
    await Operations(services.storage).create(Operation("0" * 32, UPDATE, now, now))
    state = {"partition": DEFAULT_PARTITION, "studies": ["1.1"], "changes": {}}
    long_ago = services.clock() - 60 * SECOND
    stuck = Operation("1" * 32, UPDATE, long_ago, long_ago, state=state)
    assert (await Operations(services.storage).create_alone(stuck)).id == stuck.id
    with pytest.raises(UpdateRunning, match=stuck.id):
        await start(services, "1.1")
    (message,) = await services.storage.receive_messages(names.OPERATIONS_QUEUE, 5, 1)
    await carry_out(services, message.text)
    assert (await get_operation(services, stuck.id)).operation.status is OperationStatus.SUCCEEDED
    await start(services, "1.1")


async def test_plt_73_what_is_left_lying_is_taken_up(services: Services, clock: TestClock) -> None:
    """PLT-73: by the timer"""
    await store(services, "1.1", 1)
    operation = await start(services, "1.1")
    for message in await services.storage.receive_messages(names.OPERATIONS_QUEUE, 5, 60):
        await services.storage.delete_message(names.OPERATIONS_QUEUE, message)
    await maintenance.run(services)
    assert await services.storage.receive_messages(names.OPERATIONS_QUEUE, 5, 1) == []
    clock.ahead = 10 * SECOND
    await maintenance.run(services)
    (message,) = await services.storage.receive_messages(names.OPERATIONS_QUEUE, 5, 60)
    await carry_out(services, message.text)
    assert (await finish(services, operation))["instanceUpdated"] == 1


async def test_signs_of_life(services: Services, monkeypatch: pytest.MonkeyPatch, clock: TestClock) -> None:
    """PLT-73: a step that takes long is not taken for dead; one that was replaced does not go on"""
    await store(services, "1.1", 1)
    monkeypatch.setattr(update_progress, "SIGN_OF_LIFE_SECONDS", 0.05)
    operation = await start(services, "1.1")
    going_on = asyncio.Event()
    make = new_versions.NewVersions.make

    async def slow(self: new_versions.NewVersions, *arguments: object, **more: object) -> object:
        await going_on.wait()
        return await make(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(new_versions.NewVersions, "make", slow)
    step = asyncio.create_task(run_update_step(services, operation))
    seen: set[int] = set()
    while len(seen) < 4:
        seen.add((await get_operation(services, operation)).operation.updated)
        await asyncio.sleep(0.02)
    monkeypatch.setattr(new_versions.NewVersions, "make", make)
    await run_update_step(services, operation)
    await step
    assert (await finish(services, operation))["instanceUpdated"] == 1
    assert len(await updates(services)) == 1


async def test_plt_73_batches_of_large_files(
    services: Services, short_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLT-73, PLT-74: fewer in a batch, so that no step takes too long; new values are not kept behind the end"""
    monkeypatch.setattr(update_batches, "BATCH_BYTES", 1)
    await store(services, "1.1", 1, 2, 3)
    operation = await start(services, "1.1")
    await run_update_step(services, operation)
    found = await Operations(services.storage).get(operation)
    assert found is not None
    assert (found.state["batches"], found.state["changes"]) == (
        3,
        {"00100010": "New^Name", "00081030": NAME[0x00081030]},
    )
    assert (await finish(services, operation))["instanceUpdated"] == 3
    rows = [str(entity.values) async for entity in services.storage.query(names.OPERATIONS)]
    assert not [row for row in rows if "New" in row]


async def test_large_changes(services: Services) -> None:
    """PLT-67, PLT-72: a state that is longer than a property of a row"""
    await store(services, "1.1", 1)
    changes = {0x00104000: "\U0001f600" * 10_240, 0x00101000: "\\".join(["ü" * 63] * 500)}
    await finish(services, await start(services, "1.1", changes=changes))
    (record,) = await services.index.instances(DEFAULT_PARTITION, "1.1")
    dataset = dcmread(io.BytesIO(await services.files.read_whole(record.file, record.size)))
    assert dataset.PatientComments == changes[0x00104000]
    assert len(dataset.OtherPatientIDs) == 500


async def test_plt_72_given_up(services: Services) -> None:
    """PLT-70, PLT-72: an operation that cannot be carried out ends, and says so; the next one may start"""
    operation = await start(services, "1.1")
    await give_up(services, orjson.dumps({"operation": operation, "type": UPDATE}).decode())
    results = await finish(services, operation)
    assert results["errors"] == ["The operation failed repeatedly and was given up."]
    await fail_update(services, operation, "again")
    assert await finish(services, operation) == results
    await run_update_step(services, operation)
    assert await start(services, "1.1") != operation
