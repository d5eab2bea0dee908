"""The reindex: gives the instances that are stored already their values of new extended query tags (TAG-20, OPS-04).

It runs from the queue in steps of a few seconds. Each page of instances is followed by a write of the operation that
says how far it has come, under the ETag of the last one: a step that is killed is taken up there, and of two that run
at once one ends. Instances that are stored meanwhile bring their values themselves: `START_DELAY` gives every process
the time to learn of the tags before the walk begins.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..storage.extended_query_tags import ExtendedQueryTag, ExtendedQueryTags, TagError, TagSet, TagStatus
from ..storage.operations import Operation, Operations, OperationStatus
from ..storage.primitives import EntityChanged
from ..storage.records import InstanceKey
from ..storage.tag_indexing import START, TagIndexing
from .operation_progress import Told, nobody, save, send, step_end
from .tag_values import index_instances

if TYPE_CHECKING:
    from ..composition import Services

REINDEX = "reindex"

START_DELAY = 2.0
"""Seconds between the new tags and the first step; longer than a process trusts what it knows of the tags."""

PAGE = 100
"""Instances between two writes of the operation."""

log = logging.getLogger(__name__)


async def start_reindex(services: "Services", operation: str, add: Callable[[], Awaitable[TagSet]]) -> None:
    """Writes the operation down, lets `add` add the tags that are part of it, and sends it on its way."""
    now = services.clock()
    await Operations(services.storage).create(Operation(operation, REINDEX, now, now))
    tags = await add()
    columns = [tag.column for tag in tags.tags if tag.operation == operation]
    operations = Operations(services.storage)
    created = await operations.get(operation)
    if created is not None:
        await operations.save(replace(created, state={"tags": columns}))
    await send(services, Operation(operation, REINDEX, now, now), START_DELAY)


async def run_reindex_step(services: "Services", id_: str, told: Told = nobody) -> None:
    """One step, as the queue calls for it; sends the message for the next one."""
    operations, tags = Operations(services.storage), ExtendedQueryTags(services.storage)
    operation = await operations.get(id_)
    if operation is None or operation.status.finished:
        return
    tagged = TagIndexing(services.storage, services.index)
    end = step_end()
    try:
        if operation.status is OperationStatus.NOT_STARTED:
            state = {**operation.state, "total": await tagged.count(), "done": 0}
            operation = await save(services, replace(operation, status=OperationStatus.RUNNING, state=state))
            told(OperationStatus.NOT_STARTED)
        while True:
            pending = [tag for tag in (await tags.read()).tags if tag.operation == id_]
            cursor = tuple(operation.state.get("cursor", START))
            page = await tagged.after((cursor[0], cursor[1]), PAGE) if pending else []
            if not page:
                break
            faults = await index_instances(tagged, services.committer.index_tags, pending, page)
            await _record(services, tags, faults)
            operation = await save(services, _advanced(operation, page[-1].cursor, len(page)))
            if time.monotonic() > end:
                await send(services, operation)
                return
        await _finish(services, tags, operation)
        told(OperationStatus.SUCCEEDED)
    except EntityChanged:
        log.info("Another step of operation %s is under way.", id_)


async def fail_reindex(services: "Services", id_: str, reason: str, told: Told = nobody) -> None:
    """Ends an operation that could not be carried out; its tags stay, not searchable, until they are removed."""
    operations, tags = Operations(services.storage), ExtendedQueryTags(services.storage)
    await tags.change(lambda before: _released(before, id_, None))
    operation = await operations.get(id_)
    if operation is not None and not operation.status.finished:
        await save(services, replace(operation, status=OperationStatus.FAILED, reason=reason))
        told(OperationStatus.FAILED)


async def active_reindex(services: "Services") -> Operation | None:
    """The reindex that is under way."""
    running = (await ExtendedQueryTags(services.storage).read()).operation
    return await Operations(services.storage).get(running) if running else None


def _advanced(operation: Operation, cursor: Sequence[str], count: int) -> Operation:
    done = operation.state["done"] + count
    total = max(operation.state["total"], done, 1)
    state = {**operation.state, "cursor": list(cursor), "done": done}
    return replace(operation, state=state, percent=max(operation.percent, min(99, done * 100 // total)))


async def _record(
    services: "Services", tags: ExtendedQueryTags, faults: Iterable[tuple[InstanceKey, ExtendedQueryTag, str]]
) -> None:
    """Adds the errors to their tags, and switches searching by these off (TAG-30)."""
    found: dict[str, list[TagError]] = {}
    by_column: dict[str, ExtendedQueryTag] = {}
    for key, tag, message in faults:
        found.setdefault(tag.column, []).append(TagError(key, message, services.clock()))
        by_column[tag.column] = tag
    if not found:
        return

    def switched_off(before: TagSet) -> TagSet:
        return replace(
            before,
            tags=tuple(replace(tag, enabled=False, failed=True) if tag.column in found else tag for tag in before.tags),
        )

    await tags.change(switched_off)
    for column, errors in found.items():
        await tags.add_errors(by_column[column], errors)


async def _finish(services: "Services", tags: ExtendedQueryTags, operation: Operation) -> None:
    """First the tags, then the operation: what reads as succeeded can be searched (OPS-05)."""
    await tags.change(lambda before: _released(before, operation.id, TagStatus.READY))
    await save(services, replace(operation, status=OperationStatus.SUCCEEDED, percent=100))


def _released(before: TagSet, operation: str, status: TagStatus | None) -> TagSet:
    """The tags without this operation; those that were part of it get `status`, if any."""
    return replace(
        before,
        operation="" if before.operation == operation else before.operation,
        tags=tuple(
            replace(tag, operation="", status=status or tag.status) if tag.operation == operation else tag
            for tag in before.tags
        ),
    )
