"""Table `workitems`: one row a workitem, in a partition of its own, changed under its ETag alone.

The row says what transactions decide by: state, lock, and the values that searches compare. The data set itself lies
in the row as well, or in a blob of container `overflow` if it is too large for a property. Such a blob is written
under a new name and becomes current with the change of the row that names it; the one before it stays for readers
that are still at it, until `workitem_garbage` removes it.

State and lock are not in the data set, so that claiming a workitem costs the same whatever its size.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from ..clock import HOUR, Clock
from ..errors import DicomServiceError, Unavailable
from . import metadata_packing, names
from .primitives import (
    BlobExists,
    BlobMissing,
    Condition,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    Storage,
    Unanswered,
    Value,
)
from .workitem_rows import (
    MOST_IN_ROW,
    ROW,
    SCANNED,
    Change,
    Content,
    Workitem,
    blob_name,
    content_values,
    partition_key,
    partition_range,
    state_values,
    workitem,
)

MOST_TRIES = 30
"""Attempts at a change that others were faster with, or that got no answer."""

LONGEST_PAUSE = 0.2
"""Seconds between two of them."""

LONGEST_WRITE = HOUR
"""After so long a blob is not made current any more: the sweep may have noticed it."""

LARGE = 256 * 1024
"""Bytes of a document whose compression leaves the event loop."""

Decide = Callable[[Workitem | None], Awaitable[Change | None]]
"""What becomes of a workitem as it stands (None: there is none); None changes nothing. It may be asked repeatedly."""


class TooManyWriters(DicomServiceError):
    """Others changed the workitem every time that this change was tried."""


class Workitems:
    """Reads and writes the table."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._created = 0

    async def create(self, partition: str, uid: str, state: str, content: Content, *, complete: bool) -> bool:
        """Inserts a workitem; False if there is one of that UID. Raises `Unavailable`.

        `complete`: whether everything that the standard asks for was there, which is kept with the workitem.
        """
        self._created = max(self._clock(), self._created + 1)
        operation = secrets.token_hex(8)
        values, blob = await self._values(partition, uid, content)
        fixed: dict[str, Value] = {"created": self._created, "complete": complete, "operation": operation}
        insert = Insert(Entity(partition_key(partition, uid), ROW, {**fixed, **state_values(state, ""), **values}))
        for attempt in range(MOST_TRIES):
            try:
                await self._storage.write(names.WORKITEMS, insert)
            except EntityExists:
                there = await self.get(partition, uid)
                if there is not None and there.operation == operation:
                    return True
                await self._discard(blob)
                return False
            except Unanswered:
                await _pause(attempt)
            else:
                return True
        raise Unavailable

    async def get(self, partition: str, uid: str) -> Workitem | None:
        """The workitem, its document left aside if it overflowed."""
        entity = await self._storage.get(names.WORKITEMS, partition_key(partition, uid), ROW)
        return None if entity is None else workitem(entity)

    async def document(self, found: Workitem) -> bytes:
        """The DICOM JSON object of a workitem that was read in full.

        Raises `BlobMissing` if it had overflowed and a day has passed since somebody replaced it.
        """
        packed = found.packed
        if found.overflow:
            packed = await self._storage.get_blob(names.OVERFLOW, blob_name(found.partition, found.uid, found.overflow))
        if len(packed) > LARGE:
            return await asyncio.to_thread(metadata_packing.unpack, packed)
        return metadata_packing.unpack(packed)

    async def get_whole(self, partition: str, uid: str) -> tuple[Workitem, bytes] | None:
        """The workitem and its document; raises `BlobMissing` if that is lost."""
        while True:
            found = await self.get(partition, uid)
            if found is None:
                return None
            try:
                return found, await self.document(found)
            except BlobMissing:
                if await self._is_current(found):
                    raise

    async def change(self, partition: str, uid: str, decide: Decide) -> None:
        """Changes a workitem as `decide` says; what that raises goes through.

        A decision is made again whenever somebody else was faster, so every change is decided on what it changes.
        Raises `TooManyWriters`, `Unavailable`.
        """
        operation = secrets.token_hex(8)
        for attempt in range(MOST_TRIES):
            found = await self.get(partition, uid)
            if found is not None and found.operation == operation:
                return
            try:
                change = await decide(found)
            except BlobMissing:
                if await self._is_current(found):
                    raise
                continue
            if found is None or change is None:
                return
            try:
                if await self._write(found, change, operation):
                    return
            except Unanswered:
                if attempt == MOST_TRIES - 1:
                    raise
            await _pause(attempt)
        raise TooManyWriters

    async def scan(self, partition: str, where: Condition | None, columns: Iterable[str]) -> AsyncIterator[Workitem]:
        """Every workitem of a data partition that meets `where`, in no order that means anything.

        Of the values that searches compare only those of `columns` are read; of the documents only small ones, the
        others are empty.
        """
        select = [*SCANNED, *columns]
        async for entity in self._storage.query(
            names.WORKITEMS, partitions=partition_range(partition), where=where, select=select
        ):
            yield workitem(entity)

    async def _is_current(self, found: Workitem | None) -> bool:
        """Whether the row still is what it was."""
        if found is None:
            return False
        now = await self.get(found.partition, found.uid)
        return now is not None and now.etag == found.etag

    async def _write(self, found: Workitem, change: Change, operation: str) -> bool:
        """One attempt; False if somebody else was faster."""
        key = partition_key(found.partition, found.uid)
        blob = ""
        state: Mapping[str, str] = state_values(change.state, change.lock)
        write: Operation
        if change.content is None:
            write = Merge(Entity(key, ROW, {**state, "operation": operation}), found.etag)
        else:
            values, blob = await self._values(found.partition, found.uid, change.content)
            fixed: dict[str, Value] = {
                "created": found.created,
                "complete": found.complete,
                "operation": operation,
            }
            write = Replace(Entity(key, ROW, {**fixed, **state, **values}), found.etag)
        try:
            await self._storage.write(names.WORKITEMS, write)
        except (EntityChanged, EntityMissing):
            await self._discard(blob)
            return False
        return True

    async def _values(self, partition: str, uid: str, content: Content) -> tuple[dict[str, str | bytes | bool], str]:
        """The properties of a content, and the blob that was written for it, if any."""
        document = content.document
        if len(document) > LARGE:
            packed = await asyncio.to_thread(metadata_packing.pack, document, compact=self._storage.compact)
        else:
            packed = metadata_packing.pack(document, compact=self._storage.compact)
        if len(packed) <= MOST_IN_ROW:
            return content_values(content.forms, packed=packed), ""
        began = self._clock()
        overflow = f"{began:x}{secrets.token_hex(4)}"
        blob = blob_name(partition, uid, overflow)
        with contextlib.suppress(BlobExists):
            await self._storage.put_blob(names.OVERFLOW, blob, packed)
        if self._clock() - began > LONGEST_WRITE:
            raise Unavailable
        return content_values(content.forms, overflow=overflow), blob

    async def _discard(self, blob: str) -> None:
        """Removes a blob that surely never became current; if that fails it is left to the sweep."""
        if blob:
            with contextlib.suppress(DicomServiceError):
                await self._storage.delete_blob(names.OVERFLOW, blob)


async def _pause(attempt: int) -> None:
    """A moment of random length, so that those who met once do not meet again."""
    await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.005 * 2**attempt)))  # noqa: S311
