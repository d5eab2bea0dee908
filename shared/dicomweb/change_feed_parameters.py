"""Query parameters of the change feed (CHG-07 to CHG-12, CHG-31)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from ..clock import SECOND, Ticks, from_datetime
from ..errors import InvalidParameter

EARLIEST: Ticks = from_datetime(datetime(1, 1, 1, tzinfo=UTC))
LATEST: Ticks = from_datetime(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) + SECOND - 1

_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{0,7}))?)?)? ?(Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE | re.ASCII,
)
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A page of version 2: entries from `start` on and before `end`, of which `offset` are skipped."""

    start: Ticks
    end: Ticks | None
    offset: int
    limit: int
    include_metadata: bool


@dataclass(frozen=True, slots=True)
class SequenceWindow:
    """A page of version 1: `after` < sequence <= `after` + `limit`."""

    after: int
    limit: int
    include_metadata: bool


def time_window(query: Iterable[tuple[str, str]]) -> TimeWindow:
    """Reads the parameters of version 2; raises `InvalidParameter`."""
    values = _by_name(query)
    start, end = _date_time(values, "StartTime"), _date_time(values, "EndTime")
    earliest = EARLIEST if start is None else start.ticks
    if (LATEST if end is None else end.ticks) <= earliest:
        raise InvalidParameter(
            "",
            f"The start time '{_printed(start, EARLIEST)}' must occur strictly before the end time "
            f"'{_printed(end, LATEST)}'.",
        )
    return TimeWindow(
        start=earliest,
        end=None if end is None else end.ticks,
        offset=_integer(values, "Offset", 0, 0, 2**63 - 1),
        limit=_integer(values, "Limit", 100, 1, 200),
        include_metadata=_include_metadata(values, "IncludeMetadata"),
    )


def sequence_window(query: Iterable[tuple[str, str]]) -> SequenceWindow:
    """Reads the parameters of version 1; times mean nothing to it. Raises `InvalidParameter`."""
    values = _by_name(query)
    return SequenceWindow(
        after=_integer(values, "offset", 0, 0, 2**63 - 1),
        limit=_integer(values, "limit", 10, 1, 100),
        include_metadata=_include_metadata(values, "includeMetadata"),
    )


def include_metadata(query: Iterable[tuple[str, str]]) -> bool:
    """The only parameter of `/changefeed/latest` (CHG-18); raises `InvalidParameter`."""
    return _include_metadata(_by_name(query), "IncludeMetadata")


def printed_time(ticks: Ticks, offset: timedelta = timedelta(0)) -> str:
    """`2024-05-01T10:00:00.0000000+00:00`: all seven digits, local to `offset`."""
    seconds, fraction = divmod(ticks, SECOND)
    minutes = offset // timedelta(minutes=1)
    # Astronomical arithmetic on a naive date: the local time may leave the years 1 to 9999, then it stays UTC.
    try:
        moment = datetime(1970, 1, 1) + timedelta(seconds=seconds, minutes=minutes)  # noqa: DTZ001
    except OverflowError:
        moment, minutes = datetime(1970, 1, 1) + timedelta(seconds=seconds), 0  # noqa: DTZ001
    sign = "-" if minutes < 0 else "+"
    hours, minutes = divmod(abs(minutes), 60)
    return f"{moment.isoformat()}.{fraction:07}{sign}{hours:02}:{minutes:02}"


@dataclass(frozen=True, slots=True)
class _Moment:
    ticks: Ticks
    offset: timedelta


def _printed(moment: _Moment | None, default: Ticks) -> str:
    return printed_time(default) if moment is None else printed_time(moment.ticks, moment.offset)


def _by_name(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first value of each name, in lower case."""
    values: dict[str, str] = {}
    for name, value in query:
        values.setdefault(name.lower(), value)
    return values


def _integer(values: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = values.get(name.lower())
    if text is None:
        return default
    if not _INTEGER.fullmatch(text):
        raise InvalidParameter(name, f"The value '{text}' is not valid for {name}.")
    number = int(text)
    if not least <= number <= most:
        raise InvalidParameter(name, f"The field {name} must be between {least} and {most}.")
    return number


def _include_metadata(values: dict[str, str], name: str) -> bool:
    text = values.get(name.lower(), "true")
    try:
        return {"true": True, "false": False}[text.strip().lower()]
    except KeyError:
        raise InvalidParameter(name, f"The value '{text}' is not valid for {name}.") from None


def _date_time(values: dict[str, str], name: str) -> _Moment | None:
    """A date-time with a zone (CHG-09, CHG-10); blank is as if absent."""
    text = values.get(name.lower(), "").strip()
    if not text:
        return None
    match = _DATE_TIME.fullmatch(text)
    try:
        if match is None:
            return _rfc_1123(text)
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
        offset = _offset(zone)
    except (ValueError, TypeError, OverflowError):
        raise InvalidParameter(name, f"The value '{text}' is not valid for {name}.") from None
    if offset is None:
        raise InvalidParameter(name, "Date and time value must specify a time zone.")
    ticks = from_datetime(local) + int((fraction or "").ljust(7, "0")) - offset // timedelta(microseconds=1) * 10
    if not EARLIEST <= ticks <= LATEST:
        raise InvalidParameter(name, f"The value '{text}' is not valid for {name}.")
    return _Moment(ticks, offset)


def _rfc_1123(text: str) -> _Moment:
    if not re.fullmatch(r"[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d GMT", text, re.ASCII):
        raise ValueError(text)
    return _Moment(from_datetime(parsedate_to_datetime(text).replace(tzinfo=UTC)), timedelta(0))


def _offset(zone: str | None) -> timedelta | None:
    if zone is None:
        return None
    if zone in "Zz":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        raise ValueError(zone)
    offset = timedelta(hours=hours, minutes=minutes)
    timezone(offset)
    return -offset if zone[0] == "-" else offset
