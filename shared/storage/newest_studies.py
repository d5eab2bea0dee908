"""The newest studies, which every viewer asks for first, from memory as long as storage says that they are the same.

Each write to a month of `studies` gives its stamp a new value, in the same transaction (protocol, rule 22b). So rows
that were read after the stamps of their months, and after those of all months that may follow, are what is there as
long as the stamps are.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..clock import Clock, Ticks
from . import names
from .months import CLOCKS_DIFFER
from .primitives import Entity, Storage, Upsert
from .projection_rows import projection_months, projection_partition
from .records import Projection

MOST_MONTHS = 3
"""Months whose stamps are read; where the newest studies lie further apart, they are read each time."""

MOST_KEPT = 16
"""Lists, of one length in one data partition each."""

_STAMP = "stamp"

Stamps = dict[str, str]
"""By the months that have one."""


def stamped(month: str) -> Upsert:
    """What a transaction that writes rows of this month has besides."""
    return Upsert(Entity(month, _STAMP, {"value": secrets.token_hex(8)}))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list, and the stamps that it was read after; no `studies` if only how far back it goes is known."""

    oldest: Ticks
    stamps: Stamps
    studies: list[Projection] | None


class NewestStudies:
    """Lists of the newest studies that are shown; `read` reads one: of a data partition, so many."""

    def __init__(self, storage: Storage, clock: Clock, read: Callable[[str, int], Awaitable[list[Projection]]]) -> None:
        self._storage = storage
        self._clock = clock
        self._read = read
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()

    async def first(self, partition: str, count: int) -> list[Projection]:
        """The newest studies, at most `count`; nobody may change the list.

        A list that is not full may get studies of any month, such as that of a writer who stood still for long. It is
        not kept, and short anyway. Nor are stamps read for a list that was not full when it was asked for last.
        """
        key = partition, count
        kept = self._kept.get(key)
        months = projection_months(partition, self._clock() + CLOCKS_DIFFER, kept.oldest) if kept else []
        watched = months if len(months) <= MOST_MONTHS else []
        stamps = await self._stamps(watched) if watched else {}
        if kept and watched and kept.studies is not None and kept.stamps == stamps:
            return kept.studies
        studies = await self._read(partition, count)
        if len(studies) == count:
            oldest = studies[-1].created
            reached = projection_partition(partition, oldest) in watched
            self._keep(key, _Kept(oldest, stamps, studies if reached else None))
        else:
            self._kept.pop(key, None)
        return studies

    def _keep(self, key: tuple[str, int], kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def _stamps(self, months: list[str]) -> Stamps:
        reads = [self._storage.get(names.STUDIES, month, _STAMP) for month in months]
        # of a single one `gather` would make a task, which has to wait for its turn
        rows = [await reads[0]] if len(reads) == 1 else await asyncio.gather(*reads)
        return {row.partition: str(row.values["value"]) for row in rows if row is not None}
