"""Deletions of more rows than a transaction takes, piece by piece (protocol, section 7)."""

from collections.abc import Sequence

from ..clock import Clock
from . import names
from .attempt import MOST_DELETED, Doomed, piece_attempt
from .change_feed import ChangeFeed
from .memory import StudyKey, StudyMemory, StudyView
from .partition import StudyPartition, read_partition
from .primitives import Storage, TransactionRefused, Unanswered
from .settle import Settler

MOST_UNANSWERED = 8


class Finisher:
    """Completes a deletion in progress; whoever meets the mark does this: owner, next writer, repairer, expiry job."""

    def __init__(self, storage: Storage, memory: StudyMemory, feed: ChangeFeed, settler: Settler, clock: Clock) -> None:
        self._storage = storage
        self._memory = memory
        self._feed = feed
        self._settler = settler
        self._clock = clock

    async def finish(self, study: StudyKey, deletion: str) -> StudyView:
        """Removes what the mark names and returns the study as it is once the mark is gone, settled."""
        unanswered = 0
        there = await read_partition(self._storage, self._memory, self._clock, study)
        while True:
            view = there.view
            if view.row is None or view.row.deleting is None or view.row.deleting.id != deletion:
                return await self._settler.settle(study, view)
            if view.unfed or view.unprojected:
                settled = await self._settler.settle(study, view)
                if not view.series.keys() <= settled.series.keys():  # the study row alone was read again meanwhile
                    there = await read_partition(self._storage, self._memory, self._clock, study)
                    continue
                view = settled
            scope = view.row.deleting.series if view.row and view.row.deleting else ""
            doomed = there.of_series(scope) if scope else there.instances
            piece = piece_of(view, doomed)
            attempt = piece_attempt(study, view, piece, len(piece) == len(doomed), self._clock(), self._feed.position)
            try:
                etags = await self._storage.transact(names.INDEX, attempt.operations)
            except TransactionRefused:
                there = await read_partition(self._storage, self._memory, self._clock, study)
            except Unanswered:
                unanswered += 1
                if unanswered > MOST_UNANSWERED:
                    raise
                self._memory.clear()
                self._feed.forget()
                there = await read_partition(self._storage, self._memory, self._clock, study)
            else:
                view = attempt.accepted(etags[0], view, self._clock())
                self._memory.keep(study, view)
                gone = {(each.series, each.instance) for each in piece}
                left = [each for each in there.instances if (each.series, each.instance) not in gone]
                there = StudyPartition(view, left)


def piece_of(view: StudyView, doomed: Sequence[Doomed]) -> list[Doomed]:
    """As many of the rows as fit one transaction with the series rows that they touch."""
    piece: list[Doomed] = []
    series: set[str] = set()
    rows = 0
    for each in doomed:
        if rows + each.held.rows + len(series | {each.series}) > MOST_DELETED:
            break
        piece.append(each)
        series.add(each.series)
        rows += each.held.rows
    return piece


def fits_one_transaction(doomed: Sequence[Doomed]) -> bool:
    """Whether all rows go at once."""
    return sum(each.held.rows for each in doomed) + len({each.series for each in doomed}) < MOST_DELETED
