"""The attributes that a bulk update may change, and what is asked of their new values (PLT-67, PLT-68)."""

from collections.abc import Mapping
from typing import Any

from .normal_form import PERSON_NAME_GROUPS
from .required import comment
from .validate import content_fault, multiplicity_fault
from .value_texts import UNDIVIDED
from .vr_rules import RULES

UPDATABLE: Mapping[int, str] = {
    0x00080050: "SH", 0x00080090: "PN", 0x00081030: "LO",
    0x00100010: "PN", 0x00100020: "LO", 0x00100021: "LO", 0x00100022: "CS", 0x00100030: "DA", 0x00100032: "TM",
    0x00100040: "CS", 0x00100200: "CS", 0x00101000: "LO", 0x00101001: "PN", 0x00101005: "PN", 0x00101010: "AS",
    0x00101020: "DS", 0x00101030: "DS", 0x00101040: "LO", 0x00101060: "PN", 0x00101080: "LO", 0x00101081: "LO",
    0x00101090: "LO", 0x00102150: "LO", 0x00102152: "LO", 0x00102154: "SH", 0x00102160: "SH", 0x00102180: "SH",
    0x001021F0: "LO", 0x00102201: "LO", 0x00102292: "LO", 0x00102295: "LO", 0x00102297: "PN", 0x00102298: "CS",
    0x00102299: "LO", 0x00104000: "LT",
    0x00403001: "LO",
}  # fmt: skip
"""VR by tag."""

VRS = frozenset(UPDATABLE.values())

MOST_BYTES = 0xFFFE
"""Of one element: its length takes 16 bits in explicit encodings, whatever VR of these it has."""

_DECIMAL_LENGTH = 16


def value_text(vr: str, value: Any) -> str | None:
    """One value of DICOM JSON as text: that of a person name, a string or a number; None if it is none of a `vr`."""
    if value is None:
        return ""
    if vr == "PN":
        return _name_text(value)
    if isinstance(value, str):
        return value
    if vr == "DS" and isinstance(value, int | float) and not isinstance(value, bool):
        return _decimal_text(value)
    return None


def changed_text(values: list[str]) -> str:
    """What an element holds that has these values."""
    return "\\".join(values).rstrip(" ") if any(values) else ""


def update_fault(tag: int, vr: str, values: list[str]) -> str | None:
    """Why an attribute cannot be given these values, as an Error Comment; None if it can. `vr` is that of the request.

    The rules are those of a store.
    """
    expected = UPDATABLE.get(tag)
    if expected is None:
        return comment(tag, "Updating the tag is not supported")
    if vr != expected:
        return comment(tag, f"The VR of the attribute is {expected}, not {vr}")
    given = [value for value in values if value]
    for value in given:
        if "\\" in value and expected not in UNDIVIDED:
            return comment(tag, content_fault(value, expected, "value contains invalid character"))
        if reason := RULES[expected].fault(value):
            return comment(tag, content_fault(value, expected, reason))
    if given and (reason := multiplicity_fault(tag, expected, len(values))):
        return comment(tag, reason)
    if len(changed_text(values).encode()) > MOST_BYTES:
        return comment(tag, f"The values take more than {MOST_BYTES} bytes")
    return None


def _name_text(value: Any) -> str | None:
    """The groups of a name (PS3.18 F.2.2) as they stand in a file (PS3.5 6.2.1)."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return None
    groups = [value.get(group) or "" for group in PERSON_NAME_GROUPS]
    if not all(isinstance(group, str) and "=" not in group for group in groups):
        return None
    return "=".join(groups).rstrip("=")


def _decimal_text(number: float) -> str:
    """At most 16 characters, which is what a DS holds."""
    if isinstance(number, int):
        return str(number)
    text = repr(number)
    for digits in range(_DECIMAL_LENGTH, 0, -1):
        if len(text) <= _DECIMAL_LENGTH:
            break
        text = f"{number:.{digits}g}"
    return text
