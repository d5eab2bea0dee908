"""Several requests to storage at once, but not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

MOST_PARALLEL = 16

T = TypeVar("T")
R = TypeVar("R")


async def in_parallel(call: Callable[[T], Awaitable[R]], arguments: Iterable[T]) -> list[R]:
    """The results of `call`, in the order of the arguments."""
    arguments = list(arguments)
    if len(arguments) == 1:  # spares a task and a turn of the event loop
        return [await call(arguments[0])]
    gate = asyncio.Semaphore(MOST_PARALLEL)

    async def one(argument: T) -> R:
        async with gate:
            return await call(argument)

    return await asyncio.gather(*map(one, arguments))
