"""Finds the studies, series and instances that a search asks for, newest first (QRY-70, protocol rule 32).

Where UIDs say which studies can be meant, their partitions of the index are read and nothing else. Otherwise the rows
of `studies` are read in their order, newest first, no further than the page needs. Instances are in the index alone.
"""

import heapq
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple, TypeVar, cast

from ..dicom.attributes import MODALITY
from ..dicom.normal_form import NormalForms, projected_name
from ..dicomweb.query_string import Page
from ..storage.projections import Projections
from ..storage.records import InstanceKey, InstanceRecord, Projection
from ..storage.tag_indexing import TagIndexing, Valued
from .parallel import in_parallel
from .search_criteria import (
    Criteria,
    instance_condition,
    modality_condition,
    series_condition,
    study_condition,
)
from .search_lookups import Lookups
from .search_values import ValueSearch

MOST_DESCENTS = 64
"""Studies whose partitions are read one by one; of more, the rows of all are read in their order."""

MOST_ROWS = 1000
"""That Azure Tables return in one answer."""

T = TypeVar("T")
F = TypeVar("F", bound="Projection | FoundInstance")


class FoundInstance(NamedTuple):
    """An instance that matches."""

    study: str
    created: int
    series: str
    instance: str


Found = Projection | FoundInstance
"""A study, series or instance that matches."""

Matches = Callable[[Projection], bool]


class Reader:
    """Reads for one search in one data partition."""

    def __init__(
        self, lookups: Lookups, projections: Projections, values: ValueSearch, tagged: TagIndexing, wanted: Criteria
    ) -> None:
        self._lookups = lookups
        self._index = lookups.index
        self._partition = lookups.partition
        self._projections = projections
        self._values = values
        self._tagged = tagged
        self._wanted = wanted

    # -- studies

    async def studies(self, page: Page) -> list[Projection]:
        """The page of the studies that match."""
        if self._wanted.studies is None and not self._wanted.about_studies and page.end <= MOST_ROWS:
            return (await self._projections.newest_studies(self._partition, page.end))[page.offset :]
        return await _taken(*await self._all_studies(_few(page)), page)

    async def _all_studies(self, first: int | None = None) -> tuple[AsyncIterator[Projection], Matches]:
        """By their UIDs, if these are known; by a look-up of values, if one leads to few enough; else in the order of
        the rows of studies. Which of them match has still to be found out."""
        wanted = self._wanted
        if wanted.studies is not None:
            return self._named_studies(wanted.studies), _all
        rows = await self._values.studies(first)
        if rows is not None:
            return rows, _all
        studies = await self._values.studies_with_modality()
        if studies is not None:
            return self._named_studies(studies), _all
        if wanted.modalities is not None:
            return self._studies_with_modalities(first), _all
        rows = self._projections.studies(self._partition, study_condition(wanted), first=first)
        return rows, lambda row: wanted.study_matches(row.forms)

    async def _named_studies(self, studies: Iterable[str]) -> AsyncGenerator[Projection]:
        """Point reads of the studies of these UIDs; those that match."""
        wanted = self._wanted
        records = await self._lookups.studies(studies)
        fitting = [study for study, record in records.items() if wanted.study_matches(NormalForms(record.attributes))]
        if wanted.modalities is not None:
            series = await self._lookups.series(fitting)
            fitting = [study for study in fitting if wanted.modality_among(series[study])]
        found = (Projection(study, "", records[study].created, records[study].attributes) for study in fitting)
        for each in sorted(found, key=_order):
            yield each

    async def _studies_with_modalities(self, first: int | None) -> AsyncGenerator[Projection]:
        """The rows of studies, each looked for among those that have the modalities.

        A series never begins before its study. So once the series have been read back to when a study began, it is
        known whether the study has one that fits.
        """
        wanted = self._wanted
        rows = self._projections.studies(self._partition, study_condition(wanted), first=first)
        fitting: set[str] = set()
        async with _closing(rows), _closing(self._series_with_modalities()) as series:
            upcoming = await anext(series, None)
            async for row in rows:
                while upcoming is not None and upcoming.created >= row.created:
                    fitting.add(upcoming.study)
                    upcoming = await anext(series, None)
                if row.study in fitting and wanted.study_matches(row.forms):
                    yield row

    async def _series_with_modalities(self) -> AsyncGenerator[Projection]:
        modalities = self._wanted.modalities
        if modalities is None:
            return
        rows = self._projections.series(self._partition, modality_condition(modalities))
        async with _closing(rows):
            async for row in rows:
                if modalities.matches(row.forms[MODALITY]):
                    yield row

    async def _study_uids(self) -> list[str] | None:
        """All studies that series or instances may belong to; None if any may."""
        if self._wanted.about_studies:
            rows, matches = await self._all_studies()
            return [row.study async for row in rows if matches(row)]
        return None if self._wanted.studies is None else sorted(self._wanted.studies)

    # -- series

    async def series(self, page: Page) -> list[Projection]:
        """The page of the series that match."""
        studies = await self._study_uids()
        if studies is not None and (self._wanted.studies is not None or len(studies) <= MOST_DESCENTS):
            return sorted(await self._series_of(studies), key=_order)[page.offset : page.end]
        return await self._scanned_page(page, None if studies is None else set(studies))

    async def _series_of(self, studies: Sequence[str]) -> list[Projection]:
        """The series that match, in no order, from the partitions of these studies."""

        series = await self._lookups.series(studies)
        found = (
            Projection(study, each.series, each.created, each.attributes) for study in studies for each in series[study]
        )
        return [each for each in found if self._wanted.series_matches(each.series, each.forms)]

    async def _scanned_series(self, studies: set[str] | None, first: int | None = None) -> AsyncGenerator[Projection]:
        """The rows of series, newest first, of these studies or of all."""
        wanted = self._wanted
        rows = await self._values.series(first)
        if rows is None:
            rows = self._projections.series(self._partition, series_condition(wanted), first=first)
        async with _closing(rows):
            async for row in rows:
                if (studies is None or row.study in studies) and wanted.series_matches(row.series, row.forms):
                    yield row

    async def _scanned_page(self, page: Page, studies: set[str] | None) -> list[Projection]:
        """While a large study is being deleted its series may still have rows; they are looked up and passed over."""
        found: list[Projection] = []
        rows = self._scanned_series(studies, _few(page) if studies is None else None)
        async with _closing(rows):
            async for each in rows:
                found.append(each)
                if len(found) == page.end:
                    found[page.offset :] = await self._still_there(found[page.offset :])
                if len(found) == page.end:
                    return found[page.offset :]
        return await self._still_there(found[page.offset :])

    async def _still_there(self, found: list[F]) -> list[F]:
        there = await self._lookups.studies(each.study for each in found)
        return [each for each in found if each.study in there]

    # -- instances

    async def instances(self, page: Page) -> list[FoundInstance]:
        """The page of the instances that match."""
        wanted = self._wanted
        if wanted.about_series:
            scopes: list[tuple[str, str]] | None = await self._series_scopes()
        else:
            studies = await self._study_uids()
            scopes = None if studies is None else [(study, "") for study in studies]
        if scopes is None:
            found = await _newest(self._scanned_instances(None), page)
        elif wanted.studies is None and len({study for study, _ in scopes}) > MOST_DESCENTS:
            found = await _newest(self._scanned_instances(set(scopes)), page)
        else:
            some = await in_parallel(self._instances_of, _merged(scopes))
            every = [each for instances in some for each in instances]
            found = heapq.nsmallest(page.end, every, key=_order)[page.offset :]
        return await self._still_there(found) if self._by_values else found

    @property
    def _by_values(self) -> bool:
        """Whether properties of instance rows decide which of them are read, and not what their study row says."""
        return bool(self._wanted.instance_filters) or self._wanted.instances is not None

    async def _series_scopes(self) -> list[tuple[str, str]]:
        """Study and series of all series that match."""
        wanted = self._wanted
        studies = await self._study_uids()
        if studies is not None and not wanted.series_filters and wanted.series is not None and wanted.studies:
            return [(study, series) for study in studies for series in wanted.series]
        if studies is not None and (wanted.studies is not None or len(studies) <= MOST_DESCENTS):
            return [(each.study, each.series) for each in await self._series_of(studies)]
        rows = self._scanned_series(None if studies is None else set(studies))
        return [(each.study, each.series) async for each in rows]

    async def _instances_of(self, scope: tuple[str, frozenset[str]]) -> list[FoundInstance]:
        """The instances of a study that match: of the given series, or of all if there are none given."""
        study, series = scope
        wanted = self._wanted
        only = next(iter(series)) if len(series) == 1 else None
        found: Iterable[InstanceRecord | Valued]
        if only is not None and wanted.instances is not None and not wanted.instance_filters:
            keys = [InstanceKey(self._partition, study, only, instance) for instance in sorted(wanted.instances)]
            found = (await self._index.current(keys, metadata=False)).values()
        elif self._by_values:
            found = [each async for each in self._valued(study, only)]
        else:
            found = await self._index.instances(self._partition, study, only)
        return [_found(each) for each in found if self._fits(each.key) and (not series or each.key.series in series)]

    async def _scanned_instances(self, scopes: set[tuple[str, str]] | None) -> AsyncGenerator[FoundInstance]:
        """Every instance there is, of these scopes or of all, in no order."""
        rows: AsyncIterator[InstanceRecord | Valued]
        rows = self._valued(None, None) if self._by_values else self._index.all_instances(self._partition)
        async with _closing(rows):
            async for each in rows:
                key = each.key
                if scopes is not None and not {(key.study, ""), (key.study, key.series)} & scopes:
                    continue
                if self._fits(key):
                    yield _found(each)

    async def _valued(self, study: str | None, series: str | None) -> AsyncGenerator[Valued]:
        """The instances that meet the filters of their own level; of a study that is being deleted, too."""
        wanted = self._wanted
        names = sorted(projected_name(each.column) for each in wanted.instance_filters)
        rows = self._tagged.valued(self._partition, study, series, names, instance_condition(wanted))
        async with _closing(rows):
            async for each in rows:
                if wanted.instance_matches(each.values):
                    yield each

    def _fits(self, key: InstanceKey) -> bool:
        return self._wanted.instances is None or key.instance in self._wanted.instances


def _few(page: Page) -> int | None:
    """How many rows to ask for, if they are fewer than storage gives at once anyway."""
    return page.end if page.end < MOST_ROWS else None


def _found(instance: InstanceRecord | Valued) -> FoundInstance:
    key = instance.key
    return FoundInstance(key.study, instance.version, key.series, key.instance)


def _order(found: Found) -> tuple[int, str, str, str]:
    """Sorts the newest first, and always in the same way (QRY-70)."""
    instance = found.instance if isinstance(found, FoundInstance) else ""
    return -found.created, found.study, found.series, instance


def _merged(scopes: Iterable[tuple[str, str]]) -> list[tuple[str, frozenset[str]]]:
    """Scopes of one study together, so that its partition is read once."""
    series: dict[str, set[str]] = {}
    for study, one in scopes:
        series.setdefault(study, set()).update({one} if one else ())
    return [(study, frozenset(some)) for study, some in series.items()]


def _all(_: Projection) -> bool:
    """For rows that have been matched."""
    return True


async def _taken(rows: AsyncIterator[Projection], matches: Matches, page: Page) -> list[Projection]:
    """The page of what comes in order and matches, read no further."""
    taken: list[Projection] = []
    skipped = 0
    async with _closing(rows):
        async for each in rows:
            if not matches(each):
                continue
            if skipped < page.offset:
                skipped += 1
                continue
            taken.append(each)
            if len(taken) == page.limit:
                break
    return taken


async def _newest(found: AsyncIterable[FoundInstance], page: Page) -> list[FoundInstance]:
    """The page of what comes in no order; only as many are kept as the page needs."""
    kept: list[FoundInstance] = []
    async for each in found:
        kept.append(each)
        if len(kept) >= 2 * page.end + 1000:
            kept = heapq.nsmallest(page.end, kept, key=_order)
    return heapq.nsmallest(page.end, kept, key=_order)[page.offset :]


def _closing(rows: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """Ends a query that is not read to its end; every reader of rows is a generator."""
    return aclosing(cast(AsyncGenerator[T, None], rows))
