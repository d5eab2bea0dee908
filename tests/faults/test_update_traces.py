"""Bulk updates driven step by step against all else that changes a study, as `test_traces.py` does it.

The rules are the protocol's.
"""

import pytest

from shared.clock import HOUR
from shared.errors import NotFound
from shared.services import change_feed as change_feed_service
from shared.storage.garbage import Ages, GarbageCollector
from shared.storage.primitives import BlobMissing, Storage
from shared.storage.records import DEFAULT_PARTITION, Action, InstanceKey, InstanceRecord, Outcome, State, UpdateOutcome
from tests.faults.conftest import ENGINES, WITH_VALUE_ROWS, NewProcess
from tests.support.invariants import check_store, whole_feed
from tests.support.stepping import Process

pytestmark = pytest.mark.integration

about_search = pytest.mark.parametrize("storage", [*ENGINES, WITH_VALUE_ROWS], indirect=True)


async def _settled(process: Process, storage: Storage) -> list[Action]:
    """Repairs the study as the timer would and checks the whole store; what the feed tells."""
    await process.repair("1.2")
    return [entry.action for entry in await check_store(process.services, storage)]


async def _latest(process: Process, instance: str = "1") -> InstanceRecord | None:
    return await process.services.index.instance(InstanceKey(DEFAULT_PARTITION, "1.2", "1.2.3", instance))


async def _contents(process: Process, instance: str = "1") -> tuple[str, str]:
    """The file of the latest version and of the original."""
    latest = await _latest(process, instance)
    assert latest is not None
    original = await process.services.index.original(latest)
    assert original is not None
    read = process.services.files.read
    return (await read(latest.file)).decode().strip(), (await read(original.file)).decode().strip()


async def _patients(process: Process) -> list[str]:
    shown = [each async for each in process.services.projections.studies(DEFAULT_PARTITION)]
    return [each.attributes["00100010"]["Value"][0]["Alphabetic"] for each in shown]


async def _follow(process: Process, hours: int = 25) -> int:
    services = process.services
    process.clock.ahead += hours * HOUR
    collector = GarbageCollector(services.storage, services.files, services.change_feed, process.clock, Ages())
    return await collector.follow_feed()


@about_search
async def test_first_and_second_update(process: NewProcess, storage: Storage) -> None:
    """The original stays, the version in between is garbage, search follows (PLT-77, PLT-78, PLT-79)."""
    a, u = process("A"), process("U")
    await a.store("1", name="Old")
    before = await u.services.index.study(DEFAULT_PARTITION, "1.2")
    assert await u.update(name="New") == [UpdateOutcome.UPDATED]
    assert await _patients(a) == ["New"]
    between = await _latest(a)
    assert between is not None
    assert between.operation == "U"
    assert await u.update(name="Newer", operation="V") == [UpdateOutcome.UPDATED]
    assert await _contents(a) == ("U 1 Newer", "A 1 Old")
    assert await _patients(a) == ["Newer"]
    after = await u.services.index.study(DEFAULT_PARTITION, "1.2")
    assert before is not None
    assert after is not None
    assert (after.created, after.expiry, after.newest) == (before.created, before.expiry, before.newest)
    assert await _settled(a, storage) == [Action.CREATE, Action.UPDATE, Action.UPDATE]
    states = [each.state for each in await change_feed_service.after(a.services, 0, 10, with_metadata=False)]
    assert states == [State.REPLACED, State.REPLACED, State.CURRENT]
    assert await _follow(a) == 1
    with pytest.raises(BlobMissing):
        await a.services.files.read(between.file)
    assert await _contents(a) == ("U 1 Newer", "A 1 Old")


@pytest.mark.parametrize("end", ["put", "delete", "delete study"])
async def test_end_of_an_updated_instance(end: str, process: NewProcess, storage: Storage) -> None:
    """PUT over it and DELETE remove the original, too, and both files are garbage (PLT-80)."""
    a, u = process("A"), process("U")
    await a.store("1")
    await u.update()
    latest = await _latest(a)
    assert latest is not None
    original = await a.services.index.original(latest)
    assert original is not None
    if end == "put":
        assert await a.store("1", name="put", replace=True) is Outcome.REPLACED
        assert await _contents(a) == ("A 1 put", "A 1 put")
    else:
        await a.delete("1" if end == "delete" else None)
        assert await _latest(a) is None
    await _settled(a, storage)
    assert await _follow(a) == 2
    for gone in (latest, original):
        with pytest.raises(BlobMissing):
            await a.services.files.read(gone.file)


@pytest.mark.parametrize("lost", ["answer", "request"])
@pytest.mark.parametrize("what", ["transact index", "transact changefeed", "transact studies"])
async def test_lost_answers(what: str, lost: str, process: NewProcess, storage: Storage) -> None:
    """Whatever gets no answer, the update takes place once (rules 11d, 17 and 19)."""
    a, u = process("A"), process("U")
    await a.store("1", name="Old")
    task = u.begin(u.update(name="New"))
    step = await u.reach(what)
    if lost == "answer":
        await step.lose_answer()
    else:
        step.lose_request()
    assert await u.finish(task) == [UpdateOutcome.UPDATED]
    assert await _settled(process("R"), storage) == [Action.CREATE, Action.UPDATE]
    assert await _contents(a) == ("U 1 New", "A 1 Old")
    assert await _patients(a) == ["New"]


@pytest.mark.parametrize("late", [True, False])
async def test_update_in_doubt_meets_a_deletion(late: bool, process: NewProcess, storage: Storage) -> None:
    """Its transaction got no answer, and the instance goes: what the study row says decides (rule 11d)."""
    a, u = process("A"), process("U")
    await a.store("1")
    task = u.begin(u.update())
    step = await u.reach("transact index")
    if late:
        step.lose_request()
    else:
        await step.lose_answer()
    await u.reach("get index instance")
    await a.delete("1")
    assert await u.finish(task) == [UpdateOutcome.GONE if late else UpdateOutcome.UPDATED]
    with pytest.raises(NotFound):
        await a.delete("1")
    expected = [Action.CREATE, Action.DELETE] if late else [Action.CREATE, Action.UPDATE, Action.DELETE]
    assert await _settled(a, storage) == expected


BEFORE_THE_COMMIT = ("put dicom", "get index instance", "get index study", "transact index")
BEHIND_THE_COMMIT = ("transact changefeed", "transact studies")


@pytest.mark.parametrize("step", [*BEFORE_THE_COMMIT, *BEHIND_THE_COMMIT])
async def test_killed_update_is_resumed(step: str, process: NewProcess, storage: Storage) -> None:
    """Killed before any of its steps: whoever resumes the operation updates each instance once (PLT-73)."""
    a, u, v = process("A"), process("U"), process("V")
    for instance in ("1", "2"):
        await a.store(instance, name="Old")
    u.begin(u.update(name="New", operation="op"))
    await u.reach(step)
    u.kill()
    left = await v.update(name="New", operation="op")
    assert set(left) <= {UpdateOutcome.UPDATED}
    assert len(left) == (2 if step in BEFORE_THE_COMMIT else 0)
    assert await _settled(process("R"), storage) == [Action.CREATE] * 2 + [Action.UPDATE] * 2
    assert await _patients(a) == ["New"]
    for instance in ("1", "2"):
        assert (await _contents(a, instance))[1] == f"A {instance} Old"


async def test_update_meets_itself(process: NewProcess, storage: Storage) -> None:
    """A step that two processes carry out: the second finds it done, and its own upload goes (PLT-73)."""
    a, u, v = process("A"), process("U"), process("V")
    await a.store("1", name="Old")
    task = u.begin(u.update(name="New", operation="op"))
    await u.reach("transact index")
    assert await v.update(name="New", operation="op") == [UpdateOutcome.UPDATED]
    assert await u.finish(task) == [UpdateOutcome.ALREADY]
    assert await _settled(a, storage) == [Action.CREATE, Action.UPDATE]
    assert await _contents(a) == ("V 1 New", "A 1 Old")
    assert len([item async for item in storage.list_blobs("dicom")]) == 2


async def test_update_meets_a_put(process: NewProcess, storage: Storage) -> None:
    """What was put meanwhile is not overwritten by a version that was made from what it replaced (rule 10b)."""
    a, u = process("A"), process("U")
    await a.store("1", name="Old")
    task = u.begin(u.update(name="New"))
    await u.reach("transact index")
    await a.store("1", name="Put", replace=True)
    assert await u.finish(task) == [UpdateOutcome.REPLACED]
    assert await _settled(a, storage) == [Action.CREATE, Action.UPDATE]
    assert await _contents(a) == ("A 1 Put", "A 1 Put")
    assert await _patients(a) == ["Put"]


async def test_update_meets_a_store(process: NewProcess, storage: Storage) -> None:
    """Another instance is stored between its reads and its transaction: both stay (rule 11b)."""
    a, u = process("A"), process("U")
    await a.store("1", name="Old")
    task = u.begin(u.update(name="New"))
    await u.reach("transact index")
    await a.store("2", name="Other")
    assert await u.finish(task) == [UpdateOutcome.UPDATED]
    assert await _settled(a, storage) == [Action.CREATE, Action.CREATE, Action.UPDATE]
    assert await _contents(a, "2") == ("A 2 Other", "A 2 Other")
    assert await _patients(a) == ["New"]


async def test_put_meets_an_update(process: NewProcess, storage: Storage) -> None:
    """A PUT that knows the row from before the update takes the original with it (rule 11c)."""
    a, b, u = process("A"), process("B"), process("U")
    await a.store("1", name="Old")
    task = b.begin(b.store("1", name="Put", replace=True))
    await (await b.reach("transact index")).let_pass()  # the insert, refused
    await b.reach("transact index")
    await u.update(name="New")
    assert await b.finish(task) is Outcome.REPLACED
    assert await _settled(a, storage) == [Action.CREATE, Action.UPDATE, Action.UPDATE]
    assert await _contents(a) == ("B 1 Put", "B 1 Put")
    assert await _follow(a) == 2


async def test_update_meets_a_large_deletion(process: NewProcess, storage: Storage) -> None:
    """The mark is there: it finishes the deletion and finds nothing left (rule 9a). Instances count as two rows."""
    a, d, u = process("A"), process("D"), process("U")
    for number in range(60):
        await a.store(str(number))
    assert set(await u.update()) == {UpdateOutcome.UPDATED}
    task = u.begin(u.update(operation="V"))
    await u.reach("transact index")
    d.begin(d.delete())
    await (await d.reach("transact index")).let_pass()  # the mark, since 120 rows are not one transaction
    d.kill()
    assert set(await u.finish(task)) == {UpdateOutcome.GONE}
    actions = await _settled(a, storage)
    assert actions.count(Action.DELETE) == 60
    assert [entity async for entity in storage.query("index", rows=("first|", "instance}"))] == []


async def test_pieces_of_a_large_update(process: NewProcess, storage: Storage) -> None:
    """More than a transaction holds, killed behind the first piece; resumed, it is complete, each instance once."""
    a, u, v = process("A"), process("U"), process("V")
    for number in range(60):
        await a.store(str(number), name="Old")
    u.begin(u.update(name="New", operation="op"))
    await (await u.reach("transact index")).let_pass()
    await u.reach("transact index")
    u.kill()
    assert await _patients(v) == ["New"], "the values of the study go with the first piece"
    assert await v.update(name="New", operation="op") == [UpdateOutcome.UPDATED] * 11
    actions = await _settled(a, storage)
    assert actions == [Action.CREATE] * 60 + [Action.UPDATE] * 60
    assert len({entry.key for entry in (await whole_feed(a.services))[60:]}) == 60


@pytest.mark.parametrize("lost", ["nothing", "answer", "request"])
async def test_put_over_many_updated_instances(lost: str, process: NewProcess, storage: Storage) -> None:
    """A group of stores that one transaction would carry, but for the originals that go with it (rules 10, 11d)."""
    a, u = process("A"), process("U")
    for number in range(70):
        await a.store(str(number))
    await u.update()
    names = [str(number) for number in range(70)]
    new = [await a._new(InstanceKey(DEFAULT_PARTITION, "1.2", "1.2.3", name), "Put") for name in names]
    task = a.begin(a.services.committer.store(new, replace=True, expires=None, began=a.clock()))
    if lost != "nothing":
        for _ in range(2):  # refused: the study row is an old one, and the instances are there
            await (await a.reach("transact index")).let_pass()
        step = await a.reach("transact index")
        if lost == "answer":
            await step.lose_answer()
        else:
            step.lose_request()
    assert await a.finish(task) == [Outcome.REPLACED] * 70
    assert (await _settled(a, storage)).count(Action.UPDATE) == 140
    assert await _contents(a, "69") == ("A 69 Put", "A 69 Put")


@pytest.mark.parametrize("again", [False, True])
async def test_original_goes_under_a_reader(again: bool, process: NewProcess, storage: Storage) -> None:
    """A PUT, and perhaps another update, between the row of the instance and that of its original: what is given is
    the present original, never what an update made (rule 31a)."""
    a, u, r = process("A"), process("U"), process("R")
    await a.store("1", name="Old")
    await u.update(name="New")
    latest = await _latest(r)
    assert latest is not None
    task = r.begin(r.services.index.original(latest))
    await r.reach("get index first")
    await a.store("1", name="Put", replace=True)
    if again:
        await u.update(name="Newer", operation="V")
    found = await r.finish(task)
    assert found is not None
    assert await a.services.files.read(found.file) == b"A 1 Put"
    await _settled(a, storage)


async def test_sweep_spares_originals(process: NewProcess, storage: Storage) -> None:
    """A file that only the row of an original describes is named all the same (rule 34)."""
    a, u, w = process("A"), process("U"), process("W")
    await a.store("1", name="Old")
    await u.update(name="New")
    services = w.services
    collector = GarbageCollector(services.storage, services.files, services.change_feed, w.clock, Ages())
    for _ in range(3):
        w.clock.ahead += 25 * HOUR
        assert await collector.sweep() == 0
    assert await _contents(a) == ("U 1 New", "A 1 Old")


async def test_sweep_meets_an_update(process: NewProcess, storage: Storage) -> None:
    """The sweep removed the upload of an update that stood still: it fails at its ETag and gives up (rule 9d)."""
    a, u, w = process("A"), process("U"), process("W")
    await a.store("1", name="Old")
    task = u.begin(u.update(name="New"))
    await u.reach("transact index")
    services = w.services
    collector = GarbageCollector(services.storage, services.files, services.change_feed, w.clock, Ages())
    w.clock.ahead = 25 * HOUR
    await collector.sweep()
    w.clock.ahead = 50 * HOUR
    assert await collector.sweep() == 1
    u.clock.ahead = 50 * HOUR
    assert await u.finish(task) == [UpdateOutcome.FAILED]
    assert await _settled(a, storage) == [Action.CREATE]
    assert await _contents(a) == ("A 1 Old", "A 1 Old")
