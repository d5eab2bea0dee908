"""Queues, on each engine. The queue is one that no function reads; each test empties it first."""

import asyncio
import time

import pytest

from shared.storage.names import EVENTS_QUEUE
from shared.storage.primitives import QueueMessage, Storage

pytestmark = pytest.mark.integration


@pytest.fixture
async def queue(storage: Storage) -> str:
    while messages := await storage.receive_messages(EVENTS_QUEUE, 32, 30):
        for message in messages:
            await storage.delete_message(EVENTS_QUEUE, message)
    return EVENTS_QUEUE


async def receive(storage: Storage, queue: str, visibility: float = 30) -> list[QueueMessage]:
    return await storage.receive_messages(queue, 32, visibility)


@pytest.mark.parametrize("text", ["plain", "", '{"a": "<ü & \U0001f600>"}', "line\r\nline\x00", "x" * 40_000])
async def test_text_comes_back_as_it_went(storage: Storage, queue: str, text: str) -> None:
    await storage.send_message(queue, text)
    [message] = await receive(storage, queue)
    assert (message.text, message.dequeue_count) == (text, 1)
    await storage.delete_message(queue, message)
    assert await receive(storage, queue) == []


async def test_several_messages(storage: Storage, queue: str) -> None:
    assert await receive(storage, queue) == []
    for number in range(5):
        await storage.send_message(queue, str(number))
    first = await storage.receive_messages(queue, 2, 30)
    rest = await storage.receive_messages(queue, 32, 30)
    assert (len(first), len(rest)) == (2, 3)
    assert sorted(message.text for message in first + rest) == list("01234")
    assert len({message.id for message in first + rest}) == 5
    for message in first + rest:
        await storage.delete_message(queue, message)


async def test_a_received_message_comes_again_and_is_counted(storage: Storage, queue: str) -> None:
    await storage.send_message(queue, "again")
    [first] = await receive(storage, queue, visibility=1)
    assert await receive(storage, queue) == []
    await asyncio.sleep(1.3)
    [second] = await receive(storage, queue, visibility=1)
    assert (second.id, second.text, second.dequeue_count) == (first.id, "again", 2)
    await asyncio.sleep(1.3)
    [third] = await receive(storage, queue)
    assert third.dequeue_count == 3
    await storage.delete_message(queue, third)


async def test_an_old_receipt_deletes_nothing(storage: Storage, queue: str) -> None:
    """Who took too long has lost the message to whoever received it since."""
    await storage.send_message(queue, "slow")
    [first] = await receive(storage, queue, visibility=1)
    await asyncio.sleep(1.3)
    [second] = await receive(storage, queue, visibility=1)
    await storage.delete_message(queue, first)
    await asyncio.sleep(1.3)
    [third] = await receive(storage, queue)
    assert third.id == second.id
    await storage.delete_message(queue, third)


async def test_deleting_twice(storage: Storage, queue: str) -> None:
    await storage.send_message(queue, "once")
    [message] = await receive(storage, queue)
    await storage.delete_message(queue, message)
    await storage.delete_message(queue, message)
    assert await receive(storage, queue) == []


async def test_delay(storage: Storage, queue: str) -> None:
    sent = time.monotonic()
    await storage.send_message(queue, "later", delay=1.5)
    await storage.send_message(queue, "now")
    assert [message.text for message in await receive(storage, queue)] == ["now"]
    later: list[QueueMessage] = []
    while not later and time.monotonic() < sent + 5:
        await asyncio.sleep(0.1)
        later = await receive(storage, queue)
    assert [message.text for message in later] == ["later"]
    assert time.monotonic() - sent > 1.4


async def test_many_receivers_get_each_message_once(storage: Storage, queue: str) -> None:
    for number in range(20):
        await storage.send_message(queue, str(number))
    received = await asyncio.gather(*(storage.receive_messages(queue, 4, 30) for _ in range(10)))
    texts = [message.text for messages in received for message in messages]
    assert sorted(texts) == sorted(map(str, range(20)))
