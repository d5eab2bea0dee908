"""The Queue service. Text is base64, as the Functions host expects with `messageEncoding` base64."""

import base64
import math
from xml.etree import ElementTree

from .azure_pipeline import Pipeline, error_code, in_path, in_query, refused
from .primitives import QueueMessage

_FOR_EVER = "messagettl=-1"
_MOST_AT_ONCE = 32


class Queues:
    """Works on the queues of one account. Delivery is at least once: a sending whose answer was lost is repeated."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def create(self, queue: str) -> bool:
        """Makes sure that the queue is there; false while one of its name is still being deleted."""
        response = await self._pipeline.read("queue", "PUT", f"/{queue}", content=b"", restoring=False)
        code = error_code(response) if response.status_code >= 400 else ""
        if response.status_code < 300 or code == "QueueAlreadyExists":
            return True
        if code == "QueueBeingDeleted":
            return False
        raise refused("queue", response)

    async def clear(self, queue: str) -> None:
        response = await self._pipeline.read("queue", "DELETE", f"/{queue}/messages", restoring=False)
        if response.status_code >= 300 and response.status_code != 404:
            raise refused("queue", response)

    async def send(self, queue: str, text: str, delay: float) -> None:
        encoded = base64.b64encode(text.encode()).decode()
        response = await self._pipeline.read(
            "queue",
            "POST",
            f"/{queue}/messages",
            f"visibilitytimeout={math.ceil(delay)}&{_FOR_EVER}",
            headers={"Content-Type": "application/xml"},
            content=f"<QueueMessage><MessageText>{encoded}</MessageText></QueueMessage>".encode(),
        )
        if response.status_code != 201:
            raise refused("queue", response)

    async def receive(self, queue: str, count: int, visibility: float) -> list[QueueMessage]:
        query = f"numofmessages={min(count, _MOST_AT_ONCE)}&visibilitytimeout={max(1, math.ceil(visibility))}"
        response = await self._pipeline.read("queue", "GET", f"/{queue}/messages", query)
        if response.status_code != 200:
            raise refused("queue", response)
        page = ElementTree.fromstring(response.content)  # noqa: S314  from our own account
        return [_message(message) for message in page.iterfind("QueueMessage")]

    async def delete(self, queue: str, message: QueueMessage) -> None:
        """A message that is gone, or that somebody else has received since, is left to them."""
        path = f"/{queue}/messages/{in_path(message.id)}"
        response = await self._pipeline.read("queue", "DELETE", path, f"popreceipt={in_query(message.receipt)}")
        if response.status_code >= 300 and error_code(response) not in ("MessageNotFound", "PopReceiptMismatch"):
            raise refused("queue", response)


def _message(message: ElementTree.Element) -> QueueMessage:
    return QueueMessage(
        id=message.findtext("MessageId") or "",
        receipt=message.findtext("PopReceipt") or "",
        text=base64.b64decode(message.findtext("MessageText") or "").decode(),
        dequeue_count=int(message.findtext("DequeueCount") or 1),
    )
