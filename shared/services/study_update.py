"""What a bulk update does to one study: all of it or nothing (PLT-72, PLT-73)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ..clock import Ticks
from ..dicom.instance import ParsedInstance
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord, UpdatedInstance, UpdateOutcome
from ..storage.update_batches import Batch, MadeInstance, UpdateBatches
from .known_tags import catch_up
from .new_versions import InstanceFailed, NewVersions
from .update_progress import MOST_NAMED, Progress, UpdateState

if TYPE_CHECKING:
    from ..composition import Services

AT_A_TIME = 4
"""Files that are worked on at once: what bounds memory."""

MOST_BYTES = 8 * 1024 * 1024
"""Of metadata and frame tables that are held for one commit, and the last few files beyond that."""

MOST_ATTEMPTS = 10
"""How often a version is made anew for an instance that others replace meanwhile."""

_DONE = (UpdateOutcome.UPDATED, UpdateOutcome.ALREADY)

_Made = tuple[MadeInstance, ParsedInstance]
_Outcomes = dict[InstanceKey, UpdateOutcome | None]

T = TypeVar("T")
Source = TypeVar("Source", MadeInstance, InstanceRecord)


class StudyUpdate:
    """The study that is under way in `progress`."""

    def __init__(self, services: "Services", progress: Progress) -> None:
        state = progress.state
        self._services = services
        self._progress = progress
        self._operation = progress.operation.id
        self._study = (state.partition, state.study)
        self._versions = NewVersions(services, state.texts())
        self._batches = UpdateBatches(services.storage, self._operation, state.partition, state.study)

    async def advance(self) -> UpdateState:
        """Does the next thing that is to be done; the state behind it."""
        state = self._progress.state
        if state.phase == "list":
            return await self._list(state)
        if state.phase == "make":
            return await self._make(state)
        if state.phase == "commit":
            return await self._commit(state)
        if state.phase == "discard":
            return await self._discard(state)
        await self._batches.clear()
        return state.next_study()

    async def _list(self, state: UpdateState) -> UpdateState:
        """Which instances there are: those that are stored from now on are no part of the update."""
        if state.study in state.studies[: state.index]:
            return state.next_study()
        batches = await self._batches.start(await self._services.index.sizes(*self._study))
        return replace(state.in_phase("make"), batches=batches) if batches else state.next_study()

    # ---------------------------------------------------------------- making the files

    async def _make(self, state: UpdateState) -> UpdateState:
        """Makes and uploads the files of a batch. Once an instance has failed the others are only looked at, until
        there are as many as are told of."""
        batch = await self._batches.read(state.batch)
        records = await self._records(each.key for each in batch.instances)
        faulty, made, began = [*state.faulty], [], self._services.clock()
        try:
            for some in _slices(records, AT_A_TIME):
                found = await asyncio.gather(
                    *(self._versions.make(record, upload=not faulty) for record in some), return_exceptions=True
                )
                made += [each[0] for each in found if isinstance(each, tuple)]
                faulty += _failures(some, found)
                if len(faulty) > MOST_NAMED:
                    break
        except BaseException:
            await self._discard_all(made)
            raise
        await self._batches.write(Batch(batch.number, made, began))
        state = replace(state, faulty=faulty)
        if len(faulty) > MOST_NAMED:
            return state.in_phase("discard")
        return state.next_batch("discard" if faulty else "commit")

    async def _records(self, keys: Iterable[InstanceKey]) -> list[InstanceRecord]:
        """The instances as they stand, but for those that are gone."""
        found = await self._services.index.current(keys, metadata=True)
        return list(found.values())

    # ---------------------------------------------------------------- committing them

    async def _commit(self, state: UpdateState) -> UpdateState:
        """Commits a batch. If that may have been begun before, by a step that was killed, new files are made for what
        is not updated yet: no file may be handed over twice."""
        batch = await self._batches.read(state.batch)
        left = [each.key for each in batch.instances]
        await self._progress.keep(replace(state, tried=True))
        done = 0
        if not state.tried:
            outcomes = await self._commit_made(self._read_again, batch.instances, batch.began)
            done, left = _counted(outcomes)
        faulty = [*state.faulty]
        for _ in range(MOST_ATTEMPTS):
            if not left:
                break
            records = await self._records(left)
            done += sum(record.operation == self._operation for record in records)
            others = [record for record in records if record.operation != self._operation]
            outcomes = await self._commit_made(self._make_anew, others, self._services.clock())
            faulty += [(key.series, key.instance) for key, outcome in outcomes.items() if outcome is None]
            updated, left = _counted(outcomes)
            done += updated
        if state.tried:  # what was committed by a step that died may not be in feed and search yet
            await self._services.committer.repair(*self._study)
        faulty += [(key.series, key.instance) for key in left]
        return replace(state, done=state.done + done, faulty=faulty[: MOST_NAMED + 1]).next_batch("clear")

    async def _read_again(self, made: MadeInstance) -> _Made | UpdateOutcome | None:
        try:
            return made, await self._versions.read_again(made)
        except BlobMissing:
            return UpdateOutcome.FAILED

    async def _make_anew(self, record: InstanceRecord) -> _Made | UpdateOutcome | None:
        try:
            return await self._versions.make(record) or UpdateOutcome.GONE
        except InstanceFailed:
            return None

    async def _commit_made(
        self, make: Callable[[Source], Awaitable[_Made | UpdateOutcome | None]], of: Sequence[Source], began: Ticks
    ) -> _Outcomes:
        """What becomes of the instances of which `make` gives files to commit; None for those that failed."""
        outcomes: _Outcomes = {}
        made: list[_Made] = []
        for some in _slices(of, AT_A_TIME):
            for source, found in zip(some, await asyncio.gather(*map(make, some)), strict=True):
                if isinstance(found, tuple):
                    made.append(found)
                else:
                    outcomes[source.key] = found
            if sum(len(parsed.metadata) + len(parsed.frames) for _, parsed in made) > MOST_BYTES:
                outcomes |= await self._hand_over(made, began)
                made = []
        return outcomes | await self._hand_over(made, began)

    async def _hand_over(self, made: Sequence[_Made], began: Ticks) -> _Outcomes:
        known = await self._services.tags.known()
        items = [
            UpdatedInstance(self._versions.row_of(instance, parsed, known), instance.made_from, self._operation)
            for instance, parsed in made
        ]
        outcomes = await self._services.committer.update(self._study, items, began=began)
        told: _Outcomes = {item.new.key: outcome for item, outcome in zip(items, outcomes, strict=True)}
        await catch_up(self._services, known, [key for key, outcome in told.items() if outcome in _DONE])
        return told

    # ---------------------------------------------------------------- taking back

    async def _discard(self, state: UpdateState) -> UpdateState:
        batch = await self._batches.read(state.batch)
        await self._discard_all(batch.instances)
        return state.next_batch("clear")

    async def _discard_all(self, made: Sequence[MadeInstance]) -> None:
        for some in _slices(made, AT_A_TIME):
            await asyncio.gather(*(self._versions.discard(each) for each in some))


def _slices(of: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (of[start : start + size] for start in range(0, len(of), size))


def _failures(records: Iterable[InstanceRecord], found: Iterable[object]) -> list[tuple[str, str]]:
    """Series and instance of those of which nothing could be made; raises whatever else went wrong."""
    failed = []
    for record, result in zip(records, found, strict=True):
        if isinstance(result, InstanceFailed):
            failed.append((record.key.series, record.key.instance))
        elif isinstance(result, BaseException):
            raise result
    return failed


def _counted(outcomes: _Outcomes) -> tuple[int, list[InstanceKey]]:
    """How many are updated, and which are to be tried again."""
    again = [key for key, outcome in outcomes.items() if outcome in (UpdateOutcome.REPLACED, UpdateOutcome.FAILED)]
    return sum(outcome in _DONE for outcome in outcomes.values()), again
