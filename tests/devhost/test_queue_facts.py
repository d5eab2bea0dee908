"""Queue triggers on a real queue. One test for each row of the facts."""

import asyncio
import base64
import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import azure.functions as func
import pytest

from shared.devhost import queues
from shared.devhost.azure_queue import AzureQueue, azure_queue
from shared.devhost.configuration import QueueOptions, queue_options
from shared.devhost.errors import HostError
from shared.devhost.queues import Delays
from tests.devhost.conftest import StartHost, add_route, new_app

pytestmark = pytest.mark.integration

CONNECTION = "QUEUES_OF_THE_TEST"

Body = Callable[[func.QueueMessage], Any]


@pytest.fixture(autouse=True)
def _connection(azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, azurite)


@pytest.fixture
def name() -> str:
    return f"queue-{uuid.uuid4().hex[:12]}"


OpenQueue = Callable[[str], AzureQueue]


@pytest.fixture
async def queue() -> AsyncIterator[OpenQueue]:
    opened: list[AzureQueue] = []

    def open_queue(name: str) -> AzureQueue:
        opened.append(azure_queue(CONNECTION, name, os.environ))
        return opened[-1]

    yield open_queue
    for one in opened:
        await one.close()


def queue_app(functions: dict[str, Body]) -> func.FunctionApp:
    """An app with one function for each queue."""
    app = new_app()
    for position, (name, body) in enumerate(functions.items()):

        async def taken(message: func.QueueMessage, body: Body = body) -> None:
            result = body(message)
            if asyncio.iscoroutine(result):
                await result

        async def take(message: func.QueueMessage, taken: Any = taken) -> None:
            await taken(message)

        app.function_name(f"take_{position}")(
            app.queue_trigger(arg_name="message", queue_name=name, connection=CONNECTION)(only_message(take))
        )
    add_route(app, "z", "{*path}")
    return app


def only_message(take: Any) -> Any:
    """A function of one parameter, as the programming model wants it."""

    async def take_one(message: func.QueueMessage) -> None:
        await take(message)

    return take_one


def host_json(**options: Any) -> dict[str, Any]:
    return {"extensions": {"http": {"routePrefix": ""}, "queues": {"maxPollingInterval": "00:00:00.2", **options}}}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def failing(message: func.QueueMessage) -> None:
    raise ValueError("of the test")


def test_queue_defaults() -> None:
    processors = os.cpu_count() or 1
    assert queue_options({}) == QueueOptions(16, 8 * processors, 60.0, 0.0, 5, True)
    assert queue_options({"batchSize": 4}).new_batch_threshold == 2 * processors
    assert queue_options({"batchSize": 4, "newBatchThreshold": 0, "visibilityTimeout": "00:00:10"}) == QueueOptions(
        4, 0, 60.0, 10.0, 5, True
    )
    for wrong in (
        {"batchSize": 33},
        {"batchSize": 0},
        {"maxDequeueCount": 0},
        {"maxPollingInterval": "00:00:00.05"},
        {"visibilityTimeout": "ten"},
    ):
        with pytest.raises(HostError, match=r"host\.json"):
            queue_options(wrong)


def test_queue_polling() -> None:
    delays = Delays(2.0)
    first = [delays.next() for _ in range(20)]
    assert first[0] == 0.1
    for exponent, delay in enumerate(first[1:5]):
        assert 0.1 + 0.08 * 2**exponent <= delay <= 0.1 + 0.12 * 2**exponent
    assert first[-1] == 2.0
    assert max(first) == 2.0
    delays.reset()
    assert delays.next() == 0.1
    assert delays.next() < 0.25


async def test_queue_message(start: StartHost, queue: OpenQueue, name: str) -> None:
    taken: list[func.QueueMessage] = []
    source = queue(name)
    await source.send(encoded('{"text": "é"}'))
    host = await start(queue_app({name: taken.append}), host_json=host_json())
    await until(lambda: bool(taken))
    await host.stop()
    [message] = taken
    assert message.get_json() == {"text": "é"}
    assert message.dequeue_count == 1
    assert message.id
    assert message.insertion_time is not None
    assert await source.receive(1, 1) == []


async def test_queue_retries(start: StartHost, queue: OpenQueue, name: str) -> None:
    moments: list[tuple[float, int | None]] = []

    def note(message: func.QueueMessage) -> None:
        moments.append((asyncio.get_running_loop().time(), message.dequeue_count))
        if len(moments) == 1:
            raise ValueError("of the test")

    await queue(name).send(encoded("x"))
    await start(queue_app({name: note}), host_json=host_json(visibilityTimeout="00:00:02"))
    await until(lambda: len(moments) == 2)
    assert [count for _, count in moments] == [1, 2]
    assert 1.5 < moments[1][0] - moments[0][0] < 9


async def test_queue_poison(start: StartHost, queue: OpenQueue, name: str) -> None:
    counts: list[int | None] = []

    def fail(message: func.QueueMessage) -> None:
        counts.append(message.dequeue_count)
        raise ValueError("of the test")

    await queue(name).send(encoded("bad"))
    host = await start(queue_app({name: fail}), host_json=host_json(maxDequeueCount=3))
    poison = queue(name + "-poison")
    found: list[Any] = []
    async with asyncio.timeout(10):
        while not found:
            await asyncio.sleep(0.1)
            found = await poison.receive(1, 1)
    await host.stop()
    assert counts == [1, 2, 3]
    assert found[0].text == encoded("bad")
    assert await queue(name).receive(1, 1) == []


async def test_queue_poison_listener_is_woken(
    start: StartHost, queue: OpenQueue, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both queues are read once at the start, and by themselves a minute later."""
    monkeypatch.setattr(Delays, "next", lambda _: 60.0)
    taken: list[bytes] = []
    app = queue_app({name: failing, name + "-poison": lambda message: taken.append(message.get_body())})
    await queue(name).send(encoded("bad"))
    await start(app, host_json=host_json(maxDequeueCount=1))
    await until(lambda: bool(taken), seconds=20)
    assert taken == [b"bad"]


async def test_queue_poison_has_no_poison(start: StartHost, queue: OpenQueue, name: str) -> None:
    counts: list[int | None] = []

    def fail(message: func.QueueMessage) -> None:
        counts.append(message.dequeue_count)
        raise ValueError("of the test")

    await queue(name + "-poison").send(encoded("bad"))
    host = await start(queue_app({name + "-poison": fail}), host_json=host_json(maxDequeueCount=1))
    await until(lambda: bool(counts))
    await asyncio.sleep(1)
    await host.stop()
    assert counts == [1]
    assert await queue(name + "-poison").receive(1, 1) == []
    assert await queue(name + "-poison-poison").receive(1, 1) == []


async def test_queue_base64(start: StartHost, queue: OpenQueue, name: str) -> None:
    taken: list[bytes] = []
    plain = f"{name}-plain"
    await queue(name).send("no base64!")
    host = await start(queue_app({name: lambda message: taken.append(message.get_body())}), host_json=host_json())
    found: list[Any] = []
    async with asyncio.timeout(10):
        while not found:
            await asyncio.sleep(0.1)
            found = await queue(name + "-poison").receive(1, 1)
    assert found[0].text == "no base64!"
    assert taken == []
    await host.stop()
    await queue(plain).send("no base64!")
    await start(
        queue_app({plain: lambda message: taken.append(message.get_body())}),
        host_json=host_json(messageEncoding="none"),
    )
    await until(lambda: taken == [b"no base64!"])


async def test_queue_hidden_while_running(
    start: StartHost, queue: OpenQueue, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert queues.PROCESSING_SECONDS == 600
    monkeypatch.setattr(queues, "PROCESSING_SECONDS", 2.0)
    counts: list[int | None] = []
    finished: list[bool] = []

    async def slow(message: func.QueueMessage) -> None:
        counts.append(message.dequeue_count)
        await asyncio.sleep(3.5)
        finished.append(True)

    source = queue(name)
    await source.send(encoded("x"))
    host = await start(queue_app({name: slow}), host_json=host_json())
    await until(lambda: bool(finished))
    await host.stop()
    assert counts == [1]
    assert await source.receive(1, 1) == []


async def test_queue_batches(start: StartHost, queue: OpenQueue, name: str) -> None:
    """batchSize + newBatchThreshold run at once, never more."""
    running: list[int] = [0]
    most: list[int] = [0]
    done: list[int] = []

    async def slow(message: func.QueueMessage) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.3)
        running[0] -= 1
        done.append(1)

    source = queue(name)
    for number in range(9):
        await source.send(encoded(str(number)))
    await start(queue_app({name: slow}), host_json=host_json(batchSize=3, newBatchThreshold=1))
    await until(lambda: len(done) == 9)
    assert 3 <= most[0] <= 4


async def test_queue_that_is_missing(start: StartHost, queue: OpenQueue, name: str) -> None:
    taken: list[bytes] = []
    host = await start(queue_app({name: lambda message: taken.append(message.get_body())}), host_json=host_json())
    await asyncio.sleep(0.5)
    assert (await host.request("/")).status == 200
    await queue(name).send(encoded("late"))
    await until(lambda: taken == [b"late"])


async def test_queue_connection(azurite: str, name: str, queue: OpenQueue) -> None:
    for _ in range(4):
        await queue(name).send("x")
    for connection, settings in (
        ("Some", {"Some": azurite}),
        ("Some", {"AzureWebJobsSome": azurite}),
        ("", {"AzureWebJobsStorage": azurite}),
        ("Storage", {"AzureWebJobsStorage": azurite}),
    ):
        found = azure_queue(connection, name, settings)
        messages = await found.receive(1, 60)
        await found.close()
        assert len(messages) == 1
    identity = azure_queue("Some", name, {"Some__queueServiceUri": "https://queues.example", "Some__clientId": "x"})
    assert identity.url == f"https://queues.example/{name}"
    await identity.close()
    account = azure_queue("Some", name, {"Some__accountName": "acme", "Some__credential": "managedidentity"})
    assert account.url == f"https://acme.queue.core.windows.net/{name}"
    await account.close()
    for missing in ({}, {"Some": ""}, {"Some": "no connection string"}):
        with pytest.raises(HostError, match="Some"):
            azure_queue("Some", name, missing)


async def test_queue_listeners_stop_in_peace(start: StartHost, queue: OpenQueue, name: str) -> None:
    began: list[bool] = []
    finished: list[bool] = []

    async def slow(message: func.QueueMessage) -> None:
        began.append(True)
        await asyncio.sleep(1)
        finished.append(True)

    source = queue(name)
    await source.send(encoded("x"))
    host = await start(queue_app({name: slow}), host_json=host_json())
    await until(lambda: bool(began))
    await host.stop()
    assert finished == [True]
    assert await source.receive(1, 1) == []
