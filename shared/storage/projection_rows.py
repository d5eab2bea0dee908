"""Keys of the rows of table `studies`: newest months first, and newest first within a month (protocol, rule 2)."""

from ..clock import Ticks, to_datetime

_MOST = 10**20 - 1
_LAST_MONTH = 999999


def projection_partition(partition: str, created: Ticks) -> str:
    """Newest months first."""
    moment = to_datetime(created)
    return _month(partition, moment.year, moment.month)


def projection_row(study: str, series: str, created: Ticks) -> str:
    """The key of the row of a study (`series` empty) or series, within its month."""
    inverted = f"{_MOST - created:020d}"
    return f"series|{inverted}|{study}|{series}" if series else f"study|{inverted}|{study}"


def split_projection_row(row: str) -> tuple[str, str, Ticks]:
    """Study, series (empty for the row of a study) and the time at which the life began."""
    _, inverted, study, *series = row.split("|")
    return study, series[0] if series else "", _MOST - int(inverted)


def projection_months(partition: str, newest: Ticks, oldest: Ticks) -> list[str]:
    """The table's partitions from the one of `newest` to the one of `oldest`."""
    first, last = to_datetime(newest), to_datetime(oldest)
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month - 2, -1)
    return [_month(partition, number // 12, number % 12 + 1) for number in months]


def _month(partition: str, year: int, month: int) -> str:
    return f"{partition}|{_LAST_MONTH - (year * 100 + month):06d}"
