"""Queue triggers on the embedded store: what the local Functions host reads instead of Azure Storage queues.

The host is pointed here with `DEVHOST_QUEUES` = `SETTING` and expects of a queue what `Queue` offers. Messages are in
base64 on this side, as `host.json` says.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..clock import Ticks, to_datetime, wall_clock
from ..settings import settings
from .embedded_database import Database
from .embedded_queues import Queues

SETTING = f"{__name__}:open_embedded_queue"


@dataclass(frozen=True, slots=True)
class HostMessage:
    """A message as the host wants it; it never expires."""

    id: str
    receipt: str
    text: str
    dequeue_count: int
    inserted: datetime
    next_visible: datetime
    expires: datetime | None = None


class Queue:
    """One queue of the store that the settings name."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._queues = Queues(database, wall_clock)
        self._name = name

    async def receive(self, count: int, visibility: float) -> list[HostMessage]:
        """Up to `count` messages, which nobody else sees for `visibility` seconds."""
        return [
            HostMessage(
                id=str(held.id),
                receipt=str(held.receipt),
                text=base64.b64encode(held.text.encode()).decode(),
                dequeue_count=held.dequeued,
                inserted=to_datetime(held.inserted),
                next_visible=to_datetime(held.visible),
            )
            for held in await self._queues.receive(self._name, count, visibility)
        ]

    async def hide(self, message: HostMessage, visibility: float) -> HostMessage | None:
        """Hides a held message for `visibility` seconds from now; None when it is not ours any more."""
        hidden: tuple[int, Ticks] | None = await self._queues.hide(
            self._name, int(message.id), int(message.receipt), visibility
        )
        if hidden is None:
            return None
        receipt, until = hidden
        return HostMessage(
            message.id, str(receipt), message.text, message.dequeue_count, message.inserted, to_datetime(until)
        )

    async def delete(self, message: HostMessage) -> None:
        """Removes a held message; nothing happens when it is not ours any more."""
        await self._queues.delete(self._name, int(message.id), int(message.receipt))

    async def send(self, text: str) -> None:
        """Adds a message, given in base64."""
        await self._queues.send(self._name, base64.b64decode(text).decode())

    async def close(self) -> None:
        await _let_go(self._database)


_open: dict[Database, int] = {}
"""The database that the queues of this process share, and how many they are."""


def open_embedded_queue(connection: str, queue: str) -> Queue:
    """The queue of that name. There is one store, whatever the connection is called."""
    chosen = settings()
    directory = Path(chosen.store_path).absolute()
    database = next((each for each in _open if each.directory == directory), None) or Database(
        directory, chosen.store_durable
    )
    _open[database] = _open.get(database, 0) + 1
    return Queue(database, queue)


async def _let_go(database: Database) -> None:
    _open[database] -= 1
    if not _open[database]:
        del _open[database]
        await database.close()
