"""Whether the service can do its work: one look at storage every few seconds at most, whoever asks (PLT-20, PLT-21)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ..errors import Unavailable
from ..storage.table_file import TableFileState

if TYPE_CHECKING:
    from ..composition import Services

FRESH = 3.0
"""Seconds for which a result is given again."""

PATIENCE = 2.0
"""Seconds that a question waits for storage."""

SLOW = 20.0
"""Seconds for which storage that does not answer, but did before, counts as slow rather than away."""

logger = logging.getLogger(__name__)


class Status(Enum):
    """How the service is; degraded still serves."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """A finding and, unless all is well, its reason."""

    status: Status
    reason: str = ""


class HealthProbe:
    """Looks at storage through the services that `opened` gives, or that it tries to open (raising `Unavailable`)."""

    def __init__(self, opened: Callable[[], Awaitable["Services"]]) -> None:
        self._opened = opened
        self._running: asyncio.Task[None] | None = None
        self._tried = float("-inf")
        self._reached = float("-inf")
        self._found = Health(Status.UNHEALTHY)

    async def look(self) -> Health:
        """How the service is, without waiting longer than `PATIENCE`."""
        if self._running is None and time.monotonic() - self._tried > FRESH:
            self._running = asyncio.create_task(self._look())
        if self._running is not None:
            await asyncio.wait([self._running], timeout=PATIENCE)
        if self._running is None:
            return self._found
        if time.monotonic() - self._reached > SLOW:
            return Health(Status.UNHEALTHY, "Storage does not answer.")
        return Health(Status.DEGRADED, "Storage is slow to answer.")

    async def _look(self) -> None:
        try:
            services = await self._opened()
            await services.storage.ping()
            self._reached = time.monotonic()
            self._found = _fullness(services.table_file.state())
        except Unavailable as error:
            self._found = Health(Status.UNHEALTHY, str(error) or "Storage cannot be reached.")
        except Exception:
            logger.exception("The look at storage failed.")
            self._found = Health(Status.UNHEALTHY, "Storage cannot be reached.")
        finally:
            self._tried = time.monotonic()
            self._running = None


def _fullness(state: TableFileState) -> Health:
    if state is TableFileState.NORMAL:
        return Health(Status.HEALTHY)
    if state is TableFileState.WARNING:
        return Health(Status.DEGRADED, "The tables of the storage emulator are close to their limit.")
    return Health(Status.DEGRADED, "The tables of the storage emulator are full: nothing more is stored.")
