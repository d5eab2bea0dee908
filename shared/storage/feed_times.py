"""Times of entries of the change feed that were read before: near which positions a time window begins (rule 28)."""

from bisect import bisect_left

from ..clock import Ticks

MOST_REMEMBERED = 1_000


class KnownTimes:
    """Positions and their times, both in ascending order.

    Entries never change, but storage that was restarted may have lost the last ones and given their positions out
    again, so whoever uses what is remembered here reads it again.
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._times: list[Ticks] = []

    def around(self, time: Ticks) -> tuple[int, int | None]:
        """The last position known to be before the time, or 0, and the first known not to be, or None."""
        at = bisect_left(self._times, time)
        low = self._positions[at - 1] if at else 0
        return low, self._positions[at] if at < len(self._positions) else None

    def note(self, position: int, time: Ticks) -> None:
        """An entry that was just read. Where another contradicts it, that one and all others are forgotten."""
        at = bisect_left(self._positions, position)
        if at < len(self._positions) and self._positions[at] == position and self._times[at] == time:
            return
        if not self._fits(at, position, time):
            self.forget()
            at = 0
        self._positions.insert(at, position)
        self._times.insert(at, time)
        if len(self._positions) > MOST_REMEMBERED:  # every other one goes, the last stays: consumers are there
            del self._positions[-2::-2]
            del self._times[-2::-2]

    def forget(self) -> None:
        """Storage does not hold what it held."""
        self._positions.clear()
        self._times.clear()

    def _fits(self, at: int, position: int, time: Ticks) -> bool:
        if at and self._times[at - 1] > time:
            return False
        return at == len(self._positions) or (self._positions[at] > position and self._times[at] >= time)
