"""The operations that everything in `shared/storage/` is built from, and the failures they can report.

Two engines implement `Storage`: Azure Storage (`azure.py`) and, for one machine, SQLite with plain files. They are as
strong as Azure Storage and no stronger: a transaction covers one partition of one table, an ETag guards one entity.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..clock import Ticks
from ..errors import DicomServiceError, Unavailable

Value = str | int | float | bool | bytes
"""Property values. An int is always Edm.Int64, bytes are Edm.Binary."""

ANY = "*"
"""As an ETag: whatever is there."""


@dataclass(slots=True)
class Entity:
    """One row. `etag` and `timestamp` (the service's own time of the last write) are set on what was read."""

    partition: str
    row: str
    values: dict[str, Value] = field(default_factory=dict)
    etag: str = ""
    timestamp: Ticks = 0


@dataclass(frozen=True, slots=True)
class Insert:
    """Fails with `EntityExists` if the row is there."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Replace:
    """All properties are replaced. Fails with `EntityMissing` or `EntityChanged`."""

    entity: Entity
    etag: str


@dataclass(frozen=True, slots=True)
class Merge:
    """The properties given are set, the others stay. Fails with `EntityMissing` or `EntityChanged`."""

    entity: Entity
    etag: str


@dataclass(frozen=True, slots=True)
class Upsert:
    """Insert or replace, unconditionally."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Delete:
    """Fails with `EntityMissing` or `EntityChanged`."""

    partition: str
    row: str
    etag: str


Operation = Insert | Replace | Merge | Upsert | Delete

MOST_OPERATIONS = 100
"""Operations in one transaction."""


@dataclass(frozen=True, slots=True)
class Compare:
    """A row without the property never matches. Strings compare by code units, as UTF-16 (so does Azure)."""

    name: str
    operator: Literal["eq", "gt", "ge", "lt", "le"]
    value: Value


@dataclass(frozen=True, slots=True)
class And:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or:
    conditions: tuple["Condition", ...]


Condition = Compare | And | Or

Range = tuple[str, str | None]
"""Half open: from the first string up to, not including, the second; None is no upper end."""


@dataclass(frozen=True, slots=True)
class BlobItem:
    name: str
    size: int
    modified: Ticks


@dataclass(frozen=True, slots=True)
class QueueMessage:
    id: str
    receipt: str
    text: str
    dequeue_count: int


class BlobSource(Protocol):
    """What is uploaded: bytes in memory or a file on disk. `read` may block for a moment; it is called in a thread
    when the source says that it is slow."""

    @property
    def size(self) -> int: ...

    @property
    def in_memory(self) -> bool: ...

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, `length` of them or what is left."""
        ...


class EntityExists(DicomServiceError):
    """409: an insert met a row."""


class EntityMissing(DicomServiceError):
    """404: the row to replace, merge or delete is not there."""


class EntityChanged(DicomServiceError):
    """412: the ETag is not the row's any more."""


class TransactionRefused(DicomServiceError):
    """Nothing of the transaction took place; `index` is the first operation at fault, `cause` says why."""

    def __init__(self, index: int, cause: EntityExists | EntityMissing | EntityChanged) -> None:
        super().__init__(f"operation {index}: {type(cause).__name__}")
        self.index = index
        self.cause = cause


class BlobExists(DicomServiceError):
    """A blob of that name is there already."""


class BlobMissing(DicomServiceError):
    """No such blob."""


class Unanswered(Unavailable):
    """A write got no answer (connection lost, time-out, 5xx): it may have taken place, may yet, or never will."""


class Storage(Protocol):
    """One account. Reads are repeated for a few seconds when storage does not answer and then raise `Unavailable`;
    writes of entities are sent once (protocol, rule 12) and raise `Unanswered`."""

    compact: bool
    """Whether rows should be kept small at the cost of CPU time."""

    value_rows: bool
    """Whether searches are to find studies and series by rows of their values: where a query that goes through
    everything costs more than the rows do."""

    distant: bool
    """Whether a row takes so long to come that something can be done meanwhile."""

    # -- life

    async def prepare(self) -> None:
        """Makes the containers, tables and queues that are missing; several processes may do it at once."""
        ...

    async def ping(self) -> None:
        """One cheap request to each service; raises `Unavailable` within a few seconds."""
        ...

    async def reset(self) -> None:
        """Removes every row, blob and message."""
        ...

    async def close(self) -> None: ...

    # -- tables

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None = None) -> Entity | None: ...

    async def write(self, table: str, operation: Operation) -> str:
        """Carries out one operation; the row's new ETag, empty for a deletion."""
        ...

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        """All or nothing, one partition, each row at most once; the new ETags. Raises `TransactionRefused`."""
        ...

    def query(
        self,
        table: str,
        partitions: str | Range | None = None,
        rows: Range | None = None,
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        top: int | None = None,
    ) -> AsyncIterator[Entity]:
        """Rows in order of partition and row key, at most `top`; continues over pages by itself.

        `partitions` is one partition or a range of them; `rows` a range of row keys in each."""
        ...

    # -- blobs

    async def put_blob(self, container: str, name: str, content: bytes | BlobSource) -> None:
        """Writes a new blob; raises `BlobExists`. Content above a few MB goes in blocks, made visible at once."""
        ...

    async def get_blob(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """The range, cut at the end of the blob; raises `BlobMissing`."""
        ...

    async def delete_blob(self, container: str, name: str) -> bool:
        """Whether it was there."""
        ...

    def list_blobs(self, container: str, prefix: str = "") -> AsyncIterator[BlobItem]:
        """In order of name."""
        ...

    async def copy_blob(self, container: str, source: str, target: str) -> None: ...

    # -- queues

    async def send_message(self, queue: str, text: str, delay: float = 0) -> None:
        """`delay` in seconds until it becomes visible. The text goes base64, as the Functions host expects."""
        ...

    async def receive_messages(self, queue: str, count: int, visibility: float) -> list[QueueMessage]: ...

    async def delete_message(self, queue: str, message: QueueMessage) -> None: ...
