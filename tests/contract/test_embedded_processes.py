"""The embedded store under several processes, some of which are killed."""

import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from shared.azurite import ROOT
from shared.errors import Unavailable
from shared.storage import embedded_database, names
from shared.storage.embedded import EmbeddedStorage
from shared.storage.primitives import And, Compare, Entity, EntityChanged, Insert, Replace, TransactionRefused
from tests.support.store_worker import KEPT_BLOBS, PARTITIONS, ROWS, content

pytestmark = pytest.mark.integration

MOST_MESSAGES = 1_000_000
"""More than any test sends."""


@contextlib.contextmanager
def worker(path: Path, name: str, mode: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.store_worker", str(path), name, mode],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStorage]:
    engine = EmbeddedStorage(tmp_path / "store")
    await engine.prepare()
    yield engine
    await engine.close()


def last_acknowledged(process: subprocess.Popen[bytes]) -> int:
    """The last round that the process finished before it died, -1 if there is none."""
    assert process.stdout is not None
    lines = process.stdout.read().split()
    return int(lines[-1]) if lines else -1


async def check_rows(store: EmbeddedStorage, name: str, last: int) -> None:
    """Transactions are whole, and not older than what was acknowledged."""
    for index in range(PARTITIONS):
        rows = [row async for row in store.query(names.INDEX, f"{name}|{index}")]
        numbers = {int(row.values["n"]) for row in rows}
        expected = max((number for number in range(last + 1) if number % PARTITIONS == index), default=None)
        assert len(numbers) <= 1
        assert len(rows) in (0, len(ROWS))
        if expected is not None:
            assert numbers in ({expected}, {expected + PARTITIONS})


async def check_blobs(store: EmbeddedStorage, name: str, last: int) -> None:
    """Blobs that were acknowledged are there, deleted ones are not; all that are listed are whole."""
    listed = {item.name: item.size async for item in store.list_blobs(names.DICOM, f"{name}/")}
    for blob, size in listed.items():
        read = await store.get_blob(names.DICOM, blob)
        assert len(read) == size
        assert read == content(name, int(blob.rpartition("/")[2]))
    kept = {f"{name}/{number:06d}" for number in range(max(0, last + 1 - KEPT_BLOBS), last + 1)}
    in_doubt = {f"{name}/{last + 1:06d}", f"{name}/{last + 1 - KEPT_BLOBS:06d}"}
    assert kept - in_doubt <= listed.keys() <= kept | in_doubt


async def check_terms(store: EmbeddedStorage, name: str) -> None:
    """What a search by property finds is what is there."""
    there = {row.row async for row in store.query(names.STUDIES, name)}
    for row in there:
        found = [each.row async for each in store.query(names.STUDIES, name, where=Compare("qnumber", "eq", row))]
        assert found == [row]
    everything = And((Compare("qnumber", "ge", "0"), Compare("qnumber", "lt", "9")))
    assert {row.row async for row in store.query(names.STUDIES, name, where=everything)} == there


@pytest.mark.parametrize("mode", ["write", "write durably"])
async def test_nothing_acknowledged_is_lost_to_a_kill(
    tmp_path: Path, mode: str, size: Callable[[str], int], caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes write, one is killed with SIGKILL at a random point, and so on, on one store."""
    path = tmp_path / "store"
    chance = random.Random(mode)
    with worker(path, "other", mode) as other:
        for turn in range(size("kills of a process that writes to the embedded store")):
            name = f"{turn:03d}"
            with worker(path, name, mode) as process:
                assert process.stdout is not None
                await asyncio.to_thread(process.stdout.readline)  # round 0
                await asyncio.sleep(chance.uniform(0, 0.3))
                process.kill()
                last = max(0, last_acknowledged(process))
            store = EmbeddedStorage(path)
            await store.prepare()
            await check_rows(store, name, last)
            await check_blobs(store, name, last)
            await check_terms(store, name)
            await store.close()
        other.kill()
        last = last_acknowledged(other)
    assert last > 0
    store = EmbeddedStorage(path)
    await check_rows(store, "other", last)
    await check_blobs(store, "other", last)
    assert await store.check() == []
    received = await store.receive_messages(names.OPERATIONS_QUEUE, MOST_MESSAGES, 60)
    assert len(received) < MOST_MESSAGES
    messages = [message.text for message in received]
    of_the_other = [text for text in messages if text.startswith("other/")]
    assert of_the_other[: last + 1] == [f"other/{number}" for number in range(last + 1)]
    await store.close()
    assert caplog.messages == []


async def test_two_processes_count_under_etags(tmp_path: Path, store: EmbeddedStorage) -> None:
    times = 150
    await store.write(names.INDEX, Insert(Entity("counter", "counter", {"n": 0})))
    with worker(tmp_path / "store", "one", "count") as one, worker(tmp_path / "store", "two", "count") as two:
        for process in (one, two):
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"0\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write(b"%d\n" % times)
            process.stdin.flush()
        tries = [last_acknowledged(process) for process in (one, two)]
    row = await store.get(names.INDEX, "counter", "counter")
    assert row is not None
    assert row.values == {"n": 2 * times}
    assert sum(tries) > 2 * times, "the processes never met"


async def test_many_processes_make_the_store_at_once(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(worker(tmp_path / "new", str(name), "write")) for name in range(4)]
        for process in several:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"0\n"


@contextlib.contextmanager
def write_lock(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path / "store" / "store.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("COMMIT")
        connection.close()


async def test_waiting_for_the_lock_leaves_the_event_loop_free(tmp_path: Path, store: EmbeddedStorage) -> None:
    """Reads go on, nothing fails, and no turn of the loop takes long."""
    longest = 0.0
    await store.put_blob(names.DICOM, "there", b"1")

    async def turns() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)

    with write_lock(tmp_path):
        watch = asyncio.create_task(turns())
        writes = [
            asyncio.create_task(store.write(names.INDEX, Insert(Entity("p", "r", {})))),
            asyncio.create_task(store.put_blob(names.DICOM, "x", b"2")),
            asyncio.create_task(store.send_message(names.EVENTS_QUEUE, "text")),
        ]
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert await store.get_blob(names.DICOM, "there") == b"1"
            assert await store.get(names.INDEX, "p", "r") is None
            await asyncio.sleep(0.01)
        assert not any(write.done() for write in writes)
    await asyncio.wait_for(asyncio.gather(*writes), 5)
    watch.cancel()
    assert longest < 0.2
    assert await store.get_blob(names.DICOM, "x") == b"2"


@pytest.mark.parametrize("durable", [False, True])
async def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    monkeypatch.setattr(embedded_database, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("shared.storage.embedded_writer.PATIENCE_SECONDS", 0.2)
    store = EmbeddedStorage(tmp_path / "store", durable)
    await store.prepare()
    with write_lock(tmp_path), pytest.raises(Unavailable, match="busy"):
        await store.write(names.INDEX, Insert(Entity("p", "r", {})))
    await store.write(names.INDEX, Insert(Entity("p", "r", {})))
    await store.close()


async def test_a_cancelled_wait_writes_nothing(tmp_path: Path, store: EmbeddedStorage) -> None:
    with write_lock(tmp_path):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.write(names.INDEX, Insert(Entity("p", "r", {}))), 0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.put_blob(names.DICOM, "x", b"1"), 0.05)
    assert await store.get(names.INDEX, "p", "r") is None
    assert [item async for item in store.list_blobs(names.DICOM)] == []
    await store.put_blob(names.DICOM, "x", b"2")
    assert await store.get_blob(names.DICOM, "x") == b"2"


@pytest.mark.parametrize("durable", [False, True])
async def test_writers_of_one_process(tmp_path: Path, durable: bool) -> None:
    """What one writer does wrong undoes nothing of the others, though they may share a commit."""
    store = EmbeddedStorage(tmp_path / "store", durable)
    await store.prepare()
    first = await store.write(names.INDEX, Insert(Entity("p", "r", {"n": 0})))

    async def replace(number: int) -> bool:
        other = Insert(Entity("p", f"r{number}", {}))
        try:
            await store.transact(names.INDEX, [other, Replace(Entity("p", "r", {"n": number}), first)])
        except TransactionRefused as error:
            causes.append(error.cause)
            return False
        return True

    causes: list[Exception] = []

    done = await asyncio.gather(*map(replace, range(1, 50)))
    winner = done.index(True) + 1
    assert sum(done) == 1
    assert [type(cause) for cause in causes] == [EntityChanged] * 48
    rows = {row.row: row.values.get("n") async for row in store.query(names.INDEX, "p")}
    assert rows == {"r": winner, f"r{winner}": None}
    await store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork_each_has_its_own_connection(tmp_path: Path) -> None:
    store = EmbeddedStorage(tmp_path / "store")

    async def write(name: str) -> None:
        await store.put_blob(names.DICOM, name, name.encode())
        await store.write(names.INDEX, Insert(Entity("p", name, {})))

    async def read() -> list[str]:
        return [row.row async for row in store.query(names.INDEX, "p")]

    async def connection() -> sqlite3.Connection:
        return await store._database.read(lambda connection: connection)

    asyncio.run(write("before"))
    of_the_parent = asyncio.run(connection())
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(write("child"))
            os._exit(2 if asyncio.run(connection()) is of_the_parent else 0)
        finally:
            os._exit(1)
    asyncio.run(write("parent"))
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(read()) == ["before", "child", "parent"]
    etags = set()
    for name in ("before", "child", "parent"):
        assert asyncio.run(store.get_blob(names.DICOM, name)) == name.encode()
        row = asyncio.run(store.get(names.INDEX, "p", name))
        assert row
        etags.add(row.etag)
    assert len(etags) == 3
    asyncio.run(store.close())


@pytest.mark.parametrize("pause", [0, 0.001])
async def test_the_write_ahead_log_does_not_grow_for_ever(tmp_path: Path, store: EmbeddedStorage, pause: float) -> None:
    """It is copied into the database in a thread while writes go on, and begun anew."""
    rows, content = 30_000, bytes(3000)
    for number in range(0, rows, 50):
        operations = [Insert(Entity("p", f"{each:06d}", {"b": content})) for each in range(number, number + 50)]
        await store.transact(names.OPERATIONS, operations)
        await asyncio.sleep(pause)
    assert (tmp_path / "store" / "store.db").stat().st_size > rows * len(content) / 2
    assert (tmp_path / "store" / "store.db-wal").stat().st_size < rows * len(content) * 0.9


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = EmbeddedStorage(tmp_path / "store")
    await store.prepare()
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await store.get(names.INDEX, "p", "r")
    with pytest.raises(Unavailable, match="closed"):
        await store.write(names.INDEX, Insert(Entity("p", "r", {})))
    assert not list((tmp_path / "store").glob("store.db-*")), "the log is not merged into the database"
