"""Queue triggers: batches, retries and poison messages as the real host handles them."""

import asyncio
import base64
import binascii
import inspect
import logging
import random
from collections.abc import Callable
from typing import Any

from azure.functions.queue import QueueMessage

from .configuration import SHORTEST_POLLING, QueueOptions
from .functions import HostedFunction
from .queue_source import MessageQueue, OpenQueue, ReceivedMessage
from .waiting import happens

logger = logging.getLogger(__name__)

POISON = "-poison"
LONGEST_NAME = 63
PROCESSING_SECONDS = 600.0
"""For how long a message stays hidden while its function runs; renewed at half time."""

Watchers = dict[str, "QueueListener"]
"""The listeners of a host by the name of their queue."""


class Undecodable(Exception):
    """The text of a message is not in the encoding that `host.json` names."""


class QueueListener:
    """Feeds one queue to one function."""

    def __init__(
        self, function: HostedFunction, options: QueueOptions, open_queue: OpenQueue, watchers: Watchers
    ) -> None:
        connection, self.name = function.setting("connection"), function.setting("queueName").lower()
        self._function = function
        self._options = options
        self._queue = open_queue(connection, self.name)
        self._poison = open_queue(connection, self.name + POISON) if has_poison_queue(self.name) else None
        self._watchers = watchers
        self._delays = Delays(options.max_polling_interval)
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()
        self._argument = argument_maker(function)
        watchers[self.name] = self

    async def run(self) -> None:
        """Read and process until stopped, then wait for what runs."""
        try:
            while not self._stopping:
                if await self._receive():
                    await self._below_threshold()
                else:
                    await happens(self._wake, self._delays.next())
            if self._running:
                await asyncio.wait(self._running)
        finally:
            await self._close()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True
        self._wake.set()

    def notify(self) -> None:
        """Read at once: a message has been added by this host."""
        self._wake.set()

    async def _receive(self) -> bool:
        """Begin to process one batch; whether there was any message."""
        self._wake.clear()
        try:
            batch = await self._queue.receive(self._options.batch_size, PROCESSING_SECONDS)
        except Exception as error:
            logger.warning("The queue %s cannot be read: %s", self.name, first_line(error))
            return False
        for message in batch:
            task = asyncio.create_task(self._process(message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if batch:
            self._delays.reset()
        return bool(batch)

    async def _below_threshold(self) -> None:
        while len(self._running) > self._options.new_batch_threshold and not self._stopping:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _process(self, message: ReceivedMessage) -> None:
        try:
            await self._handle(message)
        except Exception as error:
            logger.warning("A message of the queue %s was not finished: %s", self.name, first_line(error))

    async def _handle(self, message: ReceivedMessage) -> None:
        """One message from its receipt to its deletion, release or removal to the poison queue."""
        if message.dequeue_count > self._options.max_dequeue_count:
            await self._to_poison(message)
            return
        try:
            body = decoded(message.text, self._options.base64)
        except Undecodable:
            await self._to_poison(message)
            return
        hold = Hold(self._queue, message)
        async with hold:
            succeeded = await self._succeeds(message, body)
        if succeeded:
            await self._queue.delete(hold.message)
        elif self._poison is None:
            return  # stays hidden, so that a poison queue cannot spin
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self._to_poison(hold.message)
        else:
            await self._queue.hide(hold.message, self._options.visibility_timeout)

    async def _succeeds(self, message: ReceivedMessage, body: bytes) -> bool:
        try:
            await self._function.invoke(self._argument(message, body))
        except Exception:
            logger.exception("The queue function %s failed.", self._function.name)
            return False
        return True

    async def _to_poison(self, message: ReceivedMessage) -> None:
        if self._poison is None:
            return
        logger.warning("A message of the queue %s goes to %s%s.", self.name, self.name, POISON)
        await self._poison.send(message.text)
        await self._queue.delete(message)
        watcher = self._watchers.get(self.name + POISON)
        if watcher is not None:
            watcher.notify()

    async def _close(self) -> None:
        self._watchers.pop(self.name, None)
        await self._queue.close()
        if self._poison is not None:
            await self._poison.close()


class Hold:
    """Keeps a message hidden while its function runs; `message` has the newest receipt."""

    def __init__(self, queue: MessageQueue, message: ReceivedMessage) -> None:
        self.message = message
        self._queue = queue
        self._done = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Hold":
        """Start renewing."""
        self._renewal = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop renewing; a renewal that is under way is waited for, since it changes the receipt."""
        self._done.set()
        if self._renewal is not None:
            await self._renewal

    async def _renew(self) -> None:
        while not await happens(self._done, PROCESSING_SECONDS / 2):
            try:
                renewed = await self._queue.hide(self.message, PROCESSING_SECONDS)
            except Exception as error:
                logger.warning("A message could not be kept hidden: %s", first_line(error))
                continue
            if renewed is None:
                return
            self.message = renewed


class Delays:
    """Seconds between two looks into an empty queue: 0.1 at first, doubled with some chance up to a maximum."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._exponent = 0
        self._found = False

    def reset(self) -> None:
        """A message was found."""
        self._found = True

    def next(self) -> float:
        """The delay after a look that found nothing."""
        if self._found:
            self._found = False
            self._exponent = 1
            return SHORTEST_POLLING
        delay = SHORTEST_POLLING
        if self._exponent > 0:
            delay += random.uniform(0.8, 1.2) * 2 ** (self._exponent - 1) * SHORTEST_POLLING  # noqa: S311
        if delay >= self._longest:
            return self._longest
        self._exponent += 1
        return delay


def has_poison_queue(name: str) -> bool:
    """A poison queue has none of its own, nor has a queue whose name would grow too long."""
    return not name.endswith(POISON) and len(name + POISON) <= LONGEST_NAME


def decoded(text: str, in_base64: bool) -> bytes:
    """The body of a message; raises `Undecodable`."""
    if not in_base64:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Undecodable from error


def argument_maker(function: HostedFunction) -> Callable[[ReceivedMessage, bytes], Any]:
    """What makes the argument of a queue function: text, bytes or a `QueueMessage`, by its annotation."""
    parameter = inspect.signature(function.call).parameters.get(function.parameter)
    annotation = parameter.annotation if parameter else None
    if annotation in (str, "str"):
        return lambda message, body: body.decode()
    if annotation in (bytes, "bytes"):
        return lambda message, body: body
    return queue_message


def queue_message(message: ReceivedMessage, body: bytes) -> QueueMessage:
    """What a queue function is given."""
    return QueueMessage(  # type: ignore[no-untyped-call]
        id=message.id,
        body=body,
        dequeue_count=message.dequeue_count,
        expiration_time=message.expires,
        insertion_time=message.inserted,
        time_next_visible=message.next_visible,
        pop_receipt=message.receipt,
    )


def first_line(error: Exception) -> str:
    """The first line of an error, for a log line."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
