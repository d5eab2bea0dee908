"""Queue triggers of the local Functions host on the embedded store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.clock import SECOND, from_datetime, wall_clock
from shared.devhost.configuration import QueueOptions
from shared.devhost.functions import HostedFunction
from shared.devhost.queue_source import SOURCE_SETTING, OpenQueue, queue_opener
from shared.devhost.queues import QueueListener
from shared.settings import settings
from shared.storage import embedded_queue_source
from shared.storage.embedded import EmbeddedStorage
from shared.storage.names import EVENTS_QUEUE, OPERATIONS_QUEUE, POISON

pytestmark = pytest.mark.integration

OPTIONS = QueueOptions(batch_size=4, new_batch_threshold=2, max_polling_interval=0.2, max_dequeue_count=3)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedStorage]:
    monkeypatch.setenv("DICOM_STORE", "embedded")
    monkeypatch.setenv("DICOM_STORE_PATH", str(tmp_path / "store"))
    monkeypatch.setenv(SOURCE_SETTING, embedded_queue_source.SETTING)
    settings.cache_clear()
    engine = EmbeddedStorage(tmp_path / "store")
    await engine.prepare()
    yield engine
    await engine.close()
    settings.cache_clear()


@pytest.fixture
def open_queue(store: EmbeddedStorage) -> OpenQueue:
    return queue_opener()


async def test_messages_in_both_directions(store: EmbeddedStorage, open_queue: OpenQueue) -> None:
    queue, other = open_queue("AzureWebJobsStorage", OPERATIONS_QUEUE), open_queue("x", EVENTS_QUEUE)
    await store.send_message(OPERATIONS_QUEUE, "täxt")
    before = wall_clock()
    [message] = await queue.receive(16, 30)
    assert message.text == "dMOkeHQ="
    assert message.dequeue_count == 1
    assert message.inserted is not None
    assert message.next_visible is not None
    assert 0 <= before - from_datetime(message.inserted) < 10 * SECOND
    assert 0 <= from_datetime(message.next_visible) - before - 30 * SECOND < 10 * SECOND
    assert await queue.receive(16, 30) == []
    assert await other.receive(16, 30) == []

    again = await queue.hide(message, 0)
    assert again is not None
    assert await queue.hide(message, 30) is None, "its receipt is not the message's any more"
    await queue.delete(message)
    [message] = await queue.receive(16, 30)
    assert message.dequeue_count == 2
    await queue.delete(message)
    assert await queue.receive(16, 0) == []

    await other.send(message.text)
    [answer] = await store.receive_messages(EVENTS_QUEUE, 1, 30)
    assert answer.text == "täxt"
    await queue.close()
    assert await other.receive(16, 30) == []
    await other.close()


def listener(call: Callable[[str], None], queue: str, open_queue: OpenQueue) -> QueueListener:
    async def function(message: str) -> None:
        call(message)

    trigger = {"type": "queueTrigger", "name": "message", "queueName": queue, "connection": "AzureWebJobsStorage"}
    return QueueListener(HostedFunction("f", trigger, function), OPTIONS, open_queue, {})


async def test_functions_are_called_and_what_they_refuse_is_poison(
    store: EmbeddedStorage, open_queue: OpenQueue
) -> None:
    calls: list[str] = []
    finished = asyncio.Event()

    def call(message: str) -> None:
        calls.append(message)
        if message == "bad":
            if calls.count("bad") == OPTIONS.max_dequeue_count:
                finished.set()
            raise ValueError(message)

    watching = listener(call, OPERATIONS_QUEUE, open_queue)
    for text in ("good", "bad", "better"):
        await store.send_message(OPERATIONS_QUEUE, text)
    running = asyncio.create_task(watching.run())
    await asyncio.wait_for(finished.wait(), 10)
    watching.stop()
    await running
    assert sorted(calls) == ["bad", "bad", "bad", "better", "good"]
    [poison] = await store.receive_messages(OPERATIONS_QUEUE + POISON, 32, 1)
    assert poison.text == "bad"
    assert await store.receive_messages(OPERATIONS_QUEUE, 32, 0) == []
