"""Queues of another kind than those of Azure Storage can be plugged into the host."""

import asyncio
import itertools
import sys
from dataclasses import replace
from types import ModuleType

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.azurite import free_ports
from shared.devhost.azure_queue import azure_queue
from shared.devhost.errors import HostError
from shared.devhost.queue_source import ReceivedMessage, queue_opener
from tests.devhost.conftest import StartHost, add_route, new_app
from tests.devhost.test_queue_facts import encoded, host_json, until

pytestmark = pytest.mark.integration


class ListQueue:
    """A queue in a list, for one reader."""

    queues: dict[tuple[str, str], "ListQueue"] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []
        self.hidden: dict[str, ReceivedMessage] = {}
        self.numbers = itertools.count()

    async def receive(self, count: int, visibility: float) -> list[ReceivedMessage]:
        taken, self.messages = self.messages[:count], self.messages[count:]
        taken = [replace(message, dequeue_count=message.dequeue_count + 1) for message in taken]
        self.hidden |= {message.id: message for message in taken}
        return taken

    async def hide(self, message: ReceivedMessage, visibility: float) -> ReceivedMessage | None:
        if visibility == 0:
            self.messages.append(self.hidden.pop(message.id))
        return message

    async def delete(self, message: ReceivedMessage) -> None:
        self.hidden.pop(message.id, None)

    async def send(self, text: str) -> None:
        self.messages.append(ReceivedMessage(str(next(self.numbers)), "", text, 0))

    async def close(self) -> None:
        pass


def open_list_queue(connection: str, queue: str) -> ListQueue:
    return ListQueue.queues.setdefault((connection, queue), ListQueue())


@pytest.fixture
def list_queues(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], ListQueue]:
    module = ModuleType("queues_of_the_test")
    module.__dict__["open_list_queue"] = open_list_queue
    monkeypatch.setitem(sys.modules, "queues_of_the_test", module)
    monkeypatch.setenv("DEVHOST_QUEUES", "queues_of_the_test:open_list_queue")
    ListQueue.queues.clear()
    return ListQueue.queues


async def test_another_source(start: StartHost, list_queues: dict[tuple[str, str], ListQueue]) -> None:
    counts: list[int | None] = []
    poisoned: list[bytes] = []
    app = new_app()

    @app.queue_trigger(arg_name="message", queue_name="work", connection="Store")
    async def work(message: func.QueueMessage) -> None:
        counts.append(message.dequeue_count)
        raise ValueError("of the test")

    @app.queue_trigger(arg_name="message", queue_name="work-poison", connection="Store")
    async def work_poison(message: func.QueueMessage) -> None:
        poisoned.append(message.get_body())

    add_route(app, "z", "{*path}")
    await open_list_queue("Store", "work").send(encoded("bad"))
    host = await start(app, host_json=host_json(maxDequeueCount=3))
    await until(lambda: poisoned == [b"bad"])
    await asyncio.sleep(0.1)
    await host.stop()
    assert counts == [1, 2, 3]
    assert not any(queue.messages or queue.hidden for queue in list_queues.values())


@pytest.mark.parametrize("target", ["no_such_module:open", "queues_of_the_test:nothing", "queues_of_the_test", ":x"])
def test_a_source_that_does_not_exist(
    list_queues: dict[tuple[str, str], ListQueue], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("DEVHOST_QUEUES", target)
    with pytest.raises(HostError, match="DEVHOST_QUEUES names nothing"):
        queue_opener()


async def test_storage_that_is_not_there_yet() -> None:
    """A host that starts beside its Azurite asks again soon: by itself the SDK would wait for a minute in all."""
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}/devstoreaccount1"
    text = f"AccountName=devstoreaccount1;AccountKey=bm8ga2V5;QueueEndpoint={endpoint}"
    queue = azure_queue("Store", "work", {"AzureWebJobsStore": text})
    try:
        async with asyncio.timeout(10):
            with pytest.raises(ServiceRequestError):
                await queue.receive(1, 1)
    finally:
        await queue.close()
