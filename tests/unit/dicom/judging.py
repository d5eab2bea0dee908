"""Parsing files of given elements, and the texts in which faults are reported."""

from typing import Any

import orjson

from shared.dicom.instance import ParsedInstance, parse_instance
from tests.unit.dicom.encoding import Encoded, file_of

SOP_CLASS, SOP_INSTANCE, PATIENT_ID, STUDY, SERIES = 0x00080016, 0x00080018, 0x00100020, 0x0020000D, 0x0020000E
STUDY_DATE, MODALITY = 0x00080020, 0x00080060

IDENTIFIER = (
    "DICOM Identifier is invalid. Value length should not exceed the maximum length of 64 characters. "
    "Value should contain characters in '0'-'9' and '.'. Each component must start with non-zero number."
)
PATIENT_MISSING = "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."

CODE = "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed"
DATE = "one of the date values does not match the pattern YYYYMMDD"


def parse(
    *others: Encoded, study: str | None = None, leave_out: tuple[int, ...] = (), **options: Any
) -> ParsedInstance:
    """The outcome for a file of the required attributes and others."""
    return parse_instance(file_of(*others, leave_out=leave_out), study=study, **options)


def keys(parsed: ParsedInstance) -> set[str]:
    """The attributes that metadata has."""
    return set(orjson.loads(parsed.metadata))


def name(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def content(tag: int, value: str, vr: str, reason: str) -> str:
    """The comment on a faulty value."""
    return f'DICOM100: {name(tag)} - Content "{value}" does not validate VR {vr}: {reason}'


def failed(tag: int, keyword: str, vr: str, reason: str) -> str:
    """The comment on an attribute whose minimum check fails."""
    return f"DICOM100: {name(tag)} - Dicom element '{keyword}' failed validation for VR '{vr}': {reason}"


def multiplicity(tag: int, vr: str, attribute: str, count: int, allowed: str) -> str:
    """The comment on a wrong number of values."""
    element = f"{name(tag)} {vr} {attribute}"
    return content(tag, element, vr, f"Number of items {count} does not match ValueMultiplicity {allowed}")
