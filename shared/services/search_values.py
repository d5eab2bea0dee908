"""Searches that look a value up: reads in the order of what matches, where storage keeps value rows (QRY-30 to QRY-42).

Of the filters the one that is likely to fit the fewest rows is looked up; if it fits too many, the next one. The rows
that are found are read, newest first and no further than the page needs, and matched as in every other search.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

from ..dicom.attributes import MODALITY, UID_TAGS, Level
from ..dicom.matching import AnyOf, Between, Equal, Matcher, OneOf, Pattern
from ..storage.primitives import Range
from ..storage.projections import Projections
from ..storage.records import Projection
from ..storage.value_lookup import RowKey, ValueLookup
from ..storage.value_rows import SERIES_COLUMNS, STUDY_COLUMNS, beginning_with, between, exactly
from .parallel import in_parallel
from .search_criteria import Criteria
from .search_lookups import Lookups

MOST_RANGES = 40
"""Values of one filter that are looked up."""

MOST_CANDIDATES = 999
"""Rows that a look-up may lead to, and one more fits into an answer; what more rows have is found sooner by reading all
of them, newest first."""

MOST_STUDIES_OF_MODALITY = 100
"""That are read one by one for a rare modality."""

_CHUNK = 64
"""Rows that are read at once, if the page is not smaller."""

_PREFERENCE = (
    UID_TAGS[Level.SERIES],
    "00080050",  # AccessionNumber
    "00100020",  # PatientID
    "00100010",  # PatientName
    "00100030",  # PatientBirthDate
    "00080020",  # StudyDate
)
"""What tells most; the rest after it, in the order of their columns."""

_LIKELY_FEW = (Equal, OneOf, AnyOf, Between, Pattern)


class ValueSearch:
    """Looks up for one search in one data partition. What it returns None for has to be searched otherwise."""

    def __init__(self, values: ValueLookup, lookups: Lookups, projections: Projections, wanted: Criteria) -> None:
        self._values = values
        self._lookups = lookups
        self._projections = projections
        self._wanted = wanted

    async def studies(self, first: int | None) -> AsyncIterator[Projection] | None:
        """The studies that match, modalities included, newest first; `first` is how many the caller hopes to need."""
        wanted = self._wanted
        found = await self._found((each.column, each.matcher) for each in wanted.study_filters)
        return None if found is None else self._studies(found, first)

    async def series(self, first: int | None) -> AsyncIterator[Projection] | None:
        """Series among which are all that match, newest first; `first` as for studies."""
        wanted = self._wanted
        own: list[tuple[str, Matcher]] = (
            [] if wanted.series is None else [(UID_TAGS[Level.SERIES], OneOf(wanted.series))]
        )
        found = await self._found([*own, *((each.column, each.matcher) for each in wanted.series_filters)])
        return None if found is None else self._rows(found, first)

    async def studies_with_modality(self) -> frozenset[str] | None:
        """All studies with a series of the modalities, if they are few."""
        modalities = self._wanted.modalities
        ranges = None if modalities is None else ranges_of(MODALITY, modalities)
        if not ranges or not await self._values.usable():
            return None
        found = await self._values.candidates(self._lookups.partition, ranges, MOST_STUDIES_OF_MODALITY)
        return None if found is None else frozenset(row.split("|")[2] for _, row in found)

    async def _found(self, restrictions: Iterable[tuple[str, Matcher]]) -> list[RowKey] | None:
        if not self._values.kept:
            return None
        for ranges in _in_preference(restrictions):
            if not await self._values.usable():
                return None
            found = await self._values.candidates(self._lookups.partition, ranges, MOST_CANDIDATES)
            if found is not None:
                return found
        return None

    async def _studies(self, found: Sequence[RowKey], first: int | None) -> AsyncGenerator[Projection]:
        wanted = self._wanted
        async for some in self._chunks(found, first):
            fitting = [row for row in some if wanted.study_matches(row.forms)]
            if wanted.modalities is not None:
                series = await self._lookups.series(row.study for row in fitting)
                fitting = [row for row in fitting if wanted.modality_among(series[row.study])]
            for row in fitting:
                yield row

    async def _rows(self, found: Sequence[RowKey], first: int | None) -> AsyncGenerator[Projection]:
        async for some in self._chunks(found, first):
            for row in some:
                yield row

    async def _chunks(self, found: Sequence[RowKey], first: int | None) -> AsyncGenerator[list[Projection]]:
        size = min(first or _CHUNK, _CHUNK)
        for start in range(0, len(found), size):
            rows = await in_parallel(lambda key: self._projections.at(*key), found[start : start + size])
            yield [row for row in rows if row is not None]


def ranges_of(column: str, matcher: Matcher) -> list[Range] | None:
    """The value rows of everything that matches, and perhaps more; None if they are no few ranges."""
    match matcher:
        case Equal(form):
            return [exactly(column, form)] if form else None
        case OneOf(forms):
            return [exactly(column, form) for form in sorted(forms)] if len(forms) <= MOST_RANGES else None
        case Between(first, last):
            dates = between(column, first, last)
            return None if dates is None else [dates]
        case Pattern():
            return [beginning_with(column, matcher.prefix)] if matcher.prefix else None
        case AnyOf(matchers):
            ranges: list[Range] = []
            for each in matchers:
                some = ranges_of(column, each)
                if some is None or len(ranges) + len(some) > MOST_RANGES:
                    return None
                ranges += some
            return ranges
        case _:
            return None


def _in_preference(restrictions: Iterable[tuple[str, Matcher]]) -> list[list[Range]]:
    """The ranges of what can be looked up, the most telling first."""

    def rank(restriction: tuple[str, Matcher]) -> tuple[int, int]:
        column, matcher = restriction
        kind = next((number for number, kind in enumerate(_LIKELY_FEW) if isinstance(matcher, kind)), len(_LIKELY_FEW))
        return kind, _PREFERENCE.index(column) if column in _PREFERENCE else len(_PREFERENCE)

    usable = [each for each in restrictions if each[0] in STUDY_COLUMNS or each[0] in SERIES_COLUMNS]
    ranges = (ranges_of(*each) for each in sorted(usable, key=rank))
    return [some for some in ranges if some is not None]
