"""What a bulk update has in hand: the instances of the study under way, some in each row, and the files made of them.

The rows lie beside that of their operation. They are written before anything is committed, so that a step need not
know more than the number of the batch that it is at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson

from ..clock import Ticks
from . import names
from .changes import MOST_UPDATED
from .primitives import ANY, MOST_OPERATIONS, Delete, Entity, EntityMissing, Storage, TransactionRefused, Upsert, Value
from .records import InstanceKey
from .rows import file_name, upload_of

_ROWS = ("batch|", "batch}")

BATCH = MOST_UPDATED
"""Instances in one row, and between two writes of the operation: what one transaction commits."""

BATCH_BYTES = 256 * 1024 * 1024
"""Of their files together, unless one alone has more: a step has to end within the minutes that a host gives it."""


@dataclass(frozen=True, slots=True)
class MadeInstance:
    """An instance of a batch: its new `file`, of `size` bytes, and the one that it was made from, empty before."""

    key: InstanceKey
    file: str = ""
    made_from: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Some instances of one study; `began` is when the first of their files was uploaded."""

    number: int
    instances: Sequence[MadeInstance]
    began: Ticks = 0


class UpdateBatches:
    """The batches of one operation for a study at a time."""

    def __init__(self, storage: Storage, operation: str, partition: str, study: str) -> None:
        self._storage = storage
        self._operation = operation
        self._partition = partition
        self._study = study

    async def start(self, sizes: Iterable[tuple[InstanceKey, int]]) -> int:
        """Writes down which instances there are, with the bytes of their files; the number of batches."""
        number = 0
        for number, part in enumerate(_parts(sizes), 1):
            await self.write(Batch(number - 1, [MadeInstance(key) for key in part]))
        return number

    async def write(self, batch: Batch) -> None:
        """Puts a batch in the place of the one with its number."""
        instances = [
            [
                each.key.series,
                each.key.instance,
                upload_of(each.file) if each.file else "",
                upload_of(each.made_from) if each.made_from else "",
                each.size,
            ]
            for each in batch.instances
        ]
        values: dict[str, Value] = {"began": batch.began, "instances": orjson.dumps(instances)}
        await self._storage.write(names.OPERATIONS, Upsert(Entity(self._operation, _row(batch.number), values)))

    async def read(self, number: int) -> Batch:
        """A batch that was written."""
        entity = await self._storage.get(names.OPERATIONS, self._operation, _row(number))
        if entity is None:
            raise KeyError(f"Batch {number} of operation {self._operation} is missing.")
        instances = []
        for series, instance, upload, made_from, size in orjson.loads(entity.values["instances"]):  # type: ignore[arg-type]
            key = InstanceKey(self._partition, self._study, series, instance)
            made = MadeInstance(key)
            if upload:
                made = replace(made, file=file_name(key, upload), made_from=file_name(key, made_from), size=size)
            instances.append(made)
        return Batch(number, instances, int(entity.values["began"]))

    async def clear(self) -> None:
        """Removes all batches, those of a start that was broken off included."""
        rows = self._storage.query(names.OPERATIONS, self._operation, _ROWS, select=("PartitionKey", "RowKey"))
        doomed = [Delete(entity.partition, entity.row, ANY) async for entity in rows]
        for start in range(0, len(doomed), MOST_OPERATIONS):
            try:
                await self._storage.transact(names.OPERATIONS, list(doomed[start : start + MOST_OPERATIONS]))
            except (TransactionRefused, EntityMissing):
                continue  # another step has done so


def _parts(sizes: Iterable[tuple[InstanceKey, int]]) -> Iterator[list[InstanceKey]]:
    part: list[InstanceKey] = []
    together = 0
    for key, size in sizes:
        if part and (len(part) == BATCH or together + size > BATCH_BYTES):
            yield part
            part, together = [], 0
        part.append(key)
        together += size
    if part:
        yield part


def _row(number: int) -> str:
    return f"batch|{number:06}"
