"""One file at store time: everything that is kept of it and said about it, from a single reading.

`parse_instance` is pure computation. It neither looks at pixels nor keeps the content.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from . import transfer_syntaxes as ts
from .attributes import INDEXED, STUDY_DETAILS, Level
from .data_set import DataSet
from .elements import read_elements
from .file_meta import EncodedDataSet, open_file
from .frame_positions import locate_frames
from .indexed_values import IndexedTag
from .metadata_json import metadata_json
from .normal_form import normal_form
from .required import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from .unreadable import Declined, UnreadableFile
from .validate import Verdict, validate
from .validate_indexed import validate_indexed

__all__ = ["ParsedInstance", "UnreadableFile", "parse_instance", "parse_short_instance"]

Attributes = dict[str, dict[str, Any]]

VALIDATION_WARNING = 1
IMPLICIT_VR_WARNING = 45063

MOST_DETAILS = 2000
"""Bytes of `study_details` as JSON."""

SHORT_HEADER = 32 * 1024
"""Bytes outside bulk values."""

_PIXEL_DATA = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True, slots=True)
class ParsedInstance:
    """What a store needs of a file.

    `study`, `series` and `instance` are the UIDs without padding, empty if missing. `sop_class` and
    `sop_instance_echo` are the values that the answer names (STO-91), None if the file has none. `failed` means 43264;
    the reasons are among the `comments` (STO-76). `warning` is None, 1 or 45063 (STO-79, STO-80). `multiple_values`
    asks for the HTTP header of STO-81. `has_preamble`: `DICM` is at byte 128, and what is before is no part of the
    instance (STO-101). `metadata` is a DICOM JSON object (RET-61), without the attributes that are at fault (STO-77).
    The attributes are the searchable ones with a value that can be indexed, by tag (STO-78, STO-103). `frames` is a
    packed `FrameTable`, empty if there are none. `study_details` are those of `STUDY_DETAILS` that are in the metadata;
    None if they are too long to be kept twice.
    """

    study: str
    series: str
    instance: str
    sop_class: str | None
    sop_instance_echo: str | None
    failed: bool
    comments: tuple[str, ...]
    warning: int | None
    multiple_values: bool
    has_preamble: bool
    transfer_syntax: str
    metadata: bytes
    study_attributes: Attributes
    series_attributes: Attributes
    frames: bytes
    study_details: Attributes | None


def parse_instance(
    content: bytes | mmap.mmap, *, study: str | None, lenient: bool = True, tags: Sequence[IndexedTag] = ()
) -> ParsedInstance:
    """Reads and judges a file; raises `UnreadableFile`, and nothing else.

    `study` is the UID of the path, if it has one. `lenient` are the rules of version 2 of the service, otherwise those
    of version 1 (STO-160), by which invalid values of extended query `tags` fail the instance.
    """
    encoded = open_file(content)
    try:
        data_set = read_elements(encoded)
    except Declined:
        from .pydicom_reader import read_with_pydicom

        data_set = read_with_pydicom(encoded)
    return _judged(data_set, encoded, study, lenient, tags)


def parse_short_instance(
    content: bytes, *, study: str | None, lenient: bool = True, tags: Sequence[IndexedTag] = ()
) -> ParsedInstance | None:
    """As `parse_instance`, of what takes no longer than some milliseconds; None for all else.

    That is native pixel data, or none, behind `SHORT_HEADER` bytes at most.
    """
    if not _is_short(content):
        return None
    try:
        encoded = open_file(content, inflating=False)
        data_set = read_elements(encoded, SHORT_HEADER)
    except (Declined, UnreadableFile):
        return None
    return _judged(data_set, encoded, study, lenient, tags)


def _is_short(content: bytes) -> bool:
    """Whether the file seems to be so: what is pixel data by chance is found out by reading."""
    if len(content) <= SHORT_HEADER:
        return True
    at = content.find(_PIXEL_DATA, 0, SHORT_HEADER)
    values = (at + 8, at + 12)  # implicit and explicit
    rests = (len(content) - value - int.from_bytes(content[value - 4 : value], "little") for value in values)
    return at >= 0 and any(0 <= rest <= SHORT_HEADER for rest in rests)


def _judged(
    data_set: DataSet, encoded: EncodedDataSet, study: str | None, lenient: bool, tags: Sequence[IndexedTag]
) -> ParsedInstance:
    verdict = validate(data_set, study) if lenient else validate_indexed(data_set, study, tags)
    return _parsed(data_set, encoded, verdict, warn=lenient)


def _parsed(data_set: DataSet, encoded: EncodedDataSet, verdict: Verdict, *, warn: bool) -> ParsedInstance:
    uids = {tag: value.decode("latin-1").rstrip(" \0") for tag, _, value, _ in data_set.top if tag in _NAMED}
    table = locate_frames(data_set, encoded)
    elements = data_set.elements
    for tag in verdict.left_out:
        elements.pop(f"{tag:08X}", None)
    details = _details(elements)
    warning = VALIDATION_WARNING if verdict.comments and warn else None
    if encoded.implicit or encoded.transfer_syntax == ts.IMPLICIT_LITTLE_ENDIAN:
        warning = IMPLICIT_VR_WARNING
    return ParsedInstance(
        study=uids.get(STUDY_INSTANCE_UID, ""),
        series=uids.get(SERIES_INSTANCE_UID, ""),
        instance=uids.get(SOP_INSTANCE_UID, ""),
        sop_class=uids.get(SOP_CLASS_UID) or None,
        sop_instance_echo=uids.get(SOP_INSTANCE_UID) or None,
        failed=verdict.failed,
        comments=verdict.comments,
        warning=None if verdict.failed else warning,
        multiple_values=verdict.multiple_values,
        has_preamble=encoded.has_preamble,
        transfer_syntax=encoded.transfer_syntax,
        metadata=metadata_json(elements),
        study_attributes=_indexed(elements, Level.STUDY),
        series_attributes=_indexed(elements, Level.SERIES),
        frames=table.pack() if table else b"",
        study_details=details,
    )


_NAMED = frozenset((SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID))


def _details(elements: Attributes) -> Attributes | None:
    details = {tag: elements[tag] for tag in STUDY_DETAILS & elements.keys()}
    try:
        return dict(sorted(details.items())) if len(orjson.dumps(details)) <= MOST_DETAILS else None
    except TypeError:  # sequences too deep for orjson
        return None


def _indexed(elements: Attributes, level: Level) -> Attributes:
    """What the instance contributes to the row of its study or series: only values that can be found there."""
    found = ((attribute, elements.get(attribute.tag)) for attribute in INDEXED[level])
    return {
        attribute.tag: element
        for attribute, element in found
        if element and element["vr"] == attribute.vr and normal_form(attribute.vr, element) is not None
    }
