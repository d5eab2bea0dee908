"""Data sets in the bodies of worklist requests: DICOM JSON, brought into one form (PS3.18 F.2; UPS-02, UPS-09)."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ..dicom.workitem_attributes import TRANSACTION_UID
from ..errors import InvalidRequest
from .json_body import MALFORMED, read_json

Element = dict[str, Any]
Dataset = dict[str, Element]
"""Elements by tag, eight upper-case hex digits, in ascending order; `vr` is the first member of each."""

DEEPEST = 60
"""Levels of sequences in one another; the writer of JSON takes 84."""

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_VR = re.compile(r"[A-Z]{2}")
_INTEGERS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_DECIMALS = frozenset({"DS", "FD", "FL"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,3})?")
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def read_dataset(body: bytes) -> Dataset:
    """The data set of a body: an object, or the first of an array; raises `InvalidRequest`.

    Values are not held against their VR (UPS-93). A transaction UID inside a sequence is left out: wherever it stands,
    no answer may show it (UPS-23).
    """
    document = read_json(body)
    if isinstance(document, list):
        document = document[0] if document else None
    return _dataset(document, 0)


def _dataset(source: Any, depth: int) -> Dataset:
    if not isinstance(source, dict) or depth > DEEPEST:
        raise InvalidRequest(MALFORMED)
    elements: Dataset = {}
    for key, element in source.items():
        if not _TAG.fullmatch(key):
            raise InvalidRequest(MALFORMED)
        tag = key.upper()
        if tag != TRANSACTION_UID or not depth:
            elements[tag] = _element(element, depth)
    return dict(sorted(elements.items()))


def _element(source: Any, depth: int) -> Element:
    if not isinstance(source, dict):
        raise InvalidRequest(MALFORMED)
    vr, values = source.get("vr"), source.get("Value")
    if not isinstance(vr, str) or not _VR.fullmatch(vr) or not isinstance(values, list | None):
        raise InvalidRequest(MALFORMED)
    element: Element = {"vr": vr}
    if values and vr == "SQ":
        element["Value"] = [_dataset({} if item is None else item, depth + 1) for item in values]
    elif values and any(value is not None for value in values):
        element["Value"] = [_value(vr, value) for value in values]
    for name in ("BulkDataURI", "InlineBinary"):
        if isinstance(source.get(name), str):
            element[name] = source[name]
    return element


def _value(vr: str, value: Any) -> Any:
    """Numbers as JSON numbers, person names as objects; anything else as it was sent."""
    if vr == "PN":
        return _person_name(value)
    if isinstance(value, dict | list):
        raise InvalidRequest(MALFORMED)
    if isinstance(value, str):
        text = value.strip(" \0")
        if (vr in _INTEGERS or vr in _DECIMALS) and _INTEGER.fullmatch(text):
            return int(text)
        if vr in _DECIMALS and _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    return value


def _person_name(value: Any) -> Any:
    """The groups of a name that are given (PS3.18 F.2.2); a name as one text is taken apart (PS3.5 6.2.1)."""
    if isinstance(value, str):
        groups = zip(_NAME_GROUPS, value.split("="), strict=False)
        return {group: text for group, text in groups if text} or {"Alphabetic": ""}
    if not isinstance(value, Mapping):
        if isinstance(value, list):
            raise InvalidRequest(MALFORMED)
        return value
    if any(not isinstance(value.get(group), str | None) for group in _NAME_GROUPS):
        raise InvalidRequest(MALFORMED)
    return {group: value[group] for group in _NAME_GROUPS if value.get(group) is not None}
