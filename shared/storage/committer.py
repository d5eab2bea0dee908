"""Every change of what is stored goes through here: stores, bulk updates, deletions, expiry and repair of studies."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..clock import Clock, Ticks
from ..errors import NotFound, Unavailable
from . import metadata_packing
from .attempt import Storing, Updating
from .change_feed import ChangeFeed
from .changes import MOST_UPDATED, DeleteAll, DeleteInstance, Expire, StoreInstances, UpdateInstances
from .commit import Change, CommitLoop, Committed, Refused
from .deletion import Finisher
from .files import Files
from .lanes import Lanes, Turn, Waiting
from .memory import StudyKey, StudyMemory
from .primitives import Storage
from .projections import Projections
from .recollection import Recollection
from .records import InstanceKey, NewInstance, Outcome, UpdatedInstance, UpdateOutcome
from .rows import MOST_PROPERTY_BYTES, OVERFLOWED_FRAMES, OVERFLOWED_METADATA, InstanceRow, upload_of
from .settle import Settler
from .tag_indexing import IndexTags, StudyValues

T = TypeVar("T")

QUIET_SECONDS = 2.0
"""How long a study is left alone before what is done is cleared off its row (rule 18)."""

LONGEST_SECONDS = 60.0
"""Between two attempts to see to what is owed for a study while storage is away."""


class Committer:
    """The writing side of the store, one a process."""

    def __init__(
        self,
        storage: Storage,
        files: Files,
        feed: ChangeFeed,
        projections: Projections,
        memory: StudyMemory,
        recollection: Recollection,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._files = files
        self._feed = feed
        self._memory = memory
        self._clock = clock
        self._settler = Settler(storage, memory, feed, projections, clock)
        self._finisher = Finisher(storage, memory, feed, self._settler, clock)
        self._loop = CommitLoop(storage, memory, recollection, feed, self._settler, self._finisher, clock)
        self._lanes = Lanes(self._store_group, self._fell_quiet)
        self._tidying: dict[StudyKey, asyncio.TimerHandle] = {}
        self._closing = False
        self.emptied = 0
        """Grows when the store begins and ends to be emptied: what was uploaded before is not there any more."""
        self._emptying = 0
        self._storing = 0
        self._nothing_stored = asyncio.Condition()

    # ---------------------------------------------------------------- store

    async def store(
        self,
        instances: Sequence[NewInstance],
        *,
        replace: bool,
        expires: Ticks | None,
        began: Ticks,
        emptied: int | None = None,
    ) -> list[Outcome]:
        """Commits uploaded instances of one study; the outcomes in the same order.

        `expires` becomes the study's expiry, None removes it (STO-121); `began` is when the first upload began, and
        `emptied`, if given, this committer's at that moment. Uploads of refused instances have been removed when this
        returns. Raises `Unavailable` when storage does not answer: what was stored is then open, as the files are left
        alone; also when the store is being emptied, or has been since then.
        """
        if not instances:
            return []
        await self._feed.freshen()
        if self._emptying or emptied not in (None, self.emptied):
            raise Unavailable("The store was emptied while the request was received.")
        self._storing += 1
        try:
            return await self._store(instances, replace=replace, expires=expires, began=began)
        finally:
            self._storing -= 1
            if self._emptying and not self._storing:
                async with self._nothing_stored:
                    self._nothing_stored.notify_all()

    async def _store(
        self, instances: Sequence[NewInstance], *, replace: bool, expires: Ticks | None, began: Ticks
    ) -> list[Outcome]:
        waiting = [
            Waiting(
                Storing(new, await self._row(new), replace, expires, began),
                asyncio.get_running_loop().create_future(),
            )
            for new in instances
        ]
        key = instances[0].key
        self._lanes.enter((key.partition, key.study), *waiting)
        outcomes = await asyncio.gather(*(each.done for each in waiting), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Outcome)]

    async def empty(self, remove: Callable[[], Awaitable[None]]) -> None:
        """Has everything removed while no store of this process is being committed.

        One that has uploaded its files before, or does so meanwhile, would commit instances whose files are gone.
        """
        self.emptied += 1
        self._emptying += 1
        try:
            async with self._nothing_stored:
                await self._nothing_stored.wait_for(lambda: not self._storing)
            await remove()
        finally:
            self._emptying -= 1
            self.emptied += 1

    async def _row(self, new: NewInstance) -> InstanceRow:
        """The row but for its version; what is too large for it goes into a blob first (STO-105)."""
        metadata = metadata_packing.pack(
            new.metadata, compact=self._storage.compact or len(new.metadata) > MOST_PROPERTY_BYTES
        )
        frames, overflow = new.frames, 0
        if len(metadata) > MOST_PROPERTY_BYTES:
            overflow |= OVERFLOWED_METADATA
        if len(frames) > MOST_PROPERTY_BYTES:
            overflow |= OVERFLOWED_FRAMES
        if overflow:
            await self._files.put_overflow(
                new.file,
                metadata if overflow & OVERFLOWED_METADATA else b"",
                frames if overflow & OVERFLOWED_FRAMES else b"",
            )
        return InstanceRow(
            version=0,
            upload=upload_of(new.file),
            size=new.size,
            transfer_syntax=new.transfer_syntax,
            metadata=b"" if overflow & OVERFLOWED_METADATA else metadata,
            frames=b"" if overflow & OVERFLOWED_FRAMES else frames,
            overflow=overflow,
            tag_values=new.tag_values.instance,
        )

    async def _store_group(self, study: StudyKey, group: list[Waiting]) -> None:
        """What one transaction does not carry goes with the next."""
        while group:
            left = await self._store_some(study, group)
            group = [each for each in group if id(each.item) in left]

    async def _store_some(self, study: StudyKey, group: list[Waiting]) -> frozenset[int]:
        """The `id` of those that are left."""
        change = StoreInstances(self._storage, self._settler, study, [each.item for each in group])
        try:
            self._cancel_tidying(study)
            result = await self._loop.commit(study, change, self._memory.recall(study))
            stored = change.items if isinstance(result, Committed) else []
            left = frozenset(map(id, change.left)) if isinstance(result, Committed) else frozenset()
            outcomes = {id(item): item.outcome for item in stored}
            refused = [each.item for each in group if id(each.item) not in outcomes.keys() | left]
            await self._discard([(item.new, item.row) for item in refused])
            await self._settle(study, result)
        except Exception as error:
            self._distrust(study)
            for each in group:
                if not each.done.done():
                    each.done.set_exception(error)
            return frozenset()
        for each in group:
            refusal = Outcome.DUPLICATE if each.item.held and not each.item.replace else Outcome.FAILED
            if not each.done.done() and id(each.item) not in left:
                each.done.set_result(outcomes.get(id(each.item), refusal))
        return left

    async def _discard(self, uploads: Sequence[tuple[NewInstance, InstanceRow]]) -> None:
        """Removes uploads that surely are not and never will be committed (rule 13)."""
        await asyncio.gather(*(self._files.discard(new.file, overflow=bool(row.overflow)) for new, row in uploads))

    # ---------------------------------------------------------------- bulk update

    async def update(self, study: StudyKey, items: Sequence[UpdatedInstance], *, began: Ticks) -> list[UpdateOutcome]:
        """Gives instances of a study, each once, their new versions (PLT-74 to PLT-79); the outcomes in the same order.

        They go in transactions one after another, and `began`, when the first upload began, is looked at before each.
        Uploads of those that are not updated have been removed when this returns. Raises `Unavailable` when storage
        does not answer: how much is updated is then for the rows to tell, and the files are left alone.
        """
        await self._feed.freshen()
        outcomes: dict[InstanceKey, UpdateOutcome] = {}
        waiting = deque(items)
        piece: list[Updating] = []
        while waiting or piece:
            while waiting and len(piece) < MOST_UPDATED:
                update = waiting.popleft()
                piece.append(Updating(update, await self._row(update.new)))
            await self._update_some(study, piece, began)
            outcomes |= {item.key: item.outcome for item in piece if item.outcome}
            piece = [item for item in piece if item.outcome is None]
        return [outcomes[item.new.key] for item in items]

    async def _update_some(self, study: StudyKey, items: Sequence[Updating], began: Ticks) -> None:
        """When it is the study's turn; the items have their outcomes then, but for those that are left."""

        async def update() -> None:
            self._cancel_tidying(study)
            change = UpdateInstances(self._storage, self._settler, study, items, began)
            result = await self._loop.commit(study, change, await change.look(rows=True))
            if isinstance(result, Refused):
                for item in items:
                    if item.outcome in (UpdateOutcome.UPDATED, None):
                        item.outcome = UpdateOutcome.FAILED
            refused = [item for item in items if item.outcome not in (UpdateOutcome.UPDATED, None)]
            await self._discard([(item.update.new, item.row) for item in refused if not item.committed])
            await self._settle(study, result)

        await self._in_turn(study, update)

    # ---------------------------------------------------------------- delete

    async def delete(self, partition: str, study: str, series: str | None = None, instance: str | None = None) -> None:
        """Removes a study, a series or an instance; raises `NotFound` by the level of the request (STO-140)."""
        change: Change
        if instance is not None:
            key = InstanceKey(partition, study, series or "", instance)
            change = DeleteInstance(self._storage, self._settler, key)
        else:
            change = DeleteAll(self._storage, self._memory, self._clock, (partition, study), series or "")
        if not await self._change((partition, study), change):
            level = "instance" if instance is not None else "series" if series is not None else "study"
            raise NotFound.resource(level)

    async def expire(self, partition: str, study: str) -> bool:
        """Deletes the study if its expiry has passed by now; whether it did (STO-123)."""
        study_ = (partition, study)
        return await self._change(study_, Expire(self._storage, self._memory, self._clock, study_))

    async def index_tags(self, partition: str, study: str, values: StudyValues) -> None:
        """Adds values of extended query tags to the rows of a study and its series; values that are newer stay."""
        study_ = (partition, study)
        for part in values.parts():
            await self._change(study_, IndexTags(self._settler, study_, part))

    async def _change(self, study: StudyKey, change: Change) -> bool:
        """Carries out a deletion when it is the study's turn; whether anything was deleted."""

        async def deletion() -> bool:
            self._cancel_tidying(study)
            await self._feed.freshen()
            result = await self._loop.commit(study, change, await change.look(rows=True))
            view = result.view
            if isinstance(result, Committed) and view.row and view.row.deleting:
                await self._finisher.finish(study, change.operation)
            else:
                await self._settle(study, result)
            return not isinstance(result, Refused)

        return await self._in_turn(study, deletion)

    async def _settle(self, study: StudyKey, result: Committed | Refused) -> None:
        """Settles the study and makes sure that what was committed is still there (storage may have been restarted)."""
        settled = await self._settler.settle(study, result.view)
        if isinstance(result, Committed) and result.view.row is not None:
            last = settled.row.last if settled.row else 0
            if last < result.view.row.last:
                raise Unavailable("Storage has lost what it had acknowledged.")

    # ---------------------------------------------------------------- repair

    async def repair(self, partition: str, study: str) -> None:
        """Finishes whatever a dead process left open on the study: deletion, feed, search (rule 26)."""
        study_ = (partition, study)

        async def read_and_tidy() -> None:
            self._memory.forget(study_)
            await self._tidy(study_)

        await self._in_turn(study_, read_and_tidy)

    async def _tidy(self, study: StudyKey) -> None:
        """Finishes, settles and clears the study row as it stands, or as this process knows it."""
        view = self._memory.recall(study)
        if view.row is None:
            view = await self._settler.read(study)
        while view.row and view.row.deleting:
            await self._finisher.finish(study, view.row.deleting.id)
            view = await self._settler.read(study)
        await self._settler.clear(study, await self._settler.settle(study, view))

    async def _in_turn(self, study: StudyKey, work: Callable[[], Awaitable[T]]) -> T:
        """Runs `work` when it is the study's turn in this process."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await work()
            except Exception as error:
                self._distrust(study)
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self._lanes.enter(study, Turn(run))
        return await done

    def _distrust(self, study: StudyKey) -> None:
        """After a failure nothing that is remembered is sure: storage may have lost its last seconds (rule 7). What may
        be owed for the study is seen to as soon as storage is back."""
        self._memory.clear()
        self._feed.forget()
        self._tidy_later(study, QUIET_SECONDS)

    # ---------------------------------------------------------------- clearing

    def _fell_quiet(self, study: StudyKey) -> None:
        if study not in self._tidying and self._memory.recall(study).dirty:
            self._tidy_later(study, QUIET_SECONDS)

    def _tidy_later(self, study: StudyKey, seconds: float) -> None:
        self._cancel_tidying(study)
        loop = asyncio.get_running_loop()
        self._tidying[study] = loop.call_later(seconds, self._enter_tidying, study, seconds)

    def _cancel_tidying(self, study: StudyKey) -> None:
        handle = self._tidying.pop(study, None)
        if handle is not None:
            handle.cancel()

    def _enter_tidying(self, study: StudyKey, seconds: float) -> None:
        self._tidying.pop(study, None)

        async def tidy() -> None:
            try:
                await self._tidy(study)
            except Exception:
                self._memory.clear()
                self._feed.forget()
                if not self._closing:
                    self._tidy_later(study, min(2 * seconds, LONGEST_SECONDS))

        self._lanes.enter(study, Turn(tidy))

    async def close(self) -> None:
        """Clears what is done without waiting for quiet, and lets what runs end."""
        self._closing = True
        for study in list(self._tidying):
            self._cancel_tidying(study)
            self._enter_tidying(study, QUIET_SECONDS)
        await self._lanes.drain()
