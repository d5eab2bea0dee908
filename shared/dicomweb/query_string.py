"""The query string of searches and lists: its pairs, and the parameters that say how much is wanted (QRY-19 to 23)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ..errors import InvalidParameter

Pairs = Sequence[tuple[str, str]]
"""Keys and values in their order, decoded and trimmed."""

MOST_RESULTS = 200
DEFAULT_RESULTS = 100

_LARGEST = 2**31 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the results are wanted: `limit` of them behind the first `offset`."""

    limit: int = DEFAULT_RESULTS
    offset: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.limit


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """The query string taken apart as form data; a key without `=` has an empty value."""
    pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
    return [(key.strip(), value.strip()) for key, value in pairs]


def requested_page(pairs: Pairs) -> Page:
    """`limit` and `offset`, whose names may be in any letter case (QRY-12, QRY-21, QRY-22)."""
    return Page(
        _whole_number(pairs, "Limit", DEFAULT_RESULTS, 1, MOST_RESULTS), _whole_number(pairs, "Offset", 0, 0, _LARGEST)
    )


def requested_fuzzy_matching(pairs: Pairs) -> bool:
    """Raises `InvalidParameter` for anything but true and false (QRY-23)."""
    text = first_value(pairs, "fuzzymatching")
    if text is None:
        return False
    if text.lower() not in ("true", "false"):
        raise InvalidParameter("FuzzyMatching", _unusable(text, "FuzzyMatching"))
    return text.lower() == "true"


def first_value(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a service parameter, whose `name` is given in lower case; None without one (QRY-23)."""
    return next((value for key, value in pairs if key.lower() == name), None)


def _whole_number(pairs: Pairs, name: str, default: int, least: int, most: int) -> int:
    text = first_value(pairs, name.lower())
    if text is None:
        return default
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or abs(number) > _LARGEST:
        raise InvalidParameter(name, _unusable(text, name))
    if not least <= number <= most:
        raise InvalidParameter(name, f"The field {name} must be between {least} and {most}.")
    return number


def _unusable(text: str, name: str) -> str:
    return f"The value '{text}' is not valid for {name}." if text else "The value '' is invalid."
