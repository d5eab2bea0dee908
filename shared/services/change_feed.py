"""Reading the change feed with the state and metadata that its entries have now (CHG-13, CHG-14)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..clock import Ticks
from ..storage.primitives import BlobMissing
from ..storage.records import FeedEntry, InstanceKey, InstanceRecord, State

if TYPE_CHECKING:
    from ..composition import Services


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry as it is read: `metadata` is the instance's present DICOM JSON object, absent when it is deleted."""

    entry: FeedEntry
    state: State
    metadata: bytes | None


async def page(
    services: "Services", *, start: Ticks, end: Ticks | None, offset: int, limit: int, with_metadata: bool
) -> list[ReadEntry]:
    """The window from `start` to before `end`, cut by offset and limit (CHG-07, CHG-08)."""
    entries = await services.change_feed.page(start, end, offset, limit)
    return await _read(services, entries, with_metadata)


async def after(services: "Services", sequence: int, limit: int, with_metadata: bool) -> list[ReadEntry]:
    """Entries behind a sequence number (CHG-31)."""
    return await _read(services, await services.change_feed.after(sequence, limit), with_metadata)


async def latest(services: "Services", with_metadata: bool) -> ReadEntry | None:
    """The last entry (CHG-18)."""
    entry = await services.change_feed.latest()
    return (await _read(services, [entry], with_metadata))[0] if entry else None


async def _read(services: "Services", entries: Sequence[FeedEntry], with_metadata: bool) -> list[ReadEntry]:
    current = await services.index.current((entry.key for entry in entries), metadata=with_metadata)
    metadata: dict[InstanceKey, bytes] = {}
    if with_metadata:
        for key in list(current):
            try:
                metadata[key] = await services.index.metadata(current[key])
            except BlobMissing:
                await _read_again(services, key, current, metadata)
    return [ReadEntry(entry, _state(entry, current), metadata.get(entry.key)) for entry in entries]


async def _read_again(
    services: "Services",
    key: InstanceKey,
    current: dict[InstanceKey, InstanceRecord],
    metadata: dict[InstanceKey, bytes],
) -> None:
    """The instance was replaced or deleted while the page was read: the entry comes in its new state."""
    found = (await services.index.current([key], metadata=True)).get(key)
    if found is None:
        del current[key]
    else:
        current[key] = found
        metadata[key] = await services.index.metadata(found)


def _state(entry: FeedEntry, current: dict[InstanceKey, InstanceRecord]) -> State:
    found = current.get(entry.key)
    if found is None:
        return State.DELETED
    return State.CURRENT if found.version == entry.version else State.REPLACED
