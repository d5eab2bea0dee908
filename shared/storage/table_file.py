"""Watches the one file that holds all of Azurite's tables.

Azurite rewrites it as a single string whenever something has changed. From some 150 MB on that takes seconds, and near
500 MB the process gives up and loses what it had not yet written, so stores are refused well before.
"""

import logging
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from ..errors import Unavailable
from ..settings import Settings

_CHECK_SECONDS = 1.0
_MB = 1_000_000

_log = logging.getLogger(__name__)


class TableFileState(Enum):
    NORMAL = "normal"
    WARNING = "warning"  # health says degraded
    FULL = "full"  # and stores are refused


class TableFile:
    """The file that the settings name; without one, or before Azurite has made it, all is well."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(settings.table_file) if settings.table_file else None
        self._warning = settings.table_file_warning_bytes
        self._limit = settings.table_file_limit_bytes
        self._monotonic = monotonic
        self._next_check = 0.0
        self._size = 0
        self._state = TableFileState.NORMAL

    def state(self) -> TableFileState:
        """How full it is, as of a second ago at most. Going up a state is logged once."""
        if self._path is None:
            return self._state
        now = self._monotonic()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self._look(self._path)
        return self._state

    def refuse_if_full(self) -> None:
        """Raises `Unavailable` with the reason when nothing more may be stored."""
        if self.state() is TableFileState.FULL:
            raise Unavailable(
                f"The storage emulator is full: its tables take {self._size // _MB} MB, and no more is stored from "
                f"{self._limit // _MB} MB on. Delete studies, reset the store, or use a storage account."
            )

    def _look(self, path: Path) -> None:
        try:
            self._size = path.stat().st_size
        except OSError:
            self._size = 0
        before, self._state = self._state, self._state_of(self._size)
        if self._state is TableFileState.WARNING and before is TableFileState.NORMAL:
            _log.warning(
                "Azurite's tables take %d MB; stores are refused from %d MB on.", self._size // _MB, self._limit // _MB
            )
        if self._state is TableFileState.FULL and before is not TableFileState.FULL:
            _log.error("Azurite's tables take %d MB: stores are refused from now on.", self._size // _MB)

    def _state_of(self, size: int) -> TableFileState:
        if size >= self._limit:
            return TableFileState.FULL
        return TableFileState.WARNING if size >= self._warning else TableFileState.NORMAL
