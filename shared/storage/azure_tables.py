"""The Table service: entities, transactions, queries."""

from collections.abc import AsyncIterator, Sequence

import orjson

from .azure_batch import TableMissing, cause_of, guard, path, read_batch, verb, write_batch
from .azure_odata import (
    MINIMAL,
    MOST_COMPARISONS,
    cheapest_first,
    entity_path,
    from_json,
    key_conditions,
    render,
    split,
    to_json,
)
from .azure_pipeline import Pipeline, error_code, in_query, refused
from .conditions import matches, names_in
from .primitives import MOST_OPERATIONS, And, Condition, Delete, Entity, Insert, Operation, Range

_HEADERS = {"Accept": MINIMAL, "DataServiceVersion": "3.0"}
_WITH_BODY = {**_HEADERS, "Content-Type": "application/json"}
_INSERTING = {**_WITH_BODY, "Prefer": "return-no-content"}
_PAGE = 1000
_QUERY_SECONDS = 20.0
"""The service itself ends a page after five seconds; Azurite goes through the whole table for each."""


class Tables:
    """Works on the tables of one account."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    # -- tables

    async def create(self, table: str) -> bool:
        """Makes sure that the table is there; false while one of its name is still being deleted."""
        response = await self._pipeline.read(
            "table",
            "POST",
            "/Tables",
            headers=_INSERTING,
            content=orjson.dumps({"TableName": table}),
            restoring=False,
        )
        code = error_code(response) if response.status_code >= 400 else ""
        if response.status_code < 300 or code == "TableAlreadyExists":
            return True
        if code == "TableBeingDeleted":
            return False
        raise refused("table", response)

    async def drop(self, table: str) -> None:
        response = await self._pipeline.read(
            "table", "DELETE", f"/Tables('{table}')", headers=_HEADERS, restoring=False
        )
        if response.status_code >= 300 and response.status_code not in (404, 409):
            raise refused("table", response)

    # -- entities

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] | None) -> Entity | None:
        query = f"$select={_columns(select)}" if select is not None else ""
        response = await self._pipeline.read(
            "table", "GET", entity_path(table, partition, row), query, headers=_HEADERS
        )
        if response.status_code == 200:
            return from_json(orjson.loads(response.content), response.headers.get("etag") or "")
        if response.status_code == 404 and error_code(response) in ("ResourceNotFound", "EntityNotFound"):
            return None
        raise refused("table", response)

    async def write(self, table: str, operation: Operation) -> str:
        headers, content = _HEADERS, None
        if not isinstance(operation, Delete):
            headers = _INSERTING if isinstance(operation, Insert) else _WITH_BODY
            content = to_json(operation.entity)
        if etag := guard(operation):
            headers = {**headers, "If-Match": etag}
        response = await self._pipeline.once(
            "table", verb(operation), path(table, operation), headers=headers, content=content
        )
        if response.status_code < 300:
            return response.headers.get("etag") or ""
        raise cause_of(response.status_code, error_code(response)) or refused("table", response)

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        if not operations:
            return []
        if len(operations) > MOST_OPERATIONS:
            raise ValueError(f"{len(operations)} operations in one transaction")
        try:
            return await self._transact(table, operations)
        except TableMissing:
            await self._pipeline.restore()
            return await self._transact(table, operations)

    async def _transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        body, kind = write_batch(self._pipeline.account.table, table, operations)
        response = await self._pipeline.once(
            "table", "POST", "/$batch", headers={**_HEADERS, "Content-Type": kind}, content=body, size=len(body)
        )
        if response.status_code != 202:
            raise refused("table", response)
        return read_batch(response.content, len(operations))

    # -- queries

    async def query(
        self,
        table: str,
        partitions: str | Range | None,
        rows: Range | None,
        where: Condition | None,
        select: Sequence[str] | None,
        top: int | None,
    ) -> AsyncIterator[Entity]:
        keys = key_conditions(partitions, rows)
        sent, left = split(where, MOST_COMPARISONS - len(keys)) if where is not None else (None, None)
        fixed = _query_options([*keys, sent] if sent is not None else keys, select, left)
        wanted = top
        continuation = ""
        while wanted is None or wanted > 0:
            size = "" if wanted is None or left is not None else f"&$top={min(wanted, _PAGE)}"
            response = await self._pipeline.read(
                "table", "GET", f"/{table}()", fixed + size + continuation, headers=_HEADERS, seconds=_QUERY_SECONDS
            )
            if response.status_code != 200:
                raise refused("table", response)
            for document in orjson.loads(response.content)["value"]:
                entity = from_json(document)
                if left is not None:
                    if not matches(left, entity.values):
                        continue
                    _leave(entity, select)
                yield entity
                if wanted is not None:
                    wanted -= 1
                    if wanted == 0:
                        return
            continuation = "".join(
                f"&{name}={in_query(value)}"
                for name in ("NextPartitionKey", "NextRowKey")
                if (value := response.headers.get(f"x-ms-continuation-{name.lower()}"))
            )
            if not continuation:
                return


def _query_options(conditions: list[Condition], select: Sequence[str] | None, left: Condition | None) -> str:
    options = []
    if conditions:
        options.append(f"$filter={in_query(render(And(tuple(cheapest_first(conditions)))))}")
    if select is not None:
        options.append(f"$select={_columns([*select, *(names_in(left) if left is not None else ())])}")
    return "&".join(options)


def _columns(select: Sequence[str]) -> str:
    """The keys are always asked for, and the timestamp, from which an ETag can be made where none is given."""
    return in_query(",".join(dict.fromkeys(("PartitionKey", "RowKey", "Timestamp", *select))))


def _leave(entity: Entity, select: Sequence[str] | None) -> None:
    """Takes away what was only read to look at it."""
    if select is not None:
        entity.values = {name: value for name, value in entity.values.items() if name in select}
