"""What an extended query tag finds in the metadata of an instance, and what forbids to index it (TAG-26, TAG-30).

Metadata is a DICOM JSON data set (PS3.18 F.2); bulk values are not in it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .normal_form import PERSON_NAME_GROUPS, normal_date, normal_date_time, normal_integer, normal_time

INDEXABLE_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DT", "FD", "FL", "IS", "LO", "PN", "SH", "SL", "SS", "TM", "UI", "UL", "US")
)
"""VRs that a tag may have (TAG-07)."""

UNEXPECTED_VR = "The extended query tag VR is not expected."
UNEXPECTED_LENGTH = "Value length is not expected."
TOO_LONG = "Value length exceeds maximum length."
INVALID_CHARACTER = "Value contains invalid character."
NAME_TOO_LONG = "One or more group of person name exceeds maxium length of 64."

_FIXED_LENGTH = frozenset({"AS", "FD", "FL", "SL", "SS", "UL", "US"})
"""VRs in which an empty element is a fault."""

_LONGEST = {"AE": 16, "CS": 16, "SH": 16, "LO": 64}

_LONGEST_GROUP = 64

_READABLE: Mapping[str, tuple[Callable[[str], str | None], str]] = {
    "DA": (normal_date, "date"),
    "DT": (normal_date_time, "DateTime"),
    "TM": (normal_time, "Time"),
    "IS": (normal_integer, "integer string"),
}

Element = Mapping[str, Any]


class IndexedTag(Protocol):
    """What of an extended query tag says which values it takes; `creator` is empty for a standard attribute."""

    @property
    def path(self) -> str: ...

    @property
    def vr(self) -> str: ...

    @property
    def creator(self) -> str: ...


def find_element(metadata: Mapping[str, Element], tag: str, creator: str | None) -> Element | None:
    """The element that `tag` means; see `find_tag`."""
    found = find_tag(metadata, tag, creator)
    return None if found is None else metadata[found]


def find_tag(metadata: Mapping[str, Element], tag: str, creator: str | None) -> str | None:
    """Where the element is that `tag` means: a private one in the block that its creator has reserved.

    The block that stands in `tag` itself, digits 5 and 6, is only how the tag was written down: in each file the
    creator may have another one (PS3.5 7.8.1).
    """
    if creator is None or tag[4:6] == "00":
        return tag if tag in metadata else None
    for block in range(0x10, 0x100):
        reserving = metadata.get(f"{tag[:4]}00{block:02X}")
        if reserving is not None and _first(reserving).strip(" \0") == creator:
            found = f"{tag[:4]}{block:02X}{tag[6:]}"
            if found in metadata:
                return found
    return None


def indexing_fault(vr: str, element: Element) -> str | None:
    """Why an element cannot be indexed as `vr`; None if it can, or if it has no value."""
    if element["vr"] != vr:
        return UNEXPECTED_VR
    values = element.get("Value")
    if not values:
        return UNEXPECTED_LENGTH if vr in _FIXED_LENGTH else None
    if vr == "PN":
        return _name_fault(values[0])
    text = _first(element)
    if vr in _LONGEST and len(text) > _LONGEST[vr]:
        return TOO_LONG
    if vr == "AS" and len(text) != 4:
        return UNEXPECTED_LENGTH
    if vr == "LO" and _has_controls(text):
        return INVALID_CHARACTER
    if vr in _READABLE and text:
        convert, kind = _READABLE[vr]
        if convert(_without_offset(text) if vr == "DT" else text) is None:
            return f"Value cannot be parsed as a valid {kind}."
    return None


def _name_fault(name: Any) -> str | None:
    parts = [name.get(group) for group in PERSON_NAME_GROUPS] if isinstance(name, dict) else [name]
    groups = [str(part or "") for part in parts]
    if any(len(group) > _LONGEST_GROUP for group in groups):
        return NAME_TOO_LONG
    return INVALID_CHARACTER if any(map(_has_controls, groups)) else None


def _first(element: Element) -> str:
    values = element.get("Value") or [None]
    return "" if values[0] is None else str(values[0])


def _has_controls(text: str) -> bool:
    """Control characters, the escape of code extensions apart; padding with NUL is no value (QRY-43)."""
    return any(character < " " and character != "\x1b" for character in text.rstrip("\0"))


def _without_offset(text: str) -> str:
    stripped = text.strip(" \0")
    return stripped[:-5] if stripped[-5:-4] in ("+", "-") else stripped
