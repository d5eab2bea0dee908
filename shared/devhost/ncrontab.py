"""Schedules of timer triggers: NCRONTAB expressions and time spans, on UTC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from .configuration import time_span
from .errors import HostError

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

FIELDS: tuple[tuple[str, int, int, Sequence[str]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
"""Name, least and greatest value, and the names of the values of the six fields."""

LONGEST_SEARCH = timedelta(days=366 * 41)
"""A 29 February on a given day of the week comes back within 40 years."""

Next = Callable[[datetime], datetime | None]


@dataclass(frozen=True, slots=True)
class Crontab:
    """The values that each of the six fields allows; every field must fit, day and day of week both."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    def next(self, after: datetime) -> datetime | None:
        """The first occurrence later than `after`, `None` when there is none."""
        begin = after.replace(microsecond=0) + timedelta(seconds=1)
        day = begin.date()
        if self._fits(day) and (moment := self._first(begin.time())) is not None:
            return datetime.combine(day, moment, UTC)
        last = day + LONGEST_SEARCH
        while (day := day + timedelta(days=1)) < last:
            if self._fits(day) and (moment := self._first(time())) is not None:
                return datetime.combine(day, moment, UTC)
        return None

    def _fits(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.days_of_week

    def _first(self, least: time) -> time | None:
        for hour in self.hours:
            if hour < least.hour:
                continue
            for minute in self.minutes:
                if hour == least.hour and minute < least.minute:
                    continue
                for second in self.seconds:
                    candidate = time(hour, minute, second)
                    if candidate >= least:
                        return candidate
        return None


def within_a_minute(following: Next) -> bool:
    """Whether a schedule is always due again within less than a minute: so short a time is not worth remembering."""
    moment: datetime | None = datetime(2000, 1, 1, tzinfo=UTC)
    for _ in range(3):  # the gap over the end of a minute may differ from the others
        if moment is None or (then := following(moment)) is None or then - moment >= timedelta(minutes=1):
            return False
        moment = then
    return True


def schedule(expression: str) -> Next:
    """The function that gives the first occurrence later than a moment.

    `expression` has six fields (seconds first), five (without seconds), or is a time span such as `00:30:00` between
    two runs. Raises `HostError` for anything else.
    """
    fields = expression.split()
    if len(fields) in (5, 6):
        return crontab(fields if len(fields) == 6 else ["0", *fields], expression).next
    interval = time_span(expression)
    if interval:
        return lambda after: after + timedelta(seconds=interval)
    raise HostError(f"The schedule expression '{expression}' was not recognized as a cron expression or time span.")


def crontab(fields: Sequence[str], expression: str) -> Crontab:
    """The crontab of six fields; `expression` is for the message of a `HostError`."""
    values = []
    for text, (name, least, greatest, names) in zip(fields, FIELDS, strict=True):
        try:
            values.append(sorted(field_values(text, least, greatest, names)))
        except ValueError as reason:
            raise HostError(f"'{text}' is no {name} of the schedule expression '{expression}': {reason}") from None
    second, minute, hour, day, month, day_of_week = values
    return Crontab(tuple(second), tuple(minute), tuple(hour), frozenset(day), frozenset(month), frozenset(day_of_week))


def field_values(text: str, least: int, greatest: int, names: Sequence[str]) -> set[int]:
    """The values that one field allows: `*`, `5`, `1-5`, `*/10`, `3/10`, `1-30/5`, names, and lists of these."""
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and not step.isdigit():
            raise ValueError(f"{step} is no step")
        every = int(step) if step else 1
        if every < 1:
            raise ValueError("a step must be 1 or more")
        if span == "*":
            first, last = least, greatest
        elif "-" in span[1:]:
            first, last = (value(end, least, names) for end in span.split("-", 1))
        else:
            first = value(span, least, names)
            last = greatest if step else first
        if not least <= first <= last <= greatest:
            raise ValueError(f"values go from {least} to {greatest}")
        values.update(range(first, last + 1, every))
    return values


def value(text: str, least: int, names: Sequence[str]) -> int:
    """A number, or the beginning of a name in any case."""
    if text.isdigit():
        return int(text)
    for position, name in enumerate(names):
        if text and name.lower().startswith(text.lower()):
            return least + position
    raise ValueError(f"{text!r} is no value")
