"""The rules that each VR has for its content, and the texts for faults (PS3.5 6.2; STO-71, STO-73).

A rule comes twice: as a pattern over the encoded value, which settles most values at once, and as a function that finds
what is wrong with one decoded value. The pattern may let a good value through to the function, never a bad one past it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .value_texts import CONTROL, CONTROL_BUT_ESCAPE

Fault = Callable[[str], str | None]
"""Gives the reason why a single value is at fault, None if it is not."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The content rule of a VR."""

    is_plain: Callable[[bytes], object]
    fault: Fault


_BACKSLASH = "\\"

_AGE = re.compile(r"[0-9]{3}[DWMY]")
_CODE = re.compile(r"[A-Z0-9_ ]*")
_DATE = re.compile(r"[0-9]{8}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_TIME = re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?")
_DATE_TIME = re.compile(r"[0-9]{4}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?)?)?")
_OFFSET = re.compile(r"[0-9]{4}")
_UID = re.compile(r"[0-9.]*")
_LEADING_ZERO = re.compile(r"^0|\.0[0-9]")
_EMPTY_COMPONENT = re.compile(r"^\.|\.\.|\.$")


def too_long(length: int) -> str:
    """The reason for a value of more than `length` characters."""
    return f"value exceeds maximum length of {length} characters"


def _application_entity(value: str) -> str | None:
    if len(value) > 16:
        return too_long(16)
    if not value.strip(" "):
        return "value may not consist only of spaces"
    if _BACKSLASH in value or CONTROL.search(value):
        return "value contains invalid control character"
    return None


def _age(value: str) -> str | None:
    return None if not value or _AGE.fullmatch(value) else "value does not have pattern 000[DWMY]"


def _code(value: str) -> str | None:
    if len(value) > 16:
        return too_long(16)
    if not _CODE.fullmatch(value):
        return "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed"
    return None


def _date(value: str) -> str | None:
    pieces = value.split("-")
    if len(pieces) > 2:
        return "value contains too many range separators '-'"
    for piece in filter(None, (piece.rstrip(" ") for piece in pieces)):
        if not _DATE.fullmatch(piece):
            return "one of the date values does not match the pattern YYYYMMDD"
        if piece[4:6] > "12":
            return "month component exceeds the value 12"
        if piece[6:8] > "31":
            return "day component exceeds the value 31"
    return None


def _decimal(value: str) -> str | None:
    if len(value) > 16:
        return too_long(16)
    return None if _DECIMAL.fullmatch(value.strip(" ")) else "value is no decimal string"


def _integer(value: str) -> str | None:
    digits = value.strip(" ")
    if not value:
        return None
    if not _INTEGER.fullmatch(digits):
        return "value is not an integer string"
    significant = digits.lstrip("+-").lstrip("0") or "0"
    # Python refuses to read thousands of digits, so their number is looked at first.
    if len(significant) > 10 or int(significant) > (2**31 if digits.startswith("-") else 2**31 - 1):
        return "value too large to fit 32 bit integer"
    return None


def _long_string(value: str) -> str | None:
    if len(value) > 64:
        return too_long(64)
    if _BACKSLASH in value or CONTROL_BUT_ESCAPE.search(value):
        return "value contains invalid character"
    return None


def _long_text(value: str) -> str | None:
    return too_long(10240) if len(value) > 10240 else None


def _person_name(value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > 3:
        return "value contains too many groups"
    for group in groups:
        if len(group) > 64:
            return too_long(64)
        if CONTROL.search(group):
            return "value contains invalid control character"
        if group.count("^") > 4:
            return "value contains too many components"
    return None


def _short_string(value: str) -> str | None:
    if _BACKSLASH in value or CONTROL_BUT_ESCAPE.search(value):
        return "value contains invalid character"
    return too_long(16) if len(value) > 16 else None


def _short_text(value: str) -> str | None:
    return too_long(1024) if len(value) > 1024 else None


def _time(value: str) -> str | None:
    pieces = value.split("-")
    if len(pieces) > 2:
        return "value contains too many range separators '-'"
    for piece in filter(None, (piece.rstrip(" ") for piece in pieces)):
        if not _TIME.fullmatch(piece):
            return "value does not mach pattern HH or HHMM or HHMMSS or HHMMSS.F{1-6}"
        if piece[:2] > "23":
            return "hour component exceeds 23"
        if piece[2:4] > "59":
            return "minutes component exceeds 59"
        if piece[4:6] > "60":
            return "seconds component exceeds 60"
    return None


def _unique_identifier(value: str) -> str | None:
    uid = value.rstrip(" ")
    if len(uid) > 64:
        return too_long(64)
    if not _UID.fullmatch(uid):
        return "value contains invalid characters other than '0'-'9' and '.'"
    if _LEADING_ZERO.search(uid):
        return "components must not have leading zeros"
    if _EMPTY_COMPONENT.search(uid):
        return "a component can not be empty"
    return None


def _date_time(value: str) -> str | None:
    if "-0000" in value:
        return "negative UTC hours component with value -0000 is not allowed"
    if value.strip(" ") == "-":
        return "both dateTime components in range cannot be empty"
    pieces = value.split("-")
    if len(pieces) > 4:
        return "value contains too many range separators '-'"
    moments = _moments(pieces)
    if moments is None:
        return "value is in invalid range format"
    for moment in filter(None, (moment.rstrip(" ") for moment in moments)):
        if reason := _moment(moment):
            return reason
    return None


def _moments(pieces: list[str]) -> list[str] | None:
    """The one or two ends of a range, given the parts between dashes: a dash also begins a negative offset."""
    if len(pieces) == 4:
        return [f"{pieces[0]}-{pieces[1]}", f"{pieces[2]}-{pieces[3]}"]
    if len(pieces) == 3:
        if _is_negative_offset(pieces[1]):
            return [f"{pieces[0]}-{pieces[1]}", pieces[2]]
        return [pieces[0], f"{pieces[1]}-{pieces[2]}"] if _is_negative_offset(pieces[2]) else None
    if len(pieces) == 2 and _is_negative_offset(pieces[1]):
        return [f"{pieces[0]}-{pieces[1]}"]
    return pieces


def _is_negative_offset(text: str) -> bool:
    return _OFFSET.fullmatch(text) is not None and text <= "1200"


def _moment(text: str) -> str | None:
    """One date and time with its offset from UTC; the offset is judged first."""
    digits, *offsets = re.split("[+-]", text)
    if len(offsets) > 1:
        return "value contains too many UTC separators '+' or '-'"
    if offsets and (reason := _offset(offsets[0], positive="+" in text)):
        return reason
    if not _DATE_TIME.fullmatch(digits):
        return "value does not mach pattern YYYY[MM[DD[HH[MM[SS[.F{1-6}]]]]]]"
    for component, most, name in (
        (digits[12:14], "60", "seconds"),
        (digits[10:12], "59", "minutes"),
        (digits[8:10], "23", "hours"),
    ):
        if component > most:
            return f"{name} component exceeds {most}"
    for component, most, name in ((digits[6:8], "31", "day"), (digits[4:6], "12", "month")):
        if component > most:
            return f"{name} component exceeds {most}"
        if component == "00":
            return f"{name} component cannot be 0"
    return None


def _offset(digits: str, *, positive: bool) -> str | None:
    if not _OFFSET.fullmatch(digits):
        return "value does not match the UTC pattern &ZZXX"
    if positive and digits[:2] > "14":
        return "positive UTC hours component exceeds 14 (allowed range is -1200 to +1400)"
    if not positive and digits[:2] > "12":
        return "negative UTC hours component exceeds 12 (allowed range is -1200 to +1400)"
    return "UTC minutes component exceeds 59" if digits[2:] > "59" else None


def _plain(value: bytes, *, separated: bool = True) -> Callable[[bytes], object]:
    """Matches what needs no closer look: one value by this pattern or, if `separated`, several."""
    pattern = rb"%b(?:\\%b)*" % (value, value) if separated else value
    return re.compile(pattern, re.DOTALL).fullmatch


_TEXT = rb"[ -\[\]-~]"

RULES: Mapping[str, Rule] = {
    "AE": Rule(_plain(rb"[!-\[\]-~]" + _TEXT + rb"{0,15}"), _application_entity),
    "AS": Rule(_plain(rb"[0-9]{3}[DWMY]"), _age),
    "CS": Rule(_plain(rb"[A-Z0-9_ ]{0,16}"), _code),
    "DA": Rule(_plain(rb"[0-9]{4}(?:0[0-9]|1[0-2])(?:[0-2][0-9]|3[01])"), _date),
    "DS": Rule(
        _plain(rb"(?=[^\\]{1,16}(?:\\|\Z)) *[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"), _decimal
    ),
    "DT": Rule(
        _plain(
            rb"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
            rb"(?:(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9](?:\.[0-9]{1,6})?)? ?"
        ),
        _date_time,
    ),
    "IS": Rule(_plain(rb" {0,20}[+-]?[0-9]{1,9} {0,20}"), _integer),
    "LO": Rule(_plain(_TEXT + rb"{0,64}"), _long_string),
    "LT": Rule(_plain(rb".{0,10240}", separated=False), _long_text),
    "PN": Rule(_plain(rb"(?=[^\\]{0,64}(?:\\|\Z))[ -<>-\[\]_-~]*(?:\^[ -<>-\[\]_-~]*){0,4}"), _person_name),
    "SH": Rule(_plain(_TEXT + rb"{0,16}"), _short_string),
    "ST": Rule(_plain(rb".{0,1024}", separated=False), _short_text),
    "TM": Rule(_plain(rb"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,6})?)?)? ?"), _time),
    "UC": Rule(_plain(rb".*", separated=False), lambda value: None),
    "UI": Rule(
        _plain(rb"(?=[^\\]{1,64}\0?\Z)[1-9][0-9]*(?:\.(?:0|[1-9][0-9]*))*\0?", separated=False),
        _unique_identifier,
    ),
    "UR": Rule(_plain(rb".*", separated=False), lambda value: None),
    "UT": Rule(_plain(rb".*", separated=False), lambda value: None),
}
"""By VR; a VR that is not here has no rule for its content."""
