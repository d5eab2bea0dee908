"""Settling a study row: what it has pending goes into feed and search before anybody is answered (protocol, section 4).

Nothing is claimed. Any number of processes may settle the same row at once.
"""

import asyncio

from ..clock import HOUR, Clock, Ticks
from . import names
from .change_feed import ChangeFeed
from .memory import StudyKey, StudyMemory, StudyView
from .primitives import EntityChanged, EntityMissing, Replace, Storage, Unanswered
from .projections import Projections, Shown
from .rows import (
    STUDY_ROW,
    Mark,
    SeriesRow,
    StudyRow,
    partition_key,
    series_row,
    series_row_key,
    study_entity,
    study_row,
)

WRITE_LIMIT: Ticks = HOUR
"""How long a write may take from its upload to its commit (rule 5)."""


class Settler:
    """Brings study rows into feed and search, and clears what is done off them."""

    def __init__(
        self, storage: Storage, memory: StudyMemory, feed: ChangeFeed, projections: Projections, clock: Clock
    ) -> None:
        self._storage = storage
        self._memory = memory
        self._feed = feed
        self._projections = projections
        self._clock = clock

    async def read(self, study: StudyKey, series: frozenset[str] = frozenset()) -> StudyView:
        """The study row and then the series rows named, as they stand; remembered."""
        key = partition_key(*study)
        entity = await self._storage.get(names.INDEX, key, STUDY_ROW)
        seen = self._clock()
        known = self._memory.recall(study)
        if entity is None:
            view = StudyView(seen=seen)
        else:
            view = known.reread(study_row(entity), entity.etag, await self._series_rows(key, series), seen)
        self._memory.keep(study, view)
        return view

    async def _series_rows(self, key: str, series: frozenset[str]) -> dict[str, SeriesRow | None]:
        wanted = sorted(series)
        entities = await asyncio.gather(*(self._storage.get(names.INDEX, key, series_row_key(uid)) for uid in wanted))
        return {uid: series_row(entity) if entity else None for uid, entity in zip(wanted, entities, strict=True)}

    async def settle(self, study: StudyKey, view: StudyView) -> StudyView:
        """Appends all that is pending, whoever's it is, and writes all marks; raises `Unavailable` (rule 14)."""
        if view.row is None or not (view.unfed or view.unprojected):
            return view
        await asyncio.gather(self._feed.append(study, view.unfed), self._project(study, view))
        settled = view.settled()
        if self._memory.recall(study).etag == view.etag:
            self._memory.keep(study, settled)
        return settled

    async def _project(self, study: StudyKey, view: StudyView) -> None:
        marks = view.unprojected
        if not marks:
            return
        if self._clock() - view.seen > WRITE_LIMIT:  # a tombstone may have come and gone: look again (rule 21)
            view = await self.read(study)
            marks = tuple(mark for mark in marks if view.row is not None and mark in view.row.unprojected)
        if view.row is None or not marks:
            return
        missing = frozenset(mark.series for mark in marks if mark.series and mark.series not in view.series)
        series = dict(view.series)
        if missing:
            series |= await self._series_rows(partition_key(*study), missing)
        await self._projections.write(study, [_shown(mark, view.row, series) for mark in marks])

    async def clear(self, study: StudyKey, view: StudyView) -> None:
        """Takes off the row what is in feed and search; losing this race is no loss (rule 18). Never without ETag."""
        if view.row is None or view.row.deleting or not view.row.dirty or view.unfed or view.unprojected:
            return
        row = StudyRow(
            view.row.last, view.row.created, view.row.live, view.row.expiry, view.row.attributes, deleting=None
        )
        try:
            etag = await self._storage.write(names.INDEX, Replace(study_entity(partition_key(*study), row), view.etag))
        except (EntityChanged, EntityMissing):
            self._memory.forget(study)
        except Unanswered:
            self._memory.clear()
            self._feed.forget()
        else:
            self._memory.keep(study, StudyView(row, etag, view.series, self._clock()))


def _shown(mark: Mark, row: StudyRow, series: dict[str, SeriesRow | None]) -> Shown:
    """What `studies` is to say: the values that the index has, read with or after the mark (rules 20 and 22)."""
    if not mark.series:
        alive = not row.gone and row.created == mark.created
        return Shown(mark, row.attributes if alive else None)
    there = series.get(mark.series)
    if there is None or row.hides(mark.series) or there.created != mark.created:
        return Shown(mark, None)
    return Shown(mark, there.attributes)
