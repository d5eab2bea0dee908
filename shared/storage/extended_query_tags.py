"""Table `extendedquerytags`: the tags, and the instances that could not be indexed by them (TAG-02, TAG-14).

All tags lie in one row, so that every change of them is one guarded write and a reader needs one point read; there
are 128 of them at most (TAG-08). Errors are rows of their own, one partition for each life of a tag.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum

import orjson

from ..clock import Ticks
from . import names
from .guarded_writes import write_guarded
from .primitives import (
    ANY,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Operation,
    Replace,
    Storage,
    TransactionRefused,
    Unanswered,
    Upsert,
)
from .records import InstanceKey
from .tag_columns import column_of

_TAGS = "tags"

MOST_ROWS = 100
"""Rows in one transaction."""


class TagStatus(Enum):
    """Where a tag stands in its life (TAG-20)."""

    ADDING = "adding"
    READY = "ready"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class ExtendedQueryTag:
    """One tag. `level` is study, series or instance; `creator` is empty for a standard attribute.

    `serial` tells the lives of a tag that was removed and added again: values are kept under `column`, so that those
    of an earlier life are never met. `failed` says that there may be errors; `operation` is its reindex, if it runs.
    """

    path: str
    vr: str
    level: str
    serial: int
    creator: str = ""
    status: TagStatus = TagStatus.ADDING
    enabled: bool = True
    failed: bool = False
    operation: str = ""

    @property
    def column(self) -> str:
        """What its values are called in rows, in place of a tag."""
        return column_of(self.path, self.serial)


@dataclass(frozen=True, slots=True)
class TagSet:
    """All tags, in order of addition. `serial` is the greatest given out, `operation` the reindex that runs."""

    tags: tuple[ExtendedQueryTag, ...] = ()
    serial: int = 0
    operation: str = ""

    def find(self, path: str) -> ExtendedQueryTag | None:
        return next((tag for tag in self.tags if tag.path == path), None)

    def with_tag(self, changed: ExtendedQueryTag) -> "TagSet":
        """`changed` in the place of the tag of its path and life; the same set if that is gone."""
        return replace(self, tags=tuple(changed if tag.column == changed.column else tag for tag in self.tags))


@dataclass(frozen=True, slots=True)
class TagError:
    """An instance that could not be indexed."""

    key: InstanceKey
    message: str
    created: Ticks


class ExtendedQueryTags:
    """Reads and writes the table."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self) -> TagSet:
        """The tags as they stand."""
        return (await self._read())[0]

    async def change(self, change: Callable[[TagSet], TagSet]) -> TagSet:
        """Replaces the tags by `change` of them, called again whenever somebody else was faster; what it raises ends
        the attempt. If its write got no answer it is called with its own result, perhaps, and must bear that."""

        async def changed() -> tuple[TagSet, Operation | None]:
            before, etag = await self._read()
            after = change(before)
            if after == before:
                return after, None
            entity = Entity(_TAGS, _TAGS, {"v": _packed(after)})
            return after, Replace(entity, etag) if etag else Insert(entity)

        return await write_guarded(self._storage, names.EXTENDED_QUERY_TAGS, changed)

    async def _read(self) -> tuple[TagSet, str]:
        entity = await self._storage.get(names.EXTENDED_QUERY_TAGS, _TAGS, _TAGS)
        if entity is None:
            return TagSet(), ""
        packed = entity.values["v"]
        return (_unpacked(packed) if isinstance(packed, bytes) else TagSet()), entity.etag

    # -- errors

    async def add_errors(self, tag: ExtendedQueryTag, errors: Iterable[TagError]) -> None:
        """One error for each instance; the first that was found stays."""
        for error in errors:
            entity = Entity(
                _errors_of(tag), _error_row(error.key), {"message": error.message, "created": error.created}
            )
            try:
                await self._storage.write(names.EXTENDED_QUERY_TAGS, Insert(entity))
            except EntityExists:
                continue
            except Unanswered:
                await self._storage.write(names.EXTENDED_QUERY_TAGS, Upsert(entity))

    async def errors(self, tag: ExtendedQueryTag) -> list[TagError]:
        """The errors of a tag, oldest first (TAG-14)."""
        rows = self._storage.query(names.EXTENDED_QUERY_TAGS, _errors_of(tag))
        found = [
            TagError(InstanceKey(*entity.row.split("|")), str(entity.values["message"]), int(entity.values["created"]))
            async for entity in rows
        ]
        return sorted(found, key=lambda error: (error.created, error.key.study, error.key.series, error.key.instance))

    async def count_errors(self, tag: ExtendedQueryTag, most: int | None = None) -> int:
        """How many errors the tag has; counted no further than `most`."""
        if not tag.failed:
            return 0
        rows = self._storage.query(
            names.EXTENDED_QUERY_TAGS, _errors_of(tag), select=("PartitionKey", "RowKey"), top=most
        )
        return sum([1 async for _ in rows])

    async def remove_errors(
        self, tag: ExtendedQueryTag, partition: str = "", study: str = "", series: str = "", instance: str = ""
    ) -> None:
        """Removes the errors of the tag, or those of a study, series or instance alone (TAG-13, TAG-32)."""
        rows: tuple[str, str] | None = None
        if instance:
            row = _error_row(InstanceKey(partition, study, series, instance))
            rows = (row, row + "!")
        elif study:
            start = "|".join(filter(None, (partition, study, series))) + "|"
            rows = (start, start[:-1] + "}")
        found = self._storage.query(names.EXTENDED_QUERY_TAGS, _errors_of(tag), rows, select=("PartitionKey", "RowKey"))
        doomed = [Delete(entity.partition, entity.row, entity.etag) async for entity in found]
        for start_ in range(0, len(doomed), MOST_ROWS):
            await self._remove(doomed[start_ : start_ + MOST_ROWS])

    async def remove_errors_of(self, tag: ExtendedQueryTag, instances: Sequence[InstanceKey]) -> None:
        """Removes the errors of these instances from the tag (STO-152)."""
        for start in range(0, len(instances), MOST_ROWS):
            await self._remove(
                [Delete(_errors_of(tag), _error_row(key), ANY) for key in instances[start : start + MOST_ROWS]]
            )

    async def _remove(self, doomed: list[Delete]) -> None:
        operations: list[Operation] = list(doomed)
        try:
            await self._storage.transact(names.EXTENDED_QUERY_TAGS, operations)
        except (TransactionRefused, Unanswered):
            for operation in operations:
                try:
                    await self._storage.write(names.EXTENDED_QUERY_TAGS, operation)
                except (EntityMissing, EntityChanged):
                    continue


def _errors_of(tag: ExtendedQueryTag) -> str:
    return f"errors|{tag.column}"


def _error_row(key: InstanceKey) -> str:
    return f"{key.partition}|{key.study}|{key.series}|{key.instance}"


def _packed(tags: TagSet) -> bytes:
    document = {
        "serial": tags.serial,
        "operation": tags.operation,
        "tags": [{**asdict(tag), "status": tag.status.value} for tag in tags.tags],
    }
    return zlib.compress(orjson.dumps(document))


def _unpacked(packed: bytes) -> TagSet:
    document = orjson.loads(zlib.decompress(packed))
    tags = tuple(ExtendedQueryTag(**{**tag, "status": TagStatus(tag["status"])}) for tag in document["tags"])
    return TagSet(tags, document["serial"], document["operation"])
