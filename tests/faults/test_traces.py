"""Each trace that once broke the commit protocol on paper, driven through the real code step by step.

The numbers are those of the list of violations that the protocol's model found; rules are the protocol's.
"""

import asyncio

import pytest

from shared.clock import HOUR, SECOND
from shared.errors import NotFound, Unavailable
from shared.services import change_feed as change_feed_service
from shared.storage import feed_tail, names
from shared.storage.feed_rows import feed_partition, feed_row
from shared.storage.files import Files
from shared.storage.garbage import Ages, GarbageCollector
from shared.storage.primitives import ANY, BlobMissing, Delete, EntityExists, Storage
from shared.storage.records import DEFAULT_PARTITION, Action, InstanceKey, Outcome, State
from tests.faults.conftest import ENGINES, WITH_VALUE_ROWS, NewProcess
from tests.support.invariants import check_store, whole_feed
from tests.support.stepping import Process

pytestmark = pytest.mark.integration

about_search = pytest.mark.parametrize("storage", [*ENGINES, WITH_VALUE_ROWS], indirect=True)
"""Traces in which the rows of search matter run with value rows, too."""


async def _settled(process: Process, storage: Storage, study: str = "1.2") -> list[tuple[Action, str]]:
    """Repairs the study as the timer would and checks the whole store; the feed as (action, instance)."""
    await process.repair(study)
    feed = await check_store(process.services, storage)
    return [(entry.action, entry.key.instance) for entry in feed]


async def test_trace_01_lost_answer_of_the_feed_insert(process: NewProcess, storage: Storage) -> None:
    """The insert at position 1 arrived, its answer did not: the entry is not appended again (rule 17)."""
    a = process("A")
    task = a.begin(a.store("1"))
    await (await a.reach("insert changefeed")).lose_answer()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(process("R"), storage) == [(Action.CREATE, "1")]


async def test_trace_01_feed_insert_that_arrives_late(process: NewProcess, storage: Storage) -> None:
    """The insert got no answer, a second one took the position, and then the first arrives (rule 17)."""
    a = process("A")
    task = a.begin(a.store("1"))
    step = await a.reach("insert changefeed")
    step.lose_request()
    assert await a.finish(task) is Outcome.CREATED
    with pytest.raises(EntityExists):
        await step.run()
    assert await _settled(process("R"), storage) == [(Action.CREATE, "1")]


async def test_trace_02_repairer_appends_first(process: NewProcess, storage: Storage) -> None:
    """A commits; R settles the row; A appends: the event is there (rules 16 and 17)."""
    a, r = process("A"), process("R")
    task = a.begin(a.store("1"))
    await a.reach("insert changefeed")
    await r.repair()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(r, storage) == [(Action.CREATE, "1")]


async def test_trace_03_repairer_with_a_slow_clock(process: NewProcess, storage: Storage) -> None:
    """The entry that R wrote carries an earlier time than A's commit; A finds it by position (rule 16)."""
    a, r = process("A"), process("R")
    r.clock.ahead = -30 * SECOND
    task = a.begin(a.store("1"))
    await a.reach("insert changefeed")
    await r.repair()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(r, storage) == [(Action.CREATE, "1")]


async def test_trace_04_deletion_settles_the_store_before_it(process: NewProcess, storage: Storage) -> None:
    """A commits and stops; D deletes: create stands before delete in the feed (rule 14)."""
    a, d = process("A"), process("D")
    task = a.begin(a.store("1"))
    await a.reach("insert changefeed")
    await d.delete("1")
    await a.finish(task)
    assert await _settled(d, storage) == [(Action.CREATE, "1"), (Action.DELETE, "1")]


@about_search
async def test_trace_05_second_store_shows_the_study(process: NewProcess, storage: Storage) -> None:
    """A commits a new study and stops; when B's store into it is answered, search shows the study (rule 14)."""
    a, b = process("A"), process("B")
    task = a.begin(a.store("1"))
    await a.reach("transact studies")
    assert await b.store("2") is Outcome.CREATED
    assert [each.study async for each in b.services.projections.studies(DEFAULT_PARTITION)] == ["1.2"]
    await a.finish(task)
    await _settled(b, storage)


@about_search
async def test_trace_06_older_values_do_not_overwrite_newer(process: NewProcess, storage: Storage) -> None:
    """A commits name Old, B name New and writes it to `studies`; A's write comes last and is dropped (rule 19)."""
    first, a, b = process("first"), process("A"), process("B")
    await first.store("1", name="First")
    task = a.begin(a.store("2", name="Old"))
    await a.reach("transact studies")
    assert await b.store("3", name="New") is Outcome.CREATED
    await a.finish(task)
    shown = [each.attributes async for each in b.services.projections.studies(DEFAULT_PARTITION)]
    assert shown == [{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New"}]}}]
    await _settled(b, storage)


@about_search
async def test_trace_07_deleted_study_does_not_come_back(process: NewProcess, storage: Storage) -> None:
    """A commits and stops; D deletes the study; A's projection meets the tombstone (rule 20)."""
    a, d = process("A"), process("D")
    task = a.begin(a.store("1"))
    await a.reach("transact studies")
    await d.delete()
    await a.finish(task)
    assert [each async for each in d.services.projections.studies(DEFAULT_PARTITION)] == []
    await _settled(d, storage)


@about_search
async def test_trace_08_reborn_study_is_shown_once(process: NewProcess, storage: Storage) -> None:
    """D deletes and stops before `studies`; A stores the study again: the old life's row does not show (rule 9b)."""
    a, d = process("A"), process("D")
    await a.store("1")
    task = d.begin(d.delete())
    await d.reach("transact studies")
    assert await a.store("1") is Outcome.CREATED
    assert len([each async for each in a.services.projections.studies(DEFAULT_PARTITION)]) == 1
    await d.finish(task)
    await _settled(a, storage)


@pytest.mark.parametrize("action", ["post", "put", "delete"])
async def test_trace_09_lost_answer_of_the_transaction(action: str, process: NewProcess, storage: Storage) -> None:
    """The transaction is in, its answer lost: no duplicate, no 404, no second entry (rules 11d and 12)."""
    a = process("A")
    expected = [(Action.CREATE, "1")]
    if action != "post":
        await a.store("1")
    if action == "delete":
        deletion = a.begin(a.delete("1"))
        await (await a.reach("transact index")).lose_answer()
        await a.finish(deletion)
        expected.append((Action.DELETE, "1"))
    else:
        store = a.begin(a.store("1", replace=action == "put"))
        step = await a.reach("transact index")
        if action == "put":  # the insert is refused; then the replacement's answer is lost
            await step.let_pass()
            step = await a.reach("transact index")
            expected.append((Action.UPDATE, "1"))
        await step.lose_answer()
        assert await a.finish(store) in {Outcome.CREATED, Outcome.REPLACED}
    assert await _settled(process("R"), storage) == expected


async def test_trace_09_lost_request_is_sent_again(process: NewProcess, storage: Storage) -> None:
    """The transaction went nowhere: the study row is unchanged, and the same transaction goes again (rule 11d)."""
    a = process("A")
    task = a.begin(a.store("1"))
    (await a.reach("transact index")).lose_request()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(process("R"), storage) == [(Action.CREATE, "1")]


async def test_trace_10_instance_row_is_read_before_the_study_row(process: NewProcess, storage: Storage) -> None:
    """The transaction arrives between the two reads of a process in doubt: it finds its own commit (rule 11d)."""
    a = process("A")
    task = a.begin(a.store("1"))
    late = await a.reach("transact index")
    late.lose_request()
    await a.reach("get index study")
    await late.run()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(process("R"), storage) == [(Action.CREATE, "1")]


async def test_trace_11_refusal_shows_what_feed_and_search_have(process: NewProcess, storage: Storage) -> None:
    """A commits and is killed; the repeated request gets 45070, and by then feed and search know it (rule 13)."""
    a, b = process("A"), process("B")
    a.begin(a.store("1"))
    await a.reach("insert changefeed")
    a.kill()
    assert await b.store("1") is Outcome.DUPLICATE
    assert [entry.action for entry in await whole_feed(b.services)] == [Action.CREATE]
    assert [each.study async for each in b.services.projections.studies(DEFAULT_PARTITION)] == ["1.2"]
    await _settled(b, storage)


async def test_trace_11_refused_deletion_shows_the_first(process: NewProcess, storage: Storage) -> None:
    """The same for DELETE and 404."""
    a, b = process("A"), process("B")
    await a.store("1")
    a.begin(a.delete())
    await a.reach("transact changefeed")
    a.kill()
    with pytest.raises(NotFound):
        await b.delete()
    assert [entry.action for entry in await whole_feed(b.services)] == [Action.CREATE, Action.DELETE]
    assert [each async for each in b.services.projections.studies(DEFAULT_PARTITION)] == []
    await _settled(b, storage)


async def test_trace_12_closed_window_stays_closed(process: NewProcess, storage: Storage) -> None:
    """A takes its time and stops; a reader takes the window up to now; A's entry comes behind it (rule 29)."""
    a, reader = process("A"), process("reader")
    task = a.begin(a.store("1"))
    await a.reach("insert changefeed")
    edge = reader.clock()
    assert await reader.services.change_feed.page(0, edge, 0, 200) == []
    await a.finish(task)
    assert await reader.services.change_feed.page(0, edge, 0, 200) == []
    assert len(await reader.services.change_feed.page(edge, None, 0, 200)) == 1
    await _settled(reader, storage)


async def test_trace_13_times_never_go_back(process: NewProcess, storage: Storage) -> None:
    """B's clock is ahead of A's, and B appends first (rule 16)."""
    a, b = process("A"), process("B")
    b.clock.ahead = 20 * SECOND
    await b.store("1")
    await a.store("2")
    feed = await whole_feed(a.services)
    assert feed[0].timestamp <= feed[1].timestamp
    await _settled(a, storage)


async def _store_many(process: Process, count: int, series: str = "1.2.3") -> None:
    await asyncio.gather(*(process.store(str(number), series=series) for number in range(1, count + 1)))


async def test_trace_14_half_a_study_is_not_left(process: NewProcess, storage: Storage) -> None:
    """D removes the first rows of 150 and is killed: the mark says that the rest must go (rules 23 to 26)."""
    a, d, r = process("A"), process("D"), process("R")
    await _store_many(a, 150)
    d.begin(d.delete())
    await (await d.reach("transact index")).let_pass()  # the mark
    await (await d.reach("transact index")).let_pass()  # the first piece
    await d.reach("transact index")
    d.kill()
    assert await r.services.index.study(DEFAULT_PARTITION, "1.2") is None
    assert await r.services.index.instances(DEFAULT_PARTITION, "1.2") == []
    actions = [action for action, _ in await _settled(r, storage)]
    assert actions.count(Action.DELETE) == 150


async def test_trace_15_new_instance_survives_an_old_deletion(process: NewProcess, storage: Storage) -> None:
    """D marks the study and stops; A's store finishes the deletion first, so nobody removes A's instance (rule 9a)."""
    a, d, r = process("A"), process("D"), process("R")
    await _store_many(a, 120)
    d.begin(d.delete())
    await (await d.reach("transact index")).let_pass()
    await d.reach("transact")
    d.kill()
    assert await r.store("new") is Outcome.CREATED
    await _settled(r, storage)
    assert [each.key.instance for each in await r.services.index.instances(DEFAULT_PARTITION, "1.2")] == ["new"]


async def _sweeper(process: Process, hours: int) -> GarbageCollector:
    services = process.services
    process.clock.ahead = hours * HOUR
    return GarbageCollector(services.storage, services.files, services.change_feed, process.clock, Ages())


async def test_trace_16_sweep_meets_a_commit(process: NewProcess, storage: Storage) -> None:
    """The sweep sees no row, A commits, the sweep's fence is refused: the file stays (rule 34)."""
    a, w = process("A"), process("W")
    await (await _sweeper(w, 0)).sweep()
    task = a.begin(a.store("1"))
    await a.reach("transact index")
    await (await _sweeper(w, 25)).sweep()  # a candidate now
    sweep = w.begin((await _sweeper(w, 50)).sweep())
    await w.reach("insert index study")
    assert await a.finish(task) is Outcome.CREATED
    assert await w.finish(sweep) == 0
    await _assert_readable(a, storage)


async def test_trace_16_slow_store_meets_the_fence(process: NewProcess, storage: Storage) -> None:
    """The sweep removed the file of a store that stood still: the store fails at its ETag and gives up (rule 9d)."""
    a, w = process("A"), process("W")
    task = a.begin(a.store("1"))
    await a.reach("transact index")
    await (await _sweeper(w, 25)).sweep()
    assert await (await _sweeper(w, 50)).sweep() == 1
    a.clock.ahead = 50 * HOUR
    assert await a.finish(task) is Outcome.FAILED
    assert await _settled(process("R"), storage) == []


async def _assert_readable(process: Process, storage: Storage) -> None:
    await _settled(process, storage)
    for each in await process.services.index.instances(DEFAULT_PARTITION, "1.2"):
        assert await process.services.files.read(each.file)


async def test_trace_17_file_goes_under_a_reader(process: NewProcess, storage: Storage) -> None:
    """The row names a file that was replaced and removed meanwhile: the row read again names another (rule 31)."""
    a, b = process("A"), process("B")
    await a.store("1")
    key = InstanceKey(DEFAULT_PARTITION, "1.2", "1.2.3", "1")
    before = await a.services.index.instance(key)
    assert await b.store("1", replace=True) is Outcome.REPLACED
    assert await (await _sweeper(b, 25)).follow_feed() == 1
    assert before is not None
    with pytest.raises(BlobMissing):
        await a.services.files.read(before.file)
    after = await a.services.index.instance(key)
    assert after is not None
    assert await a.services.files.read(after.file) == b"B 1 "


async def test_trace_18_row_of_an_emptied_study_stays(process: NewProcess, storage: Storage) -> None:
    """A's insert is in doubt and D deletes what it stored: the row that stays tells A of its commit (rule 10)."""
    a, d = process("A"), process("D")
    task = a.begin(a.store("1"))
    await (await a.reach("transact index")).lose_answer()
    await d.delete()
    assert await a.finish(task) is Outcome.CREATED
    assert await _settled(d, storage) == [(Action.CREATE, "1"), (Action.DELETE, "1")]


async def test_trace_19_versions_in_one_tick(process: NewProcess, storage: Storage) -> None:
    """Store, delete and store in one tick of the clock: versions grow, one entry reads as current (rules 4, 10)."""
    a, b = process("A"), process("B")
    a.clock.frozen = b.clock.frozen = a.clock()
    await a.store("1")
    await b.delete("1")
    await b.store("1")
    states = [each.state for each in await change_feed_service.after(b.services, 0, 10, with_metadata=False)]
    assert states == [State.REPLACED, State.REPLACED, State.CURRENT]
    a.clock.frozen -= 60 * SECOND
    await a.store("1", replace=True)  # a slow clock does not give a lower version
    await _settled(b, storage)


async def test_trace_20_clearing_is_guarded(process: NewProcess, storage: Storage) -> None:
    """A clears after B's commit, B is killed: B's event is still on the row (rule 18)."""
    a, b, r = process("A"), process("B"), process("R")
    await a.store("1")
    clearing = a.begin(a.services.committer.close())
    step = await a.reach("replace index study")
    b.begin(b.store("2"))
    await b.reach("transact changefeed")
    b.kill()
    await step.let_pass()
    await a.finish(clearing)
    assert await _settled(r, storage) == [(Action.CREATE, "1"), (Action.CREATE, "2")]


async def test_files_outlive_their_row_for_readers(process: NewProcess, storage: Storage) -> None:
    """A replaced file is still there until FILE_GRACE has passed (rule 33)."""
    a = process("A")
    await a.store("1")
    key = InstanceKey(DEFAULT_PARTITION, "1.2", "1.2.3", "1")
    before = await a.services.index.instance(key)
    assert before is not None
    await a.store("1", replace=True)
    assert await (await _sweeper(a, 23)).follow_feed() == 0
    assert await Files(storage, a.clock).read(before.file) == b"A 1 "


@about_search
async def test_old_rows_are_removed(process: NewProcess, storage: Storage) -> None:
    """Empty study rows and tombstones go after ROW_KEEP, and not before (rule 35)."""
    a = process("A")
    await a.store("1")
    await a.delete()
    await a.repair()
    assert await (await _sweeper(a, 71)).remove_old_rows() == 0
    assert await (await _sweeper(a, 73)).remove_old_rows() == 3
    assert [entity async for entity in storage.query(names.INDEX)] == []
    assert [entity.row async for entity in storage.query(names.STUDIES)] == ["stamp"]


@pytest.mark.parametrize("noticed", ["by a lost answer", "by the time that passed"])
async def test_storage_that_lost_its_last_entry(noticed: str, process: NewProcess, storage: Storage) -> None:
    """What a process knew to be in the feed is appended again, and nothing is written behind a hole (rule 7)."""
    a = process("A")
    await a.store("1")
    await a.store("2")
    await storage.write(names.CHANGE_FEED, Delete(feed_partition(2), feed_row(2), ANY))
    if noticed == "by a lost answer":
        task = a.begin(a.store("3"))
        (await a.reach("transact index")).lose_request()
        assert await a.finish(task) is Outcome.CREATED
    else:
        a.clock.ahead = 2 * SECOND
        assert await a.store("3") is Outcome.CREATED
    assert await _settled(a, storage) == [(Action.CREATE, str(number)) for number in (1, 2, 3)]


@pytest.mark.parametrize("knows", ["the end of before", "nothing"])
async def test_store_that_another_process_emptied(knows: str, process: NewProcess, storage: Storage) -> None:
    """B commits with a position of before the reset, and the event stands below it in the new feed: C, which settles
    the study after it, finds it there (rule 7)."""
    b, c = process("B"), process("C")
    for number in range(3):
        await b.store(f"old {number}", study="1.1")
    if knows == "the end of before":
        await c.services.change_feed.freshen()
    b.clock.frozen = b.clock()
    await storage.reset()
    assert await b.store("1") is Outcome.CREATED
    for number in range(2 if knows == "nothing" else 5):
        await b.store(f"new {number}", study=f"1.3.{number}")
    c.clock.ahead = 2 * SECOND
    assert await c.store("2") is Outcome.CREATED
    for number in range(5):
        await c.repair(f"1.3.{number}")
    feed = [instance for _, instance in await _settled(c, storage)]
    assert (feed[0], feed[-1]) == ("1", "2")


async def test_store_that_is_emptied_after_an_upload(process: NewProcess, storage: Storage) -> None:
    """A file that a reset has removed is not committed: the request ends with 503."""
    a = process("A")
    began, emptied = a.clock(), a.services.committer.emptied
    new = await a.uploaded("1")
    await a.services.reset()
    with pytest.raises(Unavailable):
        await a.services.committer.store([new], replace=False, expires=None, began=began, emptied=emptied)
    assert await a.store("2") is Outcome.CREATED
    assert await _settled(a, storage) == [(Action.CREATE, "2")]


async def test_store_that_is_emptied_during_a_commit(process: NewProcess, storage: Storage) -> None:
    """A reset waits for the commit, so that what it removed does not come after it; what comes meanwhile is refused."""
    a = process("A")
    late = await a.uploaded("2")
    task = a.begin(a.store("1"))
    await a.reach("transact index")
    reset = asyncio.create_task(a.services.reset())
    await asyncio.sleep(0.1)
    assert not reset.done()
    with pytest.raises(Unavailable):
        await a.services.committer.store([late], replace=False, expires=None, began=a.clock())
    await a.finish(task)
    await reset
    assert await _settled(a, storage) == []
    assert [entity async for entity in storage.query(names.INDEX)] == []


async def test_long_after_a_loss(process: NewProcess, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed later has positions that are true: appending it does not read the feed again (rule 7)."""
    monkeypatch.setattr(feed_tail, "MOST_REMEMBERED", 3)
    a = process("A")
    await a.store("old")
    await storage.reset()
    a.clock.ahead = 2 * SECOND
    await a.store("0")
    a.clock.ahead += feed_tail.UNSURE
    for number in range(1, 7):
        await a.store(str(number))
    a.clock.frozen = a.clock() - a.clock.ahead
    await a.store("7")
    task = a.begin(a.store("8"))
    assert (await a.reach("changefeed")).what.split()[0] in ("insert", "transact")
    await a.finish(task)
    assert len(await _settled(a, storage)) == 9


@about_search
async def test_large_deletion_whose_row_is_read_again(process: NewProcess, storage: Storage) -> None:
    """Storage is so slow that the study row is looked at again before the feed is written: the deletion goes on
    (rules 21 and 24)."""
    a, d = process("A"), process("D")
    await _store_many(a, 150)
    task = d.begin(d.delete())
    await (await d.reach("transact index")).let_pass()  # the mark
    await d.reach("get studies")
    d.clock.ahead += SECOND
    await d.finish(task)
    actions = [action for action, _ in await _settled(a, storage)]
    assert actions.count(Action.DELETE) == 150
