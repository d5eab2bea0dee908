"""Queues of the embedded store. The text of a message is kept as it is."""

import random
import sqlite3
from dataclasses import dataclass

from ..clock import SECOND, Clock, Ticks
from ..errors import DicomServiceError
from .embedded_database import Database
from .embedded_tables import etag_number
from .names import QUEUES
from .primitives import QueueMessage

_RECEIPTS = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Held:
    """A message that was received. Whoever has its receipt may hide or delete it, until it is received again."""

    id: int
    receipt: int
    text: str
    dequeued: int
    inserted: Ticks
    visible: Ticks


class Queues:
    """Messages are received in the order in which they became visible."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(self, queue: str, text: str, delay: float = 0) -> None:
        """Adds a message that becomes visible after `delay` seconds."""
        if queue not in QUEUES:
            raise DicomServiceError(f"there is no queue {queue}")
        now = self._clock()
        message = (queue, now, now + round(delay * SECOND), _RECEIPTS.getrandbits(63), text)
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT INTO message (queue, inserted, visible, receipt, dequeued, text) VALUES (?, ?, ?, ?, 0, ?)",
                message,
            )
        )

    async def receive(self, queue: str, count: int, visibility: float) -> list[Held]:
        """Up to `count` messages, hidden from now on for `visibility` seconds."""
        # An empty queue is polled without the write lock.
        if not await self._database.read(lambda connection: self._due(connection, queue, 1)):
            return []
        return await self._database.write(lambda connection: self._take(connection, queue, count, visibility))

    def _due(self, connection: sqlite3.Connection, queue: str, count: int) -> list[tuple[int, str, int, int]]:
        return connection.execute(
            "SELECT id, text, dequeued, inserted FROM message WHERE queue = ? AND visible <= ?"
            " ORDER BY visible, id LIMIT ?",
            (queue, self._clock(), count),
        ).fetchall()

    def _take(self, connection: sqlite3.Connection, queue: str, count: int, visibility: float) -> list[Held]:
        until = self._clock() + round(visibility * SECOND)
        taken = []
        for number, text, dequeued, inserted in self._due(connection, queue, count):
            held = Held(number, _RECEIPTS.getrandbits(63), text, dequeued + 1, inserted, until)
            connection.execute(
                "UPDATE message SET visible = ?, receipt = ?, dequeued = ? WHERE id = ?",
                (until, held.receipt, held.dequeued, number),
            )
            taken.append(held)
        return taken

    async def hide(self, queue: str, number: int, receipt: int, visibility: float) -> tuple[int, Ticks] | None:
        """Hides a held message for `visibility` seconds from now; its new receipt and until when, None if it is held
        no more."""
        new = _RECEIPTS.getrandbits(63), self._clock() + round(visibility * SECOND)
        key = (queue, number, receipt)
        hidden = await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE message SET receipt = ?, visible = ? WHERE queue = ? AND id = ? AND receipt = ?",
                    (*new, *key),
                ).rowcount
            )
        )
        return new if hidden else None

    async def delete(self, queue: str, number: int, receipt: int) -> None:
        """Removes a held message; nothing happens if it is held no more."""
        key = (queue, number, receipt)
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM message WHERE queue = ? AND id = ? AND receipt = ?", key)
        )


def as_message(held: Held) -> QueueMessage:
    """In the words of the primitives."""
    return QueueMessage(str(held.id), str(held.receipt), held.text, held.dequeued)


def numbers_of(message: QueueMessage) -> tuple[int, int]:
    """Number and receipt; ones that no message has for texts that are none of ours."""
    return etag_number(message.id), etag_number(message.receipt)
