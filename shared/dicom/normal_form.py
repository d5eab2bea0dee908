"""Values in the one form in which they are compared: as properties of rows, and on both sides of a match.

The form is text for every VR, made so that equality of forms is equality of values by QRY-30 to QRY-45 and TAG-23,
and that dates and times also stand in their own order. A filter value goes through the same functions, so a form
that was stored once must never be computed differently later.
"""

import math
import re
import struct
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any, Protocol

PERSON_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

WITHOUT_LEADING_SPACES = frozenset({"CS", "LO", "PN", "SH"})
"""VRs in which spaces in front are no part of the value either (QRY-30)."""

LONGEST_REMEMBERED = 64
"""Characters of values whose forms are kept: searches meet the same ones again and again."""

_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t"})
"""Letters whose accent Unicode does not take apart."""

_NO_ACCENT = frozenset({0, 9})
"""Combining classes of letters, of vowel signs of Indian scripts (0) and of what joins their consonants (9)."""

_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]{1,6}))?)?)?")
_DATE_TIME = re.compile(r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9.]+))?)?)?")
_OFFSET = re.compile(r"[+-][0-9]{4}$")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def normal_form(vr: str, element: dict[str, Any]) -> str | None:
    """The form of an element's first value; None if it has none, or none that can be indexed (QRY-44, QRY-62).

    `element` is a DICOM JSON element (PS3.18 F.2.2), whose own `vr` is not looked at.
    """
    values = element.get("Value")
    if not values:
        return None
    first = values[0]
    if isinstance(first, dict):
        first = "=".join(str(first.get(group) or "") for group in PERSON_NAME_GROUPS)
    if first is None or isinstance(first, bool | list):
        return None
    text = str(first)
    return _remembered_form(vr, text) if len(text) <= LONGEST_REMEMBERED else _form(vr, text)


class Elements(Protocol):
    """DICOM JSON elements by tag."""

    def get(self, tag: str, /) -> dict[str, Any] | None: ...


class NormalForms(dict[str, str | None]):
    """The forms of the elements of a data set by tag, each worked out when it is first asked for; None without one."""

    __slots__ = ("_elements",)

    def __init__(self, elements: Elements) -> None:
        super().__init__()
        self._elements = elements

    def __missing__(self, tag: str) -> str | None:
        element = self._elements.get(tag)
        form = self[tag] = None if element is None else normal_form(element["vr"], element)
        return form


def _form(vr: str, text: str) -> str | None:
    convert = _CONVERSIONS.get(vr)
    return convert(text) if convert else normal_text(vr, text) or None


_remembered_form = lru_cache(maxsize=2048)(_form)


def normal_text(vr: str, text: str) -> str:
    """A string without padding, in the letter case in which strings compare; a PN also without accents.

    Trailing NULs are padding (QRY-43). All groups of a person name are one text (QRY-45); empty ones at the end of it
    are not told apart from groups that are not there, since DICOM JSON does not either.
    """
    text = text.rstrip(" \0")
    if vr in WITHOUT_LEADING_SPACES:
        text = text.lstrip(" ")
    if vr == "PN":
        bare = text.lower() if text.isascii() else _without_accents(text)
        return bare.lstrip(" ").rstrip("= \0")  # an accent may have stood on padding
    return text.lower() if text.isascii() else _folded(unicodedata.normalize("NFC", text))


def normal_date(text: str) -> str | None:
    """`yyyymmdd` of a date that the calendar has, padding aside (PS3.5 6.2, DA)."""
    text = text.strip(" \0")
    if not _DATE.fullmatch(text):
        return None
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return text


def normal_time(text: str) -> str | None:
    """`HHMMSSffffff` of a TM; what is missing is zero. A leap second is allowed (PS3.5 6.2)."""
    match = _TIME.fullmatch(text.strip(" \0"))
    if not match:
        return None
    hour, minute, second, fraction = (part or "" for part in match.groups())
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    return f"{hour}{minute:0<2}{second:0<2}{fraction:0<6}"


def normal_date_time(text: str) -> str | None:
    """`yyyymmddHHMMSSffffff` of a DT without offset; missing parts are the start of the period (TAG-23)."""
    match = _DATE_TIME.fullmatch(text.strip(" \0"))
    if not match:
        return None
    year, month, day, time = match.groups()
    whole_day = normal_date(f"{year}{month or '01'}{day or '01'}")
    time_of_day = normal_time(time or "00")
    return whole_day + time_of_day if whole_day and time_of_day else None


def normal_integer(text: str) -> str | None:
    """A whole number of at most 64 bits without sign `+` and leading zeros."""
    text = text.strip(" \0")
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return str(number) if -(2**63) <= number < 2**63 else None


def normal_double(text: str) -> str | None:
    """A finite number in its shortest notation; zero has no sign."""
    text = text.strip(" \0")
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return repr(number + 0.0) if math.isfinite(number) else None


def normal_float(text: str) -> str | None:
    """As `normal_double`, of the nearest number that 32 bits hold: `0.1` is to find what FL stores for it."""
    double = normal_double(text)
    if double is None:
        return None
    try:
        return repr(struct.unpack("<f", struct.pack("<f", float(double)))[0] + 0.0)
    except OverflowError:
        return None


def projected_name(tag: str) -> str:
    """Name of the property that holds the form of attribute `tag` (eight hex digits) in a row."""
    return f"q{tag}"


def projected_tag(name: str) -> str | None:
    """The attribute whose form is in this property of a row; None if it is no form."""
    return name[1:] if name.startswith("q") else None


def _without_offset(text: str) -> str | None:
    return normal_date_time(_OFFSET.sub("", text.strip(" \0")))


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFD", text)
    bare = "".join(c for c in apart if unicodedata.combining(c) in _NO_ACCENT)
    return _folded(unicodedata.normalize("NFC", bare)).translate(_STROKES)


def _folded(text: str) -> str:
    """Simple case folding: one character for one, so that `?` in a pattern counts what the user sees."""
    return unicodedata.normalize("NFC", "".join(map(_folded_character, text)))


def _folded_character(character: str) -> str:
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


_CONVERSIONS: dict[str, Callable[[str], str | None]] = {
    "DA": normal_date,
    "DT": _without_offset,
    "TM": normal_time,
    "IS": normal_integer,
    "SL": normal_integer,
    "SS": normal_integer,
    "UL": normal_integer,
    "US": normal_integer,
    "FL": normal_float,
    "FD": normal_double,
}
