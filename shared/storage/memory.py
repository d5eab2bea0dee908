"""What a process remembers of the studies that it wrote lately (protocol, section 2, rule 6).

All of it is hints that spare reads; the ETag of the study row decides.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from ..clock import Ticks
from .rows import Event, Mark, SeriesRow, StudyRow

MOST_STUDIES = 2000

StudyKey = tuple[str, str]
"""Data partition and study."""


@dataclass(slots=True)
class StudyView:
    """A study as last written or read by this process.

    `row` None: the study row is believed absent. `series` holds the series rows known under this ETag (None: known to
    be absent); `seen` is when the row was written or read. `fed` are ids of events known to be in the feed, `projected`
    marks known to be in `studies`.
    """

    row: StudyRow | None = None
    etag: str = ""
    series: dict[str, SeriesRow | None] = field(default_factory=dict)
    seen: Ticks = 0
    fed: frozenset[str] = frozenset()
    projected: frozenset[Mark] = frozenset()

    @property
    def unfed(self) -> tuple[Event, ...]:
        """Pending events that may not be in the feed yet."""
        return tuple(event for event in self.row.pending if event.id not in self.fed) if self.row else ()

    @property
    def unprojected(self) -> tuple[Mark, ...]:
        """Marks that may not be in `studies` yet."""
        return tuple(mark for mark in self.row.unprojected if mark not in self.projected) if self.row else ()

    @property
    def dirty(self) -> bool:
        """Whether the row lists anything as not finished."""
        return self.row is not None and self.row.dirty

    def settled(self) -> "StudyView":
        """The same, all that is pending being known to be done."""
        row = self.row or StudyRow()
        return StudyView(
            self.row,
            self.etag,
            self.series,
            self.seen,
            frozenset(event.id for event in row.pending),
            frozenset(row.unprojected),
        )

    def reread(self, row: StudyRow | None, etag: str, series: dict[str, SeriesRow | None], seen: Ticks) -> "StudyView":
        """The row as read anew; what is known to be done of it stays known."""
        known = self if row is not None else StudyView()
        return StudyView(row, etag, series, seen, known.fed, known.projected)


class StudyMemory:
    """The views of the studies written last."""

    def __init__(self) -> None:
        self._views: OrderedDict[StudyKey, StudyView] = OrderedDict()

    def recall(self, study: StudyKey) -> StudyView:
        """The view of the study; of one that is not remembered, a view of an absent study."""
        return self._views.get(study) or StudyView()

    def knows(self, study: StudyKey) -> bool:
        return study in self._views

    def keep(self, study: StudyKey, view: StudyView) -> None:
        self._views[study] = view
        self._views.move_to_end(study)
        if len(self._views) > MOST_STUDIES:
            self._views.popitem(last=False)

    def forget(self, study: StudyKey) -> None:
        self._views.pop(study, None)

    def clear(self) -> None:
        self._views.clear()
