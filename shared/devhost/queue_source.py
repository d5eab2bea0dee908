"""Where queue triggers read: the narrow interface to a queue, and how a queue is found by the name of its connection.

Azure Storage queues are the rule. `DEVHOST_QUEUES=module:attribute` names something else: a function that takes the
name of the connection setting and the name of the queue, and returns a `MessageQueue`.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from .errors import HostError

SOURCE_SETTING = "DEVHOST_QUEUES"


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message as it lies in the queue: `text` is not decoded yet, `receipt` proves that we hold it."""

    id: str
    receipt: str
    text: str
    dequeue_count: int
    inserted: datetime | None = None
    expires: datetime | None = None
    next_visible: datetime | None = None


class MessageQueue(Protocol):
    """One queue."""

    async def receive(self, count: int, visibility: float) -> list[ReceivedMessage]:
        """Up to `count` messages, which nobody else sees for `visibility` seconds; none when there is no such queue."""
        ...

    async def hide(self, message: ReceivedMessage, visibility: float) -> ReceivedMessage | None:
        """Hide a held message for `visibility` seconds from now; `None` when it is not ours any more."""
        ...

    async def delete(self, message: ReceivedMessage) -> None:
        """Remove a held message; nothing happens when it is not ours any more."""
        ...

    async def send(self, text: str) -> None:
        """Add a message; the queue is made if it is missing."""
        ...

    async def close(self) -> None:
        """Let go of what the queue holds open."""
        ...


OpenQueue = Callable[[str, str], MessageQueue]
"""Takes the name of a connection setting and the name of a queue."""


def queue_opener() -> OpenQueue:
    """What opens queues here; the Azure SDK is imported no sooner than this."""
    target = os.environ.get(SOURCE_SETTING, "")
    if not target:
        from .azure_queue import open_azure_queue

        return open_azure_queue
    module, _, attribute = target.partition(":")
    try:
        opener: OpenQueue = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise HostError(f"{SOURCE_SETTING} names nothing: {target}") from None
    return opener
