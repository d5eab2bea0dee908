"""Finding what dead processes left open, and studies whose time is over (protocol, section 8)."""

from collections.abc import AsyncIterator

from ..clock import Clock
from . import names
from .memory import StudyKey
from .primitives import Compare, Or, Storage
from .rows import STUDY_ROW, split_partition_key


async def open_or_expired_studies(storage: Storage, clock: Clock) -> AsyncIterator[StudyKey]:
    """Studies that a dead process left with something unfinished, and those whose expiry has passed; one scan finds
    both. What is to be done about them is decided on the row as it then stands."""
    unfinished = Compare("dirty", "eq", True)
    expired = Compare("expiry", "le", clock())
    rows = storage.query(
        names.INDEX, rows=(STUDY_ROW, None), where=Or((unfinished, expired)), select=("PartitionKey", "RowKey")
    )
    async for entity in rows:
        yield split_partition_key(entity.partition)
