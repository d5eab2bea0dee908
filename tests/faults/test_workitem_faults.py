"""Changes of workitems whose storage requests are lost, answered too late or overtaken; and what they leave behind."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from shared.clock import HOUR
from shared.dicom.workitem_attributes import StepState
from shared.dicomweb.query_string import query_pairs
from shared.dicomweb.workitem_search_parameters import workitem_search
from shared.errors import Conflict, InvalidRequest, Unavailable
from shared.services import maintenance, workitems
from shared.services import workitem_search as searches
from shared.services.workitems import StateRequest
from shared.storage import names
from shared.storage.primitives import Storage
from shared.storage.workitem_garbage import WorkitemGarbage
from tests.faults.conftest import NewProcess
from tests.support.stepping import Process
from tests.support.worklist import Dataset, short, study_of, text

pytestmark = pytest.mark.integration

PARTITION = "Microsoft.Default"
UID = "1.2.3"
LARGE: Dataset = {"00404021": study_of(1_000_000)}
DAY = 24 * HOUR


async def create(process: Process, dataset: Dataset | None = None, uid: str = UID) -> str | None:
    return await workitems.create_workitem(process.services, PARTITION, uid, dataset or short(), 1000)


async def claim(process: Process, transaction: str, uid: str = UID) -> str | None:
    wanted = StateRequest(StepState.IN_PROGRESS, transaction)
    return await workitems.change_workitem_state(process.services, PARTITION, uid, wanted)


async def complete(process: Process, transaction: str) -> str | None:
    wanted = StateRequest(StepState.COMPLETED, transaction)
    return await workitems.change_workitem_state(process.services, PARTITION, UID, wanted)


async def update(process: Process, dataset: Dataset, transaction: str | None = None) -> None:
    await workitems.update_workitem(process.services, PARTITION, UID, transaction, dataset, 1000)


async def read(process: Process, uid: str = UID) -> Dataset:
    found: Dataset = orjson.loads(await workitems.retrieve_workitem(process.services, PARTITION, uid))
    return found


async def blobs(storage: Storage) -> list[str]:
    return [item.name async for item in storage.list_blobs(names.OVERFLOW)]


# ---------------------------------------------------------------- answers that are lost


@pytest.mark.parametrize("arrived", [True, False])
async def test_ups_10_a_claim_without_an_answer(process: NewProcess, arrived: bool) -> None:
    """UPS-10: it is told from a claim by somebody else, whether it arrived or not."""
    one, other = process("one"), process("other")
    await create(one)
    task = one.begin(claim(one, "1.1"))
    step = await one.reach("merge workitems")
    if arrived:
        await step.lose_answer()
    else:
        step.lose_request()
    assert await one.finish(task) is None
    with pytest.raises(InvalidRequest, match="C301"):
        await claim(other, "2.2")
    assert await complete(other, "1.1") is None


async def test_ups_10_a_claim_that_arrives_late(process: NewProcess) -> None:
    """UPS-10: a request that was under way while somebody else claimed the workitem changes nothing any more."""
    one, other = process("one"), process("other")
    await create(one)
    task = one.begin(claim(one, "1.1"))
    step = await one.reach("merge workitems")
    await claim(other, "2.2")
    step.lose_request()
    with pytest.raises(InvalidRequest, match="C301"):
        await one.finish(task)
    await asyncio.gather(step.run(), return_exceptions=True)
    with pytest.raises(InvalidRequest, match="C301"):
        await complete(one, "1.1")
    assert await complete(other, "2.2") is None


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("arrived", [True, False])
async def test_ups_16_a_create_without_an_answer(
    process: NewProcess, storage: Storage, arrived: bool, large: bool
) -> None:
    """UPS-16: a create does not fail on itself."""
    one, other = process("one"), process("other")
    dataset = short() | (LARGE if large else {})
    task = one.begin(create(one, dataset))
    step = await one.reach("insert workitems")
    if arrived:
        await step.lose_answer()
    else:
        step.lose_request()
    assert await one.finish(task) is not None
    with pytest.raises(Conflict):
        await create(other, dataset)
    assert {tag: (await read(other))[tag] for tag in dataset} == dataset
    assert len(await blobs(storage)) == large, "that of the refused one is gone"


async def test_ups_36_an_update_without_an_answer(process: NewProcess, storage: Storage) -> None:
    """UPS-36: it is applied, whatever became of its first attempt."""
    one = process("one")
    await create(one)
    for arrived, tag in ((True, "00091001"), (False, "00091002")):
        task = one.begin(update(one, {**LARGE, tag: text("LO", "x")}))
        step = await one.reach("replace workitems")
        if arrived:
            await step.lose_answer()
        else:
            step.lose_request()
        await one.finish(task)
        assert (await read(one))[tag] == text("LO", "x")
        assert (await read(one))["00404021"] == LARGE["00404021"]


async def test_ups_32_an_update_that_was_overtaken(process: NewProcess, storage: Storage) -> None:
    """UPS-32, UPS-36: it is applied to what it finds then; the blob of the refused attempt goes."""
    one, other = process("one"), process("other")
    await create(one)
    task = one.begin(update(one, {**LARGE, "00091001": text("LO", "one")}))
    await one.reach("replace workitems")
    await update(other, {"00091002": text("LO", "other")})
    await one.finish(task)
    found = await read(other)
    assert (found["00091001"], found["00091002"]) == (text("LO", "one"), text("LO", "other"))
    assert len(await blobs(storage)) == 1


async def test_ups_33_an_update_that_was_overtaken_by_a_claim(process: NewProcess) -> None:
    """UPS-33, UPS-36"""
    one, other = process("one"), process("other")
    await create(one)
    task = one.begin(update(one, {"00091001": text("LO", "one")}))
    await one.reach("replace workitems")
    await claim(other, "2.2")
    with pytest.raises(InvalidRequest, match="did not reference a claimed Workitem"):
        await one.finish(task)
    assert "00091001" not in await read(other)


Overtaken = Callable[[Process], Awaitable[object]]


async def test_ups_36_overtaken_again_and_again(process: NewProcess) -> None:
    """UPS-10, UPS-36: it ends with a conflict."""
    one, other = process("one"), process("other")
    await create(one)
    task = one.begin(update(one, {"00091001": text("LO", "one")}))
    count = 0
    while not task.done():
        await one._arrive()
        if any("replace workitems" in step.what for step in one.gate.steps):
            await update(other, {"00091002": text("LO", f"other {count}")})
            count += 1
        for step in list(one.gate.steps):
            await step.let_pass()
        await asyncio.sleep(0)
    with pytest.raises(Conflict, match="inconsistent with the current state of the Workitem"):
        task.result()
    assert "00091001" not in await read(other)
    assert count > 10


# ---------------------------------------------------------------- blobs


async def test_ups_94_readers_of_a_replaced_data_set(process: NewProcess, storage: Storage) -> None:
    """UPS-94: who read the row before the change still finds its data set, or the new one."""
    one, other = process("one"), process("other")
    await create(one, short() | LARGE)
    task = one.begin(read(one))
    await one.reach("get overflow")
    await update(other, {"00091001": text("LO", "new")})
    assert "00091001" not in await one.finish(task)
    task = one.begin(read(one))
    step = await one.reach("get overflow")
    await update(other, {"00091002": text("LO", "newer")})
    for name in await blobs(storage):
        if name != (await blobs(storage))[-1]:
            await storage.delete_blob(names.OVERFLOW, name)
    assert step in one.gate.steps
    assert (await one.finish(task))["00091002"] == text("LO", "newer")


async def test_ups_94_the_sweep(process: NewProcess, storage: Storage) -> None:
    """UPS-94: what no row names goes after two sweeps a day apart; what rows name stays; both in their own time."""
    one, killed = process("one"), process("killed")
    garbage = WorkitemGarbage(storage, one.clock)
    await create(one, short() | LARGE)
    (first,) = await blobs(storage)
    await update(one, {"00091001": text("LO", "new")})
    killed.begin(create(killed, short() | LARGE, "1.2.4"))
    await killed.reach("insert workitems")
    killed.kill()
    await create(one, short(), "1.2.5")
    assert len(await blobs(storage)) == 3
    assert await garbage.sweep() == 0
    one.clock.ahead += DAY + HOUR
    assert await garbage.sweep() == 0, "the first sweep that finds them only takes note"
    one.clock.ahead += DAY - HOUR
    assert await garbage.sweep() == 0
    one.clock.ahead += 2 * HOUR
    assert await garbage.sweep() == 2
    (left,) = await blobs(storage)
    assert left != first
    assert (await read(one))["00091001"] == text("LO", "new")
    assert await garbage.sweep() == 0
    rows = [row async for row in storage.query(names.HOUSEKEEPING, "candidates|workitems")]
    assert rows == [], "nothing is remembered of what is gone"


async def test_ups_94_the_timer_sweeps(process: NewProcess, storage: Storage) -> None:
    """UPS-94"""
    one = process("one")
    await create(one, short() | LARGE)
    await update(one, {"00091001": text("LO", "new")})
    for _ in range(2):
        one.clock.ahead += 2 * DAY
        assert len(await blobs(storage)) == 2
        await maintenance.housekeeping(one.services)
    assert len(await blobs(storage)) == 1
    assert (await read(one))["00091001"] == text("LO", "new")


async def test_ups_94_a_writer_that_slept(process: NewProcess, storage: Storage) -> None:
    """UPS-94: a data set that was uploaded long ago is not made current, since a sweep may have taken note of it."""
    one = process("one")
    task = one.begin(create(one, short() | LARGE))
    await one.reach("put overflow")
    one.clock.ahead += 2 * HOUR
    with pytest.raises(Unavailable):
        await one.finish(task)
    assert [row async for row in storage.query(names.WORKITEMS)] == []


async def test_ups_94_the_sweep_of_studies_leaves_them_alone(process: NewProcess, storage: Storage) -> None:
    """UPS-94: the housekeeping of files goes over the same container."""
    one = process("one")
    await create(one, short() | LARGE)
    for _ in range(3):
        one.clock.ahead += 2 * DAY
        await one.services.garbage.sweep()
    assert (await read(one))["00404021"] == LARGE["00404021"]


# ---------------------------------------------------------------- searches


async def test_ups_68_what_ceases_to_match(process: NewProcess) -> None:
    """UPS-67, UPS-68: a workitem that changes while the page is read gives its place to the next one."""
    one, other = process("one"), process("other")
    for uid in ("1.1", "1.2", "1.3"):
        await create(one, short() | LARGE, uid)
    search = workitem_search(query_pairs(b"ProcedureStepState=SCHEDULED&limit=2"))

    async def found() -> list[str]:
        items = searches.search_workitems(one.services, PARTITION, search)
        return [orjson.loads(item or b"{}")["00080018"]["Value"][0] async for item in items]

    assert await found() == ["1.3", "1.2"]
    task = one.begin(found())
    await one.reach("get workitems")
    await claim(other, "9.9", "1.3")
    assert await one.finish(task) == ["1.2", "1.1"]


async def test_ups_67_creation_is_in_order_though_the_clock_is_not(process: NewProcess) -> None:
    """UPS-67: within a process, a clock that stands still or goes back does not matter."""
    one = process("one")
    search = workitem_search(query_pairs(b"limit=3"))
    for uid, back in (("1.1", 0), ("1.2", -HOUR), ("1.3", -2 * HOUR)):
        one.clock.ahead = back
        await create(one, short(), uid)
    items = searches.search_workitems(one.services, PARTITION, search)
    assert [orjson.loads(item or b"")["00080018"]["Value"][0] async for item in items] == ["1.3", "1.2", "1.1"]
