"""The storage primitives over Azure Storage: a real account or Azurite."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ..errors import Unavailable
from ..settings import Settings
from . import names
from .azure_account import account_of
from .azure_blobs import Blobs
from .azure_odata import MINIMAL
from .azure_pipeline import Pipeline
from .azure_queues import Queues
from .azure_tables import Tables
from .primitives import BlobItem, BlobSource, Condition, Entity, Operation, QueueMessage, Range

_PING_SECONDS = 3.0
_BEING_DELETED_SECONDS = 120.0
"""A real account keeps the name of what was deleted for half a minute or more."""


class AzureStorage:
    """`Storage` over one account. Nothing is connected before the first call; all calls belong to one event loop."""

    compact = True
    distant = True

    def __init__(self, settings: Settings) -> None:
        account = account_of(settings)
        self.value_rows = settings.value_rows == "on" or (settings.value_rows == "auto" and not account.emulated)
        self._pipeline = Pipeline(account, self._restore)
        self._tables = Tables(self._pipeline)
        self._blobs = Blobs(self._pipeline)
        self._queues = Queues(self._pipeline)
        self._restoring: asyncio.Task[None] | None = None

    # -- life

    async def prepare(self) -> None:
        await asyncio.gather(
            *(_insist(self._blobs.create, container) for container in names.CONTAINERS),
            *(_insist(self._tables.create, table) for table in names.TABLES),
            *(_insist(self._queues.create, queue) for queue in names.QUEUES),
        )

    async def _restore(self) -> None:
        """`prepare`, once for all requests that found something missing at the same time."""
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.create_task(self.prepare())
        await asyncio.shield(self._restoring)

    async def ping(self) -> None:
        """Asks each service for something small. What it answers does not matter, as long as it does."""
        headers = {"Accept": MINIMAL}
        await asyncio.gather(
            self._pipeline.once(
                "blob", "HEAD", f"/{names.DICOM}", "restype=container", seconds=_PING_SECONDS, restoring=False
            ),
            self._pipeline.once(
                "table", "GET", f"/{names.INDEX}(PartitionKey='ping',RowKey='ping')", headers=headers,
                seconds=_PING_SECONDS, restoring=False,
            ),
            self._pipeline.once(
                "queue", "GET", f"/{names.OPERATIONS_QUEUE}", "comp=metadata", seconds=_PING_SECONDS, restoring=False
            ),
        )  # fmt: skip

    async def reset(self) -> None:
        """Containers and tables are deleted and made anew, which takes no longer for many rows than for few."""
        await asyncio.gather(
            *(self._blobs.drop(container) for container in names.CONTAINERS),
            *(self._tables.drop(table) for table in names.TABLES),
            *(self._queues.clear(queue) for queue in names.QUEUES),
        )
        await self.prepare()

    async def close(self) -> None:
        await self._pipeline.close()

    # -- tables

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None = None) -> Entity | None:
        return await self._tables.get(table, partition, row, select)

    async def write(self, table: str, operation: Operation) -> str:
        return await self._tables.write(table, operation)

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        return await self._tables.transact(table, operations)

    def query(
        self,
        table: str,
        partitions: str | Range | None = None,
        rows: Range | None = None,
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        top: int | None = None,
    ) -> AsyncIterator[Entity]:
        return self._tables.query(table, partitions, rows, where, select, top)

    # -- blobs

    async def put_blob(self, container: str, name: str, content: bytes | BlobSource) -> None:
        await self._blobs.put(container, name, content)

    async def get_blob(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return await self._blobs.get(container, name, offset, length)

    async def delete_blob(self, container: str, name: str) -> bool:
        return await self._blobs.delete(container, name)

    def list_blobs(self, container: str, prefix: str = "") -> AsyncIterator[BlobItem]:
        return self._blobs.list(container, prefix)

    async def copy_blob(self, container: str, source: str, target: str) -> None:
        await self._blobs.copy(container, source, target)

    # -- queues

    async def send_message(self, queue: str, text: str, delay: float = 0) -> None:
        await self._queues.send(queue, text, delay)

    async def receive_messages(self, queue: str, count: int, visibility: float) -> list[QueueMessage]:
        return await self._queues.receive(queue, count, visibility)

    async def delete_message(self, queue: str, message: QueueMessage) -> None:
        await self._queues.delete(queue, message)


async def _insist(create: Callable[[str], Awaitable[bool]], name: str) -> None:
    """Creates what is missing, waiting for one of the same name that is still being deleted."""
    give_up = time.monotonic() + _BEING_DELETED_SECONDS
    while not await create(name):
        if time.monotonic() > give_up:
            raise Unavailable("The storage of the service is being emptied. Please try again later.")
        await asyncio.sleep(1)
