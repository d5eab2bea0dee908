"""Which months of a data partition table `studies` has rows of: each is a partition of the table.

A month that is over, by more than the clocks of hosts may differ, stays what it is: it is looked for once. Those that
may still be written to are always counted in, whether there is anything in them or not. Now and then the gaps between
the months that are known are looked at again, for hosts whose clock is wrong.
"""

import asyncio
import time

from ..clock import HOUR, Clock
from . import names
from .primitives import Storage
from .projection_rows import projection_partition

LOOK_AGAIN_SECONDS = 60.0

CLOCKS_DIFFER = 24 * HOUR
"""More than clocks of hosts may (rule 5)."""


class Months:
    """What this process knows of them."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._known: dict[str, set[str]] = {}
        self._looked: dict[str, float] = {}

    def note(self, month: str) -> None:
        """This process is about to write into the month, given by its partition of the table."""
        self._known.setdefault(month.rpartition("|")[0], set()).add(month)

    async def of(self, partition: str) -> list[str]:
        """The table's partitions, newest month first."""
        now = self._clock()
        known = self._known.setdefault(partition, set())
        known |= {projection_partition(partition, now + skew) for skew in (-CLOCKS_DIFFER, 0, CLOCKS_DIFFER)}
        if time.monotonic() >= self._looked.get(partition, float("-inf")) + LOOK_AGAIN_SECONDS:
            began = time.monotonic()
            bounds = [f"{partition}|", *sorted(known), f"{partition}}}"]
            found = await asyncio.gather(*map(self._between, bounds, bounds[1:]))
            known.update(*found)
            self._looked[partition] = began
        return sorted(known)

    async def _between(self, low: str, high: str) -> set[str]:
        """Months behind `low` and before `high`, hop by hop: no character of a key comes before "!"."""
        found: set[str] = set()
        while True:
            rows = self._storage.query(names.STUDIES, (low + "!", high), select=("PartitionKey", "RowKey"), top=1)
            first = [entity.partition async for entity in rows]
            if not first:
                return found
            low = first[0]
            found.add(low)
