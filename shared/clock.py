"""Time as the service keeps it: whole numbers of 100 ns since 1970, UTC.

The change feed prints seven digits after the second, so this is the unit in which times are stored and compared.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Ticks = int
Clock = Callable[[], Ticks]

SECOND: Ticks = 10_000_000
HOUR: Ticks = 3600 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock() -> Ticks:
    """The time of day; it also runs while the machine sleeps, unlike a monotonic clock."""
    return time.time_ns() // 100


def to_datetime(ticks: Ticks) -> datetime:
    """The same instant to the microsecond."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def from_datetime(moment: datetime) -> Ticks:
    """`moment` must carry a zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10
