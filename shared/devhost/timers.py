"""Timer triggers: one task a function, never two runs of one at once."""

import asyncio
import contextlib
import json
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.functions.timer import TimerRequest

from .functions import HostedFunction
from .ncrontab import Next, schedule, within_a_minute
from .waiting import happens

logger = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
"""Seconds until the clock is read again, since laptops sleep and clocks are set."""


@dataclass(frozen=True, slots=True)
class TimerState:
    """Remembers when a timer ran and should run next, so that a run missed while the host was down is made up.

    Without a directory nothing is remembered, and no run is ever past due at start.
    """

    directory: Path | None

    def read(self, name: str) -> dict[str, str] | None:
        """The last known status of a timer: `Last`, `Next`, `LastUpdated` in ISO format."""
        if self.directory is None:
            return None
        try:
            status = json.loads((self.directory / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return status if isinstance(status, dict) else None

    def write(self, name: str, status: dict[str, str]) -> None:
        """Keep the status of a timer; best effort."""
        if self.directory is None:
            return
        path = self.directory / f"{name}.json"
        with contextlib.suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(status), "utf-8")
            os.replace(temporary, path)


class TimerListener:
    """Runs one timer function on its schedule."""

    def __init__(self, function: HostedFunction, state: TimerState) -> None:
        expression = function.setting("schedule")
        self.function = function
        self.expression = expression
        self._next: Next = schedule(expression)
        self._state = state
        self._use_monitor = function.trigger.get("useMonitor") is not False and not within_a_minute(self._next)
        self._run_on_startup = function.trigger.get("runOnStartup") is True
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Invoke the function whenever it is due, until stopped."""
        now = datetime.now(UTC)
        due = self._next(now)
        missed = self._missed(now)
        if missed or self._run_on_startup:
            due = await self._invoke(now, due, past_due=missed)
        elif due is not None:
            self._remember("", due, now)
        while due is not None and await self._wait_until(due):
            now = datetime.now(UTC)
            due = await self._invoke(max(now, due), due, past_due=False)

    def stop(self) -> None:
        """Begin no further run."""
        self._stopping.set()

    def _missed(self, now: datetime) -> bool:
        """Whether a run fell due while no host was there; a changed schedule starts afresh."""
        status = self._state.read(self.function.name) if self._use_monitor else None
        if status is None or status.get("Schedule") != self.expression:
            return False
        try:
            return datetime.fromisoformat(status["Next"]) < now
        except (KeyError, ValueError, TypeError):
            return False

    async def _wait_until(self, due: datetime) -> bool:
        """Wait; false when stopped before."""
        while not self._stopping.is_set():
            left = (due - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return True
            await happens(self._stopping, min(left, LONGEST_WAIT))
        return False

    async def _invoke(self, now: datetime, due: datetime | None, *, past_due: bool) -> datetime | None:
        """Run the function once and return when it is due next; its errors do not end the schedule."""
        status = self._state.read(self.function.name) or {}
        try:
            await self.function.invoke(timer_request(past_due, status if self._use_monitor else {}))
        except Exception:
            logger.exception("The timer function %s failed.", self.function.name)
        following = self._next(now)
        if following is not None:
            self._remember(now.isoformat(), following, now)
        return following

    def _remember(self, last: str, due: datetime, now: datetime) -> None:
        if self._use_monitor:
            status = {"Last": last, "Next": due.isoformat(), "LastUpdated": now.isoformat()}
            self._state.write(self.function.name, {**status, "Schedule": self.expression})


def timer_request(past_due: bool, status: dict[str, Any]) -> TimerRequest:
    """What a timer function is given."""
    shown = {key: status[key] for key in ("Last", "Next", "LastUpdated") if key in status}
    return TimerRequest(past_due=past_due, schedule_status=shown, schedule={"AdjustForDST": True})
