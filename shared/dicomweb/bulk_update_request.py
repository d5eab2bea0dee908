"""Bodies of bulk updates, and what is asked of them (PLT-60, PLT-63 to PLT-68).

Texts are the service's, letter for letter where the specification gives them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ..dicom.uids import checked_uid
from ..dicom.updatable import VRS, changed_text, update_fault, value_text
from ..errors import InvalidRequest
from .attribute_keys import attribute_tag
from .json_body import MALFORMED, member

MOST_STUDIES = 50

FAILED_ATTRIBUTES = "00741048"
ERROR_COMMENT = "00000902"

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_VR = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class ChangedAttribute:
    """An attribute as a client wants it; `values` are None for a VR whose values are no texts."""

    tag: int
    vr: str
    values: list[str] | None


@dataclass(frozen=True, slots=True)
class RequestedUpdate:
    """A body that has the right form; `changes` are None without a data set."""

    studies: list[str]
    changes: list[ChangedAttribute] | None


@dataclass(frozen=True, slots=True)
class BulkUpdate:
    """What is to be done: `changes` are the new values as texts, by tag."""

    studies: list[str]
    changes: dict[int, str]


class RefusedChanges(InvalidRequest):
    """Attributes that may not be changed, or not to these values (PLT-68); `body` is the answer's."""

    def __init__(self, comments: list[str]) -> None:
        super().__init__("; ".join(comments))
        items = [{ERROR_COMMENT: {"vr": "LO", "Value": [comment]}} for comment in comments]
        self.body = orjson.dumps({FAILED_ATTRIBUTES: {"vr": "SQ", "Value": items}})


def requested_update(document: Any) -> RequestedUpdate:
    """Reads a body; raises `InvalidRequest` for what has another form (PLT-60, PLT-65)."""
    if not isinstance(document, dict):
        raise InvalidRequest(MALFORMED)
    studies, changes = member(document, "studyInstanceUids"), member(document, "changeDataset")
    if not isinstance(studies, list | None) or not all(isinstance(uid, str | None) for uid in studies or ()):
        raise InvalidRequest(MALFORMED)
    return RequestedUpdate([uid or "" for uid in studies or ()], None if changes is None else _attributes(changes))


def checked_update(requested: RequestedUpdate) -> BulkUpdate:
    """Raises `InvalidRequest` for the first of PLT-63 to PLT-65 that is broken, then `RefusedChanges`."""
    if not requested.studies:
        raise InvalidRequest("The required field 'StudyInstanceUids' is missing or empty.")
    if len(requested.studies) > MOST_STUDIES:
        raise InvalidRequest(f"StudyInstanceUids count exceeded maximum length '{MOST_STUDIES}'")
    studies = [checked_uid(uid, "StudyInstanceUid") for uid in requested.studies]
    if requested.changes is None:
        raise InvalidRequest("The required field 'ChangeDataset' is missing.")
    comments = [
        fault for each in requested.changes if (fault := update_fault(each.tag, each.vr, each.values or [])) is not None
    ]
    if comments:
        raise RefusedChanges(comments)
    return BulkUpdate(studies, {each.tag: changed_text(each.values or []) for each in requested.changes})


def _attributes(source: Any) -> list[ChangedAttribute]:
    """The attributes of a data set in the DICOM JSON model (PS3.18 F.2), in order of their tags."""
    if not isinstance(source, Mapping):
        raise InvalidRequest(MALFORMED)
    found = {}
    for key, element in source.items():
        digits = key if _TAG.fullmatch(key) else attribute_tag(key)
        if digits is None:
            raise InvalidRequest(MALFORMED)
        tag = int(digits, 16)
        found[tag] = _attribute(tag, element)
    return [found[tag] for tag in sorted(found)]


def _attribute(tag: int, source: Any) -> ChangedAttribute:
    if not isinstance(source, Mapping):
        raise InvalidRequest(MALFORMED)
    vr, values = source.get("vr"), source.get("Value")
    if not isinstance(vr, str) or not _VR.fullmatch(vr) or not isinstance(values, list | None):
        raise InvalidRequest(MALFORMED)
    texts = [value_text(vr, value) for value in values or ()]
    if None not in texts:
        return ChangedAttribute(tag, vr, [text for text in texts if text is not None])
    if vr in VRS:
        raise InvalidRequest(MALFORMED)
    return ChangedAttribute(tag, vr, None)
