"""What a store says of the attributes of a file by version 2 of the service (STO-60 to STO-82).

Required attributes may fail it; every other fault is a warning, and the attribute is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from . import dictionary
from .charsets import CharacterSet
from .data_set import DataSet, Raw
from .json_values import WIDTHS
from .required import PATIENT_ID, REQUIRED, check_required, comment, has_several_values, tag_text
from .value_texts import UNDIVIDED, value_texts
from .vr_rules import RULES


@dataclass(frozen=True, slots=True)
class Verdict:
    """`comments` in their order (STO-76). `left_out` are the top-level attributes that metadata and index lack.

    `multiple_values` tells that an attribute which is indexed has several (STO-81).
    """

    failed: bool
    comments: tuple[str, ...]
    left_out: frozenset[int]
    multiple_values: bool


def validate(data_set: DataSet, study: str | None) -> Verdict:
    """Judges a data set; `study` is the UID of the path, if it has one (STO-50)."""
    top = {raw[0]: raw for raw in data_set.top}
    required = check_required(top, study)
    comments = required.comments
    faults = find_faults(top.values())
    left_out = faults.keys() | comments.keys()
    for tag in REQUIRED:
        if tag in faults:
            comments.setdefault(tag, faults[tag])
    for tag in sorted(faults):
        comments.setdefault(tag, faults[tag])
    for tag, text in find_faults(data_set.nested).items():
        comments.setdefault(tag, text)
    several = any(has_several_values(top[tag]) for tag in REQUIRED if tag in top)
    return Verdict(required.failed, tuple(comments.values()), frozenset(left_out.difference(_KEPT)), several)


_KEPT = frozenset(REQUIRED) - {PATIENT_ID}
"""Attributes that metadata has whatever is said of them (STO-63)."""


def find_faults(raws: Iterable[Raw]) -> dict[int, str]:
    """The comment on each faulty attribute, the first fault of each (STO-71 to STO-75)."""
    faults: dict[int, str] = {}
    multiplicities = dictionary.multiplicities()
    for tag, vr, value, characters in raws:
        if not value:
            continue
        rule = RULES.get(vr)
        if rule is None:
            count = len(value) // WIDTHS[vr]
        elif not rule.is_plain(value):
            count = -1
        else:
            count = 1 if vr in UNDIVIDED else value.count(b"\\") + 1
        if count >= 0:
            try:
                least, most, _ = multiplicities[tag]
            except KeyError:
                if tag & 0x10000:
                    continue
            else:
                if least <= count <= most:
                    continue
        if tag not in faults and (reason := _fault(tag, vr, value, characters)):
            faults[tag] = comment(tag, reason)
    return faults


def _fault(tag: int, vr: str, value: bytes, characters: CharacterSet) -> str | None:
    """The fault of one element, after a closer look: of its content, else of the number of its values."""
    rule = RULES.get(vr)
    if rule is None:
        return multiplicity_fault(tag, vr, len(value) // WIDTHS[vr])
    texts = value_texts(vr, value, characters)
    for text in texts.values:
        if reason := rule.fault(text):
            return content_fault(text, vr, reason)
    return None if texts.joined else multiplicity_fault(tag, vr, len(texts.values))


def multiplicity_fault(tag: int, vr: str, count: int) -> str | None:
    """Too few or too many values for an attribute of the dictionary (PS3.5 6.4; STO-72)."""
    entry = None if tag & 0x10000 else dictionary.entry(tag)
    if entry is None or not count:
        return None
    least, most, text = dictionary.multiplicity(entry[1])
    if least <= count <= most:
        return None
    element = f"{tag_text(tag)} {vr} {entry[2]}"
    return content_fault(element, vr, f"Number of items {count} does not match ValueMultiplicity {text}")


def content_fault(value: str, vr: str, reason: str) -> str:
    return f'Content "{value}" does not validate VR {vr}: {reason}'
