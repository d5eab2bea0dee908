"""What Azure Storage's engine makes of a storage that does not answer: against a real Azurite, behind a proxy that
loses requests and answers, and against ports where nothing listens."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.azurite import Azurite, free_ports
from shared.errors import Unavailable
from shared.storage import names
from shared.storage.azure import AzureStorage
from shared.storage.azure_pipeline import PATIENCE_SECONDS
from shared.storage.primitives import (
    ANY,
    BlobExists,
    Delete,
    Entity,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    Unanswered,
    Upsert,
)
from tests.contract.conftest import azure_storage
from tests.support.tcp_proxy import Mishap, StorageProxies, storage_proxies

pytestmark = pytest.mark.integration

Calls = dict[str, Callable[[AzureStorage], Awaitable[object]]]


@pytest.fixture
def proxies(azurite: str) -> Iterator[StorageProxies]:
    with storage_proxies(azurite) as proxies:
        yield proxies


@pytest.fixture
async def storage(proxies: StorageProxies) -> AsyncIterator[AzureStorage]:
    engine = azure_storage(proxies.connection_string)
    await engine.prepare()
    yield engine
    await engine.close()


def unreachable() -> str:
    blob, queue, table = free_ports(3)
    return (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0LWtleQ==;"
        f"BlobEndpoint=http://127.0.0.1:{blob}/devstoreaccount1;QueueEndpoint=http://127.0.0.1:{queue}/devstoreaccount1;"
        f"TableEndpoint=http://127.0.0.1:{table}/devstoreaccount1"
    )


async def first_of(entities: AsyncIterator[object]) -> None:
    async for _ in entities:
        return


READS: Calls = {
    "get": lambda storage: storage.get(names.INDEX, "p", "r"),
    "query": lambda storage: first_of(storage.query(names.INDEX, "p")),
    "put_blob": lambda storage: storage.put_blob(names.DICOM, "x", b"1"),
    "put_blob in blocks": lambda storage: storage.put_blob(names.DICOM, "x", bytes(9 * 1024 * 1024)),
    "get_blob": lambda storage: storage.get_blob(names.DICOM, "x"),
    "delete_blob": lambda storage: storage.delete_blob(names.DICOM, "x"),
    "list_blobs": lambda storage: first_of(storage.list_blobs(names.DICOM)),
    "copy_blob": lambda storage: storage.copy_blob(names.DICOM, "x", "y"),
    "send_message": lambda storage: storage.send_message(names.OPERATIONS_QUEUE, "text"),
    "receive_messages": lambda storage: storage.receive_messages(names.OPERATIONS_QUEUE, 1, 1),
    "prepare": lambda storage: storage.prepare(),
    "reset": lambda storage: storage.reset(),
}
WRITES: Calls = {
    "write": lambda storage: storage.write(names.INDEX, Insert(Entity("p", "r", {}))),
    "transact": lambda storage: storage.transact(names.INDEX, [Insert(Entity("p", "r", {}))]),
    "ping": lambda storage: storage.ping(),
}


async def test_nothing_listens(caplog: pytest.LogCaptureFixture) -> None:
    """PLT-16: unavailable within seconds. What was never sent is not in doubt, and no text holds address or key."""
    storage = azure_storage(unreachable())

    async def failure_of(call: Callable[[AzureStorage], Awaitable[object]]) -> tuple[Exception, float]:
        began = time.monotonic()
        with pytest.raises(Unavailable) as failure:
            await call(storage)
        return failure.value, time.monotonic() - began

    try:
        with caplog.at_level(logging.DEBUG):
            failures = await asyncio.gather(*(failure_of(call) for call in (READS | WRITES).values()))
    finally:
        await storage.close()
    for name, (failure, took) in zip(READS | WRITES, failures, strict=True):
        assert took < (PATIENCE_SECONDS + 3 if name in READS else 2), name
        assert not isinstance(failure, Unanswered)
        assert failure.__cause__ is None
        assert "127.0.0.1" not in str(failure)
    assert "c2VjcmV0" not in caplog.text
    assert "Authorization" not in caplog.text
    assert any(record.name.startswith("shared") for record in caplog.records)


@pytest.mark.parametrize("mishap", [Mishap.DROP_ANSWER, Mishap.DROP_REQUEST, Mishap.BUSY])
@pytest.mark.parametrize("call", [name for name in READS if name not in ("prepare", "reset")])
async def test_what_can_be_repeated_is_repeated(
    storage: AzureStorage, proxies: StorageProxies, mishap: Mishap, call: str
) -> None:
    await storage.delete_blob(names.DICOM, "x")
    if call in ("get_blob", "copy_blob"):
        await storage.put_blob(names.DICOM, "x", b"1")
    plans = [proxy.plan(mishap) for proxy in (proxies.blob, proxies.queue, proxies.table)]
    try:
        await READS[call](storage)
    except BlobExists:  # its own first sending had arrived
        assert (call, mishap) == ("put_blob", Mishap.DROP_ANSWER)
    assert sum(plan.done for plan in plans) == 1


@pytest.mark.parametrize("mishap", [Mishap.DROP_ANSWER, Mishap.DROP_REQUEST, Mishap.BUSY])
@pytest.mark.parametrize("kind", ["insert", "replace", "merge", "upsert", "delete", "transaction"])
async def test_a_write_is_sent_once(
    storage: AzureStorage, proxies: StorageProxies, partition: str, mishap: Mishap, kind: str
) -> None:
    """Protocol, rule 12: lost, it is in doubt. The connection is a kept one, on which HTTP clients like to repeat."""
    if kind != "insert":
        await storage.write(names.INDEX, Insert(Entity(partition, "row", {"n": 1})))
    new = Entity(partition, "row", {"n": 2})
    operations: dict[str, Operation] = {
        "insert": Insert(new),
        "replace": Replace(new, ANY),
        "merge": Merge(new, ANY),
        "upsert": Upsert(new),
        "delete": Delete(partition, "row", ANY),
    }
    await storage.get(names.INDEX, partition, "row")
    proxies.table.requests.clear()
    proxies.table.plan(mishap)
    sending: Awaitable[object]
    if kind == "transaction":
        sending = storage.transact(names.INDEX, [Upsert(new)])
    else:
        sending = storage.write(names.INDEX, operations[kind])
    with pytest.raises(Unanswered) as failure:
        await sending
    assert failure.value.__cause__ is None
    assert len(proxies.table.requests) == 1
    found = await storage.get(names.INDEX, partition, "row")
    before = {} if kind == "insert" else {"n": 1}
    after = {} if kind == "delete" else {"n": 2}
    assert (found.values if found else {}) == (after if mishap is Mishap.DROP_ANSWER else before)


async def test_connections_that_were_closed_while_idle(
    storage: AzureStorage, proxies: StorageProxies, partition: str
) -> None:
    """Such a write is in doubt as well, but never sent twice; what can be repeated goes through."""
    await storage.write(names.INDEX, Insert(Entity(partition, "row", {"n": 1})))
    for number in range(10):
        proxies.table.cut()
        proxies.table.mend()
        proxies.table.requests.clear()
        with contextlib.suppress(Unanswered):
            await storage.write(names.INDEX, Replace(Entity(partition, "row", {"n": number}), ANY))
        assert len(proxies.table.requests) <= 1
        found = await storage.get(names.INDEX, partition, "row")
        assert found is not None


async def test_half_an_answer_is_no_answer(storage: AzureStorage, proxies: StorageProxies, partition: str) -> None:
    content = bytes(range(256)) * 8192
    await storage.put_blob(names.DICOM, partition, content)
    plan = proxies.blob.plan(Mishap.CUT_ANSWER, times=2)
    assert await storage.get_blob(names.DICOM, partition) == content
    assert plan.done == 2
    await storage.transact(
        names.INDEX, [Insert(Entity(partition, str(number), {"b": bytes(50_000)})) for number in range(20)]
    )
    plan = proxies.table.plan(Mishap.CUT_ANSWER, times=2)
    assert [found.row async for found in storage.query(names.INDEX, partition, top=2)] == ["0", "1"]


async def test_reads_outlast_a_restart(storage: AzureStorage, proxies: StorageProxies, partition: str) -> None:
    """Reads wait for a storage that comes back within a few seconds."""
    await storage.write(names.INDEX, Insert(Entity(partition, "row", {"n": 1})))
    proxies.table.cut()
    reading = asyncio.create_task(storage.get(names.INDEX, partition, "row"))
    await asyncio.sleep(1)
    proxies.table.mend()
    found = await reading
    assert found is not None
    assert found.values == {"n": 1}


async def test_a_late_answer_is_an_answer(storage: AzureStorage, proxies: StorageProxies, partition: str) -> None:
    proxies.table.plan(Mishap.DELAY, seconds=2)
    await storage.write(names.INDEX, Insert(Entity(partition, "row", {"n": 1})))
    assert await storage.get(names.INDEX, partition, "row") is not None


async def test_a_storage_that_says_nothing(storage: AzureStorage, proxies: StorageProxies) -> None:
    """PLT-16: within 30 s every call ends; all at once here, as each takes its whole time."""
    for proxy in (proxies.blob, proxies.queue, proxies.table):
        proxy.plan(Mishap.SWALLOW, times=1000)
    began = time.monotonic()
    calls = {**READS, **WRITES}
    results = await asyncio.gather(*(call(storage) for call in calls.values()), return_exceptions=True)
    assert time.monotonic() - began < 30
    assert {name: type(result) for name, result in zip(calls, results, strict=True)} == dict.fromkeys(calls, Unanswered)


async def test_a_ping_takes_a_few_seconds_at_most(storage: AzureStorage, proxies: StorageProxies) -> None:
    """PLT-20."""
    await storage.ping()
    proxies.queue.plan(Mishap.SWALLOW, times=5)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await storage.ping()
    assert time.monotonic() - began < 4


async def test_a_wrong_key(azurite: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing took place, so nothing is in doubt."""
    start = azurite.index("AccountKey=") + len("AccountKey=")
    storage = azure_storage(azurite[:start] + "d3JvbmctbXktZnJpZW5k" + azurite[azurite.index(";", start) :])
    try:
        for call in ("get", "get_blob", "receive_messages", "write", "transact", "ping"):
            with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="credentials") as failure:
                await (READS | WRITES)[call](storage)
            assert not isinstance(failure.value, Unanswered)
    finally:
        await storage.close()
    assert "d3JvbmctbXktZnJpZW5k" not in caplog.text
    assert "SharedKey" not in caplog.text


async def test_tables_that_an_emulator_lost_are_made_again(
    own_azurite: Callable[[Path | None], Azurite],
) -> None:
    """Azurite writes its tables every five seconds: killed before, it comes back without them."""
    storage = azure_storage(own_azurite(None).connection_string)
    try:
        assert await storage.get(names.INDEX, "p", "r") is None
        await storage.write(names.INDEX, Insert(Entity("p", "r", {})))
        for forget in (storage._tables.drop, storage._blobs.drop):
            for name in ("index", "dicom"):
                await forget(name)
        with pytest.raises(EntityMissing):
            await storage.write(names.INDEX, Replace(Entity("p", "r", {}), ANY))
        await storage._tables.drop(names.INDEX)
        await asyncio.gather(
            *(storage.transact(names.INDEX, [Insert(Entity("p", str(number), {}))]) for number in range(10))
        )
        assert len([found async for found in storage.query(names.INDEX, "p")]) == 10
        await storage.put_blob(names.DICOM, "x", b"1")
        await storage.send_message(names.OPERATIONS_QUEUE, "text")
        assert len(await storage.receive_messages(names.OPERATIONS_QUEUE, 1, 1)) == 1
    finally:
        await storage.close()
