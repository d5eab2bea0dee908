"""Instances whose files are not in the store any more: what the check of a store is there to name."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from . import names
from .primitives import Entity, Storage
from .records import InstanceKey
from .rows import FIRST_ROW, HEAD_PROPERTIES, files_called, instance_row, key_of_entity

_INSTANCE_ROWS = (FIRST_ROW, "instance}")


@dataclass(frozen=True, slots=True)
class LostInstance:
    """An instance that cannot be retrieved as it was stored: `file`, with its container, has the `problem`."""

    key: InstanceKey
    file: str
    problem: str

    def __str__(self) -> str:
        key = self.key
        return f"Instance {key.instance} (series {key.series}, study {key.study}): {self.file} {self.problem}"


async def lost_instances(storage: Storage, faults: Mapping[str, str]) -> AsyncIterator[LostInstance]:
    """Those whose blobs, or whose original's, are not in the store, or are among `faults`: container and name, and what
    is wrong."""
    partition = ""
    held: Collection[str] = ()
    async for entity in storage.query(names.INDEX, rows=_INSTANCE_ROWS, select=HEAD_PROPERTIES):
        key, row = key_of_entity(entity), instance_row(entity)
        if entity.partition != partition:
            partition = entity.partition
            held = await _blobs_of_study(storage, key)
        for name, overflow in files_called(row.garbage, key):
            for container in names.CONTAINERS if overflow else (names.DICOM,):
                file = f"{container}/{name}"
                problem = faults.get(file) or ("" if file in held else "is missing")
                if problem and await _stands(storage, entity):
                    yield LostInstance(key, file, problem)


async def _stands(storage: Storage, entity: Entity) -> bool:
    """Whether the row is not from before a deletion or a reset."""
    now = await storage.get(names.INDEX, entity.partition, entity.row, HEAD_PROPERTIES)
    return now is not None and now.values.get("f") == entity.values["f"]


async def _blobs_of_study(storage: Storage, key: InstanceKey) -> set[str]:
    """Read after a row, so that the row's own are among them unless they were removed."""
    prefix = f"{key.partition}/{key.study}/"
    return {
        f"{container}/{item.name}"
        for container in names.CONTAINERS
        async for item in storage.list_blobs(container, prefix)
    }
