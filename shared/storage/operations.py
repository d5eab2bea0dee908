"""Table `operations`: what runs long, from a queue, and how far it has come (OPS-01 to OPS-06)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import orjson

from ..clock import Ticks
from . import names
from .primitives import Entity, EntityExists, Insert, Replace, Storage, Unanswered

_ROW = "operation"


class OperationStatus(Enum):
    """As bodies print it (OPS-03)."""

    NOT_STARTED = "notStarted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @property
    def finished(self) -> bool:
        return self not in (OperationStatus.NOT_STARTED, OperationStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `state` is what its next step starts from; `reason` says why it failed."""

    id: str
    type: str
    created: Ticks
    updated: Ticks
    status: OperationStatus = OperationStatus.NOT_STARTED
    percent: int = 0
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    etag: str = ""


class Operations:
    """Reads and writes the table; finished operations stay (OPS-06)."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def create(self, operation: Operation) -> Operation:
        """Writes down a new operation, whose id nobody else has."""
        try:
            etag = await self._storage.write(names.OPERATIONS, Insert(_entity(operation)))
        except (EntityExists, Unanswered):
            found = await self.get(operation.id)
            if found is None:
                raise
            return found
        return replace(operation, etag=etag)

    async def get(self, id_: str) -> Operation | None:
        entity = await self._storage.get(names.OPERATIONS, id_, _ROW)
        return _operation(entity) if entity else None

    async def save(self, operation: Operation) -> Operation:
        """Replaces the operation as it was read; raises `EntityChanged` if somebody else has done so."""
        etag = await self._storage.write(names.OPERATIONS, Replace(_entity(operation), operation.etag))
        return replace(operation, etag=etag)


def _entity(operation: Operation) -> Entity:
    return Entity(
        operation.id,
        _ROW,
        {
            "type": operation.type,
            "created": operation.created,
            "updated": operation.updated,
            "status": operation.status.value,
            "percent": operation.percent,
            "reason": operation.reason,
            "state": orjson.dumps(operation.state),
        },
    )


def _operation(entity: Entity) -> Operation:
    values = entity.values
    state = values["state"]
    return Operation(
        id=entity.partition,
        type=str(values["type"]),
        created=int(values["created"]),
        updated=int(values["updated"]),
        status=OperationStatus(values["status"]),
        percent=int(values["percent"]),
        reason=str(values["reason"]),
        state=orjson.loads(state) if isinstance(state, bytes) else {},
        etag=entity.etag,
    )
