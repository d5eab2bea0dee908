"""Filter values of a search: from the text in the query string to a matcher, by VR (QRY-30 to QRY-45, TAG-23)."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..dicom.matching import AnyOf, Anything, Between, Equal, Matcher, OneOf, Pattern, Words
from ..dicom.normal_form import (
    normal_date,
    normal_date_time,
    normal_double,
    normal_float,
    normal_integer,
    normal_text,
    normal_time,
)
from ..errors import InvalidRequest

MODALITIES_IN_STUDY = "00080061"

_WITH_WILDCARDS = frozenset({"AE", "CS", "LO", "PN", "SH"})
_LIST_SEPARATORS = re.compile(r"[,\\]")
_OFFSET = re.compile(r"[0-9.]{4,}\+[0-9]{4}")


@dataclass(frozen=True, slots=True)
class _Period:
    """A VR that takes ranges: how a side becomes a form, and how its faults are put."""

    convert: Callable[[str], str | None]
    kind: str
    plain: str
    owner: str
    advice: str

    def side(self, text: str, name: str) -> str:
        """The form of one side of a range, or of a single value."""
        form = self.convert(text)
        if form is None:
            raise self.fault(text, name)
        return form

    def fault(self, text: str, name: str) -> InvalidRequest:
        return InvalidRequest(
            f"Invalid query: specified {self.kind} value '{text}' is invalid for {self.owner} '{name}'. {self.advice}"
        )


_PERIODS = {
    "DA": _Period(normal_date, "Date", "date", "attribute", "Date should be valid and formatted as yyyyMMdd."),
    "DT": _Period(
        normal_date_time,
        "DateTime",
        "date time",
        "parameter",
        "DateTime should be valid and formatted as yyyyMMddHHmmss.ffffff, where only the year has to be there.",
    ),
    "TM": _Period(
        normal_time,
        "Time",
        "time",
        "parameter",
        "Time should be valid and formatted as HHmmss.ffffff, where only the hour has to be there.",
    ),
}

_NUMBERS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "FD": (normal_double, "double"),
    "FL": (normal_float, "double"),
    "IS": (normal_integer, "long"),
    "SL": (normal_integer, "long"),
    "SS": (normal_integer, "long"),
    "UL": (normal_integer, "long"),
    "US": (normal_integer, "long"),
}


def empty_value(key: str) -> InvalidRequest:
    """QRY-16; `key` as the client wrote it."""
    return InvalidRequest(f"Invalid query: AttributeId '{key}' has empty string value that is not supported.")


def filter_matcher(tag: str, vr: str, name: str, key: str, text: str, *, fuzzy: bool) -> Matcher:
    """What a filter value asks for.

    `tag` is eight upper-case hex digits, `name` its keyword, or the digits again if it has none, `key` how the client
    wrote it, `text` the decoded and trimmed value. Raises `InvalidRequest` if the value does not suit the VR.
    """
    if not text:
        raise empty_value(key)
    if tag == MODALITIES_IN_STUDY:
        return _modalities(key, text)
    if vr == "UI":
        return OneOf(frozenset(normal_text(vr, uid) for uid in _list(key, text)))
    if vr in _PERIODS:
        return _period_matcher(_PERIODS[vr], name, text)
    if vr in _NUMBERS:
        return _number_matcher(vr, name, text)
    return _text_matcher(vr, key, text, fuzzy)


def _text_matcher(vr: str, key: str, text: str, fuzzy: bool = False) -> Matcher:
    if vr == "PN" and fuzzy and '"' in text:
        raise InvalidRequest(f"Invalid query: the value of AttributeId '{key}' contains unsupported character '\"'.")
    form = normal_text(vr, text)
    if vr in _WITH_WILDCARDS and ("*" in form or "?" in form):
        return Pattern(form) if form.strip("*") else Anything()
    return Words.of(form) if vr == "PN" and fuzzy else Equal(form)


def _modalities(key: str, text: str) -> Matcher:
    """Any of several code strings, each of which may hold wildcards (QRY-36, QRY-40)."""
    matchers = tuple(_text_matcher("CS", key, modality) for modality in _list(key, text))
    return Anything() if any(isinstance(matcher, Anything) for matcher in matchers) else AnyOf(matchers)


def _list(key: str, text: str) -> list[str]:
    entries = [entry.strip() for entry in _LIST_SEPARATORS.split(text)]
    filled = [entry for entry in entries if entry]
    if not filled:
        raise empty_value(key)
    return filled


def _period_matcher(period: _Period, name: str, text: str) -> Matcher:
    if period is _PERIODS["DT"] and any(_OFFSET.fullmatch(side.strip()) for side in text.split("-")):
        raise InvalidRequest(
            f"Invalid query: specified DateTime value '{text}' for parameter '{name}' contains offset which is not "
            "supported."
        )
    if "-" not in text:
        return Equal(period.side(text, name))
    sides = [side.strip() for side in text.split("-")]
    if len(sides) > 2:
        raise period.fault(text, name)
    if not any(sides):
        raise InvalidRequest("Invalid query: specified range is invalid. It has to have a start, an end, or both.")
    first, last = (period.side(side, name) if side else None for side in sides)
    if first is not None and last is not None and first > last:
        raise InvalidRequest(
            f"Invalid query: specified {period.plain} range '{text}' is invalid. "
            f"Its start '{sides[0]}' lies after its end '{sides[1]}'."
        )
    return Between(first, last)


def _number_matcher(vr: str, name: str, text: str) -> Matcher:
    convert, kind = _NUMBERS[vr]
    form = convert(text)
    if form is None:
        raise InvalidRequest(f"Invalid query: '{text}' for attribute '{name}' is not a valid {kind} value.")
    return Equal(form)
