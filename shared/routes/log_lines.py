"""Log lines of requests, which nobody waits for.

Three lines take a tenth of a millisecond, a quarter of a simple search. What they say is settled at once; they are put
together and written when the event loop has sent what it was about to send.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVarTuple

Arguments = TypeVarTuple("Arguments")


def write_soon(write: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
    """Has `write` called in a moment; lines keep their order."""
    asyncio.get_running_loop().call_soon(write, *arguments)
