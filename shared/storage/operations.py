"""Table `operations`: what runs long, from a queue, and how far it has come (OPS-01 to OPS-06)."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count
from typing import Any

import orjson

from ..clock import Ticks
from . import names
from .guarded_writes import write_guarded
from .primitives import (
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Replace,
    Storage,
    Unanswered,
    Value,
)

_ROW = "operation"

_ACTIVE = "active"
"""Partition of the rows that name the active operation of a type: no operation has such an id."""

_STATE_BYTES = 60_000
"""A binary property takes 64 KB; a state that is longer goes on in the next one."""


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

    # -- types of which one operation at a time is active

    async def active(self, type_: str) -> Operation | None:
        """The operation of the type that is not finished; None if there is none."""
        row = await self._storage.get(names.OPERATIONS, _ACTIVE, type_)
        operation = await self.get(str(row.values["operation"])) if row else None
        return None if operation is None or operation.status.finished else operation

    async def create_alone(self, operation: Operation) -> Operation:
        """Writes down an operation and makes it the active one of its type; returns the one that is active then.

        The operation comes first and one guarded write after it decides: nobody ever waits for an operation that was
        not written down because its process died.
        """
        created = await self.create(operation)

        async def claim() -> tuple[Operation, Insert | Replace | None]:
            row = await self._storage.get(names.OPERATIONS, _ACTIVE, operation.type)
            named = str(row.values["operation"]) if row else ""
            other = await self.get(named) if named and named != operation.id else None
            if named == operation.id:
                return created, None
            if other is not None and not other.status.finished:
                return other, None
            own = Entity(_ACTIVE, operation.type, {"operation": operation.id})
            return created, Replace(own, row.etag) if row else Insert(own)

        active = await write_guarded(self._storage, names.OPERATIONS, claim)
        if active is not created:
            await self._remove(created)
        return active

    async def _remove(self, operation: Operation) -> None:
        """Takes back an operation of which nobody has been told."""
        with contextlib.suppress(EntityMissing, EntityChanged, Unanswered):
            await self._storage.write(names.OPERATIONS, Delete(operation.id, _ROW, operation.etag))


def _entity(operation: Operation) -> Entity:
    values: dict[str, Value] = {
        "type": operation.type,
        "created": operation.created,
        "updated": operation.updated,
        "status": operation.status.value,
        "percent": operation.percent,
        "reason": operation.reason,
    }
    state = orjson.dumps(operation.state)
    for number, start in enumerate(range(0, len(state), _STATE_BYTES)):
        values[f"state{number or ''}"] = state[start : start + _STATE_BYTES]
    return Entity(operation.id, _ROW, values)


def _operation(entity: Entity) -> Operation:
    values = entity.values
    state = b""
    for number in count():
        part = values.get(f"state{number or ''}")
        if not isinstance(part, bytes):
            break
        state += part
    return Operation(
        id=entity.partition,
        type=str(values["type"]),
        created=int(values["created"]),
        updated=int(values["updated"]),
        status=OperationStatus(values["status"]),
        percent=int(values["percent"]),
        reason=str(values["reason"]),
        state=orjson.loads(state) if state else {},
        etag=entity.etag,
    )
