"""Changes of one row under its ETag: read, write, and again while others are faster."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from .primitives import EntityChanged, EntityExists, EntityMissing, Operation, Storage, Unanswered

MOST_UNANSWERED = 8

T = TypeVar("T")


async def write_guarded(storage: Storage, table: str, plan: Callable[[], Awaitable[tuple[T, Operation | None]]]) -> T:
    """`plan` reads and decides: what the result will be, and the write that it takes, or None if it takes none.

    It is called again when the write was refused or got no answer, and may meet its own change then. Raises
    `Unanswered` when there was no answer too often, and whatever `plan` raises.
    """
    unanswered = 0
    while True:
        result, operation = await plan()
        if operation is None:
            return result
        try:
            await storage.write(table, operation)
        except (EntityExists, EntityMissing, EntityChanged):
            continue
        except Unanswered:
            unanswered += 1
            if unanswered > MOST_UNANSWERED:
                raise
        else:
            return result
