"""Encoded values as DICOM JSON (PS3.5 6.2, PS3.18 F.2.3; RET-62, RET-65, RET-68, RET-69).

One converter for each VR that metadata shows. It takes the bytes of a value, as they are in the file, and gives a JSON
element; whatever the bytes are, it gives one. The elements without a value are shared: nobody may change them.
"""

import struct
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from .charsets import CharacterSet

Element = dict[str, Any]
Converter = Callable[[bytes, CharacterSet], Element]

BULK = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
"""VRs whose attributes metadata leaves out (RET-62)."""

WIDTHS: Mapping[str, int] = {
    "AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip
"""Bytes of one value, for the VRs of fixed width."""

_STRINGS = ("AE", "AS", "CS", "DA", "DT", "TM")
_TEXTS = ("LO", "SH", "UC")
_UNDIVIDED_TEXTS = ("LT", "ST", "UT")
_NUMBERS = {"FD": "d", "FL": "f", "SL": "l", "SS": "h", "SV": "q", "UL": "L", "US": "H", "UV": "Q"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

EMPTY: Mapping[str, Element] = {
    vr: {"vr": vr}
    for vr in (*_STRINGS, *_TEXTS, *_UNDIVIDED_TEXTS, *_NUMBERS, "AT", "DS", "IS", "PN", "SQ", "UI", "UR")
}
"""The element of an attribute without a value."""


def converters(order: str) -> Mapping[str, Converter]:
    """The converter of each VR for a byte order, `<` or `>`."""
    return _CONVERTERS[order]


def _string(vr: str) -> Converter:
    """Strings of the default repertoire; what is beyond it is read as Latin-1."""
    empty = EMPTY[vr]

    def convert(value: bytes, characters: CharacterSet) -> Element:
        text = value.decode("latin-1").rstrip(" ")
        if not text:
            return empty
        if "\\" in text:
            return {"vr": vr, "Value": [part or None for part in text.split("\\")]}
        return {"vr": vr, "Value": [text]}

    return convert


def _text(vr: str) -> Converter:
    """Text of the declared character sets, decoded before it is divided: a character may hold the byte 5C."""
    empty = EMPTY[vr]

    def convert(value: bytes, characters: CharacterSet) -> Element:
        text = characters.text(value).rstrip(" ")
        if not text:
            return empty
        if "\\" in text:
            return {"vr": vr, "Value": [part or None for part in text.split("\\")]}
        return {"vr": vr, "Value": [text]}

    return convert


def _undivided_text(vr: str) -> Converter:
    empty = EMPTY[vr]

    def convert(value: bytes, characters: CharacterSet) -> Element:
        text = characters.text(value).rstrip(" ")
        return {"vr": vr, "Value": [text]} if text else empty

    return convert


def _resource_identifier(value: bytes, characters: CharacterSet) -> Element:
    text = value.decode("latin-1").rstrip(" ")
    return {"vr": "UR", "Value": [text]} if text else EMPTY["UR"]


def _unique_identifier(value: bytes, characters: CharacterSet) -> Element:
    """The padding of a UID is NUL; a space at its end stays (RET-65)."""
    text = value.decode("latin-1").rstrip("\0")
    if not text:
        return EMPTY["UI"]
    if "\\" in text:
        return {"vr": "UI", "Value": [part or None for part in text.split("\\")]}
    return {"vr": "UI", "Value": [text]}


def _person_name(value: bytes, characters: CharacterSet) -> Element:
    text = characters.name(value).rstrip(" ")
    if "=" not in text and "\\" not in text:
        return {"vr": "PN", "Value": [{"Alphabetic": text}]} if text else EMPTY["PN"]
    names = [_name_groups(name) for name in text.split("\\")]
    return EMPTY["PN"] if names == [None] else {"vr": "PN", "Value": names}


def _name_groups(name: str) -> dict[str, str] | None:
    """The groups of a person name (PS3.5 6.2.1) that are not empty; DICOM JSON has no place for a fourth."""
    groups = zip(_NAME_GROUPS, name.split("="), strict=False)
    return {group: part for group, part in groups if part} or None


def _decimal(value: bytes, characters: CharacterSet) -> Element:
    """DS: numbers, or every value as a string if one of them is no number (RET-65)."""
    text = value.decode("latin-1").rstrip(" ")
    if not text:
        return EMPTY["DS"]
    if text.isdecimal() and len(text) <= 16:
        return {"vr": "DS", "Value": [int(text)]}
    parts = text.split("\\")
    # Python would also take nan, infinity, 1_000 and other white space for (parts of) numbers.
    if not value.translate(None, b"0123456789.+-eE \\"):
        try:
            return {"vr": "DS", "Value": [_decimal_number(part) for part in parts]}
        except ValueError:
            pass
    return {"vr": "DS", "Value": [part or None for part in parts]}


def _decimal_number(text: str) -> float | None:
    if text.isdecimal() and len(text) <= 16:
        return int(text)
    if not text:
        return None
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _integer(value: bytes, characters: CharacterSet) -> Element:
    """IS: numbers of at most 64 bits, or every value as a string."""
    text = value.decode("latin-1").rstrip(" ")
    if not text:
        return EMPTY["IS"]
    if text.isdecimal() and len(text) <= 16:
        return {"vr": "IS", "Value": [int(text)]}
    parts = text.split("\\")
    if not value.translate(None, b"0123456789+- \\"):
        try:
            return {"vr": "IS", "Value": [_integer_number(part) for part in parts]}
        except ValueError:
            pass
    return {"vr": "IS", "Value": [part or None for part in parts]}


def _integer_number(text: str) -> int | None:
    if not text:
        return None
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _number(vr: str, order: str) -> Converter:
    """Binary integers; bytes that are left over at the end make no value."""
    empty, width = EMPTY[vr], WIDTHS[vr]
    one = struct.Struct(order + _NUMBERS[vr]).unpack

    def convert(value: bytes, characters: CharacterSet) -> Element:
        if len(value) == width:
            return {"vr": vr, "Value": [one(value)[0]]}
        values = _unpacked(order, _NUMBERS[vr], width, value)
        return {"vr": vr, "Value": list(values)} if values else empty

    return convert


def _real(vr: str, order: str) -> Converter:
    """Binary fractions; JSON has words for what is no number (RET-65)."""
    empty, width = EMPTY[vr], WIDTHS[vr]

    def convert(value: bytes, characters: CharacterSet) -> Element:
        values = _unpacked(order, _NUMBERS[vr], width, value)
        if not values:
            return empty
        if all(map(isfinite, values)):
            return {"vr": vr, "Value": list(values)}
        return {"vr": vr, "Value": [number if isfinite(number) else _word(number) for number in values]}

    return convert


def _word(number: float) -> str:
    if number != number:
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _attribute_tag(order: str) -> Converter:
    def convert(value: bytes, characters: CharacterSet) -> Element:
        halves = _unpacked(order, "H", 2, value[: len(value) & ~3])
        if not halves:
            return EMPTY["AT"]
        pairs = zip(halves[::2], halves[1::2], strict=True)
        return {"vr": "AT", "Value": [f"{group:04X}{number:04X}" for group, number in pairs]}

    return convert


def _unpacked(order: str, form: str, width: int, value: bytes) -> tuple[Any, ...]:
    return struct.unpack_from(f"{order}{len(value) // width}{form}", value)


def _converters_of(order: str) -> Mapping[str, Converter]:
    by_vr: dict[str, Converter] = {
        "AT": _attribute_tag(order),
        "DS": _decimal,
        "FD": _real("FD", order),
        "FL": _real("FL", order),
        "IS": _integer,
        "PN": _person_name,
        "UI": _unique_identifier,
        "UR": _resource_identifier,
    }
    by_vr |= {vr: _string(vr) for vr in _STRINGS}
    by_vr |= {vr: _text(vr) for vr in _TEXTS}
    by_vr |= {vr: _undivided_text(vr) for vr in _UNDIVIDED_TEXTS}
    by_vr |= {vr: _number(vr, order) for vr in ("SL", "SS", "SV", "UL", "US", "UV")}
    return by_vr


_CONVERTERS = {order: _converters_of(order) for order in "<>"}
