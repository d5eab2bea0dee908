"""Committing one change of a study: the loop around its transaction (protocol, section 3)."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Protocol

from ..clock import Clock, Ticks
from ..errors import Unavailable
from . import names
from .attempt import Attempt
from .change_feed import ChangeFeed
from .deletion import Finisher
from .memory import StudyKey, StudyMemory, StudyView
from .primitives import Storage, TransactionRefused, Unanswered
from .recollection import Recollection
from .rows import StudyRow
from .settle import Settler

MOST_PENDING = 400
"""Events on a study row that are not known to be in the feed; with more it is settled first (rules 5 and 9c)."""

MOST_UNANSWERED = 8
"""Transactions of one change without an answer before the request ends with 503, its outcome open."""


def new_operation() -> str:
    """An operation id: 96 random bits."""
    return secrets.token_hex(12)


class Change(Protocol):
    """A store, a deletion or an expiry on its way through the loop."""

    operation: str

    async def look(self, *, rows: bool) -> StudyView:
        """Reads what the next attempt stands on; with `rows` the change's own rows first, and then the study row, so
        that what the study row shows pending covers what the other rows showed."""
        ...

    def settles_first(self, view: StudyView) -> bool:
        """Whether a new life would begin here whose predecessor's end may not be in `studies` yet (rule 9b)."""
        ...

    def overdue(self, now: Ticks) -> bool:
        """Whether more than WRITE_LIMIT has passed since its upload began (rule 9d)."""
        ...

    def attempt(self, view: StudyView, now: Ticks, after: int) -> Attempt | None:
        """The transaction; None where there is nothing to do (rule 9e)."""
        ...


@dataclass(frozen=True, slots=True)
class Committed:
    """`view` is the study after the commit, not settled yet."""

    view: StudyView


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was committed; `view` is the study row read last, to be settled before the answer (rule 13)."""

    view: StudyView


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A transaction without an answer: the ETag that it stood on and the position that its events cannot be at."""

    etag: str
    after: int


class CommitLoop:
    """Carries changes through rules 9 to 12."""

    def __init__(
        self,
        storage: Storage,
        memory: StudyMemory,
        recollection: Recollection,
        feed: ChangeFeed,
        settler: Settler,
        finisher: Finisher,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._memory = memory
        self._recollection = recollection
        self._feed = feed
        self._settler = settler
        self._finisher = finisher
        self._clock = clock

    async def commit(self, study: StudyKey, change: Change, view: StudyView) -> Committed | Refused:
        """Tries until the change is in, or nothing of it ever can be; raises `Unavailable` when that stays open."""
        doubt: _Doubt | None = None
        unanswered = 0
        while True:
            if doubt and view.etag != doubt.etag:  # the study row moved on: the lost transaction is in, or never can be
                if await self._is_in(change, view, doubt):
                    return Committed(view)
                doubt = None
            ready = await self._prepare(study, change, view)
            if ready is not view:
                view = ready
                continue
            now = self._clock()
            if change.overdue(now):
                if doubt:
                    raise Unavailable("Storage did not answer in time.")
                return Refused(view)
            attempt = change.attempt(view, now, self._feed.position)
            if attempt is None:
                return Refused(view)
            try:
                etags = await self._storage.transact(names.INDEX, attempt.operations)
            except TransactionRefused as refusal:
                view = await change.look(rows=refusal.index > 0 or doubt is not None)
            except Unanswered:
                unanswered += 1
                if unanswered > MOST_UNANSWERED:
                    raise
                doubt = doubt or _Doubt(view.etag, attempt.after)
                self._memory.clear()
                self._feed.forget()
                await asyncio.sleep(0.05 * unanswered)
                view = await change.look(rows=True)
            else:
                committed = attempt.accepted(etags[0], view, self._clock())
                self._memory.keep(study, committed)
                self._recollection.committed(study, view.row, attempt)
                return Committed(committed)

    async def _prepare(self, study: StudyKey, change: Change, view: StudyView) -> StudyView:
        """Rules 9a to 9c: the same view if the attempt may be built on it, else what was read after making way."""
        row = view.row
        if row is None:
            return view
        if row.deleting:
            await self._finisher.finish(study, row.deleting.id)
            return await change.look(rows=True)
        if change.settles_first(view) or len(view.unfed) > MOST_PENDING:
            await self._settler.settle(study, view)
            return await change.look(rows=True)
        return view

    async def _is_in(self, change: Change, view: StudyView, doubt: _Doubt) -> bool:
        row = view.row or StudyRow()
        if any(event.operation == change.operation for event in row.pending):
            return True
        if row.deleting and row.deleting.id == change.operation:
            return True
        return await self._feed.contains(change.operation, doubt.after)
