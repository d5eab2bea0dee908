"""Finding rows of studies and series by their values, through value rows (protocol, section 6)."""

import asyncio
import time
from collections.abc import Sequence

from . import names
from .months import Months
from .primitives import Range, Storage
from .value_completion import is_complete
from .value_rows import target_of

MOST_PARALLEL = 32
"""Queries at once."""

MOST_QUERIES = 400
"""For one look-up."""

_FIRST_MONTHS = 4
"""That are looked through at once; then twice as many, and so on: what many rows have shows in the first."""

BELIEVED_SECONDS = 60.0

RowKey = tuple[str, str]
"""Partition key and row key in table `studies`."""


class ValueLookup:
    """Looks values up, where that is of use."""

    def __init__(self, storage: Storage, months: Months) -> None:
        self._storage = storage
        self._months = months
        self._believed = float("-inf")

    @property
    def kept(self) -> bool:
        """Whether the storage keeps value rows at all."""
        return self._storage.value_rows

    async def usable(self) -> bool:
        """Whether every row of a study or series has its value rows."""
        if not self.kept:
            return False
        now = time.monotonic()
        if now >= self._believed:
            if not await is_complete(self._storage):
                return False
            self._believed = now + BELIEVED_SECONDS
        return True

    async def candidates(self, partition: str, ranges: Sequence[Range], most: int) -> list[RowKey] | None:
        """The rows that these ranges of value rows lead to, newest first; None if they are more than `most`, or too
        many ranges."""
        months = await self._months.of(partition)
        if len(months) * len(ranges) > MOST_QUERIES:
            return None
        found: set[RowKey] = set()
        most_months = max(1, MOST_PARALLEL // max(1, len(ranges)))
        width = _FIRST_MONTHS
        while months:
            width = min(width, most_months)
            batch, months = months[:width], months[width:]
            queries = [self._targets(month, rows, most + 1) for month in batch for rows in ranges]
            found.update(*await asyncio.gather(*queries))
            if len(found) > most:
                return None
            width *= 2
        return sorted(found, key=lambda key: key[1])

    async def _targets(self, month: str, rows: Range, most: int) -> list[RowKey]:
        keys = ("PartitionKey", "RowKey")
        entities = self._storage.query(names.STUDIES, month, rows, select=keys, top=most)
        return [(month, target_of(entity.row)) async for entity in entities]
