"""Settling a study row: what it has pending goes into feed and search before anybody is answered (protocol, section 4).

Nothing is claimed. Any number of processes may settle the same row at once.
"""

import asyncio
from dataclasses import replace

from ..clock import HOUR, SECOND, Clock, Ticks
from ..errors import Unavailable
from . import names
from .change_feed import ChangeFeed
from .memory import StudyKey, StudyMemory, StudyView
from .primitives import EntityChanged, EntityMissing, Replace, Storage, Unanswered
from .projections import Projections, Shown
from .rows import (
    STUDY_ROW,
    Event,
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

MOST_UNANSWERED = 8
"""Writes without an answer in a row before a request ends with 503."""


RECENT: Ticks = SECOND // 2
"""For how long a row that was read or written is built upon without another look (rule 21). No storage is killed and
back in less; and a tombstone cannot have come and gone."""


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
        seen = self._clock()
        entity = await self._storage.get(names.INDEX, key, STUDY_ROW)
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
        """Appends all that is pending, whoever's it is, and writes all marks; raises `Unavailable` (rule 14).

        What is written stands on the row as it was seen a moment ago. If that moment is long past, or a write got no
        answer, storage may have been restarted and have lost the row: it is read again before anything is written.
        """
        for unanswered in range(1, MOST_UNANSWERED):
            if view.row is None or not (view.unfed or view.unprojected):
                return view
            basis = _Basis(self, study, view)
            done = await asyncio.gather(
                self._feed.append(study, view.unfed, basis.owes), self._project(study, basis), return_exceptions=True
            )
            failures = [each for each in done if isinstance(each, BaseException)]
            if not failures and basis.view is view:
                return self._settled(study, view)
            if failures:
                self._memory.clear()
                self._feed.forget()
                for failure in failures:
                    if not isinstance(failure, Unanswered):
                        raise failure
                await asyncio.sleep(0.05 * unanswered)
            view = await self.read(study)
        raise Unavailable("Storage did not answer.")

    def _settled(self, study: StudyKey, view: StudyView) -> StudyView:
        settled = view.settled()
        if self._memory.recall(study).etag == view.etag:
            self._memory.keep(study, settled)
        return settled

    def recent(self, view: StudyView) -> bool:
        """Whether the row was seen so lately that storage cannot have been restarted since."""
        return self._clock() - view.seen < RECENT

    async def _project(self, study: StudyKey, basis: "_Basis") -> None:
        view = basis.view
        marks = view.unprojected
        if not marks or view.row is None:
            return
        missing = frozenset(mark.series for mark in marks if mark.series and mark.series not in view.series)
        series = dict(view.series)
        if missing:
            series |= await self._series_rows(partition_key(*study), missing)
        await self._projections.write(study, [_shown(mark, view.row, series) for mark in marks], basis.recent)

    async def clear(self, study: StudyKey, view: StudyView) -> None:
        """Takes off the row what is in feed and search; losing this race is no loss (rule 18). Never without ETag."""
        if view.row is None or view.row.deleting or not view.row.dirty or view.unfed or view.unprojected:
            return
        row = replace(view.row, pending=(), unprojected=())
        try:
            etag = await self._storage.write(names.INDEX, Replace(study_entity(partition_key(*study), row), view.etag))
        except (EntityChanged, EntityMissing):
            self._memory.forget(study)
        except Unanswered:
            self._memory.clear()
            self._feed.forget()
        else:
            self._memory.keep(study, StudyView(row, etag, view.series, self._clock()))


class _Basis:
    """The row that a settlement stands on, read again where the last look at it is too long ago."""

    def __init__(self, settler: Settler, study: StudyKey, view: StudyView) -> None:
        self._settler = settler
        self._study = study
        self.view = view

    def recent(self) -> bool:
        return self._settler.recent(self.view)

    async def owes(self, event: Event) -> bool:
        """Whether the event is still listed as pending."""
        if not self.recent():
            self.view = await self._settler.read(self._study)
        return self.view.row is not None and event in self.view.row.pending


def _shown(mark: Mark, row: StudyRow, series: dict[str, SeriesRow | None]) -> Shown:
    """What `studies` is to say: the values that the index has, read with or after the mark (rules 20 and 22)."""
    if not mark.series:
        alive = not row.gone and row.created == mark.created
        return Shown(mark, row.attributes if alive else None)
    there = series.get(mark.series)
    if there is None or row.hides(mark.series) or there.created != mark.created:
        return Shown(mark, None)
    return Shown(mark, there.attributes)
