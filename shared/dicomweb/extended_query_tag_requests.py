"""Bodies and paths of requests about extended query tags (TAG-01, TAG-03, TAG-06, TAG-10 to TAG-12).

Texts are the service's, letter for letter where the specification gives them.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..dicom import dictionary
from ..dicom.attributes import SEARCHABLE, Level
from ..dicom.indexed_values import INDEXABLE_VRS
from ..errors import InvalidRequest
from .attribute_keys import attribute_tag, dictionary_vr, is_private
from .json_body import MALFORMED, member

_VRS = INDEXABLE_VRS | frozenset(
    ("AT", "DS", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "ST", "SV", "UC", "UN", "UR", "UT", "UV")
)
"""All VRs of PS3.5 6.2."""

_LEVELS = {level.value: level for level in Level}
_LONGEST_CREATOR = 64


@dataclass(frozen=True, slots=True)
class RequestedTag:
    """A tag as a client wrote it; `vr` and `creator` are empty where it wrote none."""

    path: str
    vr: str
    creator: str
    level: Level


@dataclass(frozen=True, slots=True)
class CheckedTag:
    """A tag that may be added: `path` is eight upper-case hex digits, `vr` upper case, `creator` empty for none."""

    path: str
    vr: str
    creator: str
    level: Level


def requested_tags(document: Any) -> list[RequestedTag]:
    """The tags of a body, a list or a list wrapped as `tags` (TAG-05); raises `InvalidRequest` for faults of form."""
    entries = member(document, "tags") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise InvalidRequest(MALFORMED)
    tags = [_requested_tag(index, entry) for index, entry in enumerate(entries)]
    if not tags:
        raise InvalidRequest("The extended query tag(s) is missing.")
    return tags


def checked_tags(tags: Sequence[RequestedTag]) -> list[CheckedTag]:
    """The tags, each as it will be kept; raises `InvalidRequest` for the first fault (TAG-06)."""
    checked: dict[str, CheckedTag] = {}
    for requested in tags:
        tag = _checked_tag(requested)
        if tag.path in checked:
            raise InvalidRequest(f"The extended query tag '{requested.path}' has been specified before.")
        checked[tag.path] = tag
    return list(checked.values())


def tag_path(text: str) -> str:
    """The path of a URL as eight upper-case hex digits; raises `InvalidRequest` (TAG-10)."""
    tag = attribute_tag(text)
    if tag is None:
        raise _unreadable(text)
    return tag


def requested_query_status(document: Any) -> bool:
    """Whether searching is to be on, from the body of a PATCH (TAG-11, TAG-12)."""
    if not isinstance(document, dict):
        raise InvalidRequest(MALFORMED)
    for name in document:
        if name.lower() != "querystatus":
            raise InvalidRequest(f'The field is not supported: "{name}".')
    status = member(document, "queryStatus")
    if not isinstance(status, str) or status.lower() not in ("enabled", "disabled"):
        raise _field(
            "QueryStatus", f"Expected value '{status}' to be one of the following values: ['Disabled', 'Enabled']"
        )
    return status.lower() == "enabled"


def _requested_tag(index: int, entry: Any) -> RequestedTag:
    if not isinstance(entry, dict):
        raise InvalidRequest(MALFORMED)
    texts = {}
    for name in ("path", "vr", "privateCreator"):
        value = member(entry, name)
        if value is not None and not isinstance(value, str):
            raise _field(f"$[{index}].{_written(entry, name)}", "A text is expected.")
        texts[name] = (value or "").strip()
    level = member(entry, "level")
    if level is not None and (not isinstance(level, str) or level.lower() not in _LEVELS):
        raise _field(
            f"$[{index}].{_written(entry, 'level')}",
            _unexpected(level, "'Instance', 'Series', 'Study'"),
        )
    for name, value in (("Path", texts["path"]), ("Level", level)):
        if not value:
            raise _field(
                f"[{index}].{name}",
                f"The Dicom Tag Property {name} must be specified and must not be null, empty or whitespace.",
            )
    return RequestedTag(texts["path"], texts["vr"], texts["privateCreator"], _LEVELS[str(level).lower()])


def _checked_tag(requested: RequestedTag) -> CheckedTag:
    tag = attribute_tag(requested.path)
    if tag is None:
        raise _unreadable(requested.path)
    if tag in SEARCHABLE:
        raise InvalidRequest(f"The query tag '{requested.path}' is already supported.")
    _check_creator(requested, tag)
    vr = _checked_vr(requested, tag)
    if vr not in INDEXABLE_VRS:
        raise InvalidRequest(
            f"The VR code '{requested.vr or vr}' specified for tag '{requested.path}' is not supported."
        )
    return CheckedTag(tag, vr, requested.creator, requested.level)


def _check_creator(requested: RequestedTag, tag: str) -> None:
    if not is_private(tag):
        if requested.creator:
            raise InvalidRequest(f"The private creator is not empty for standard tag '{requested.path}'.")
        return
    if not requested.creator and not _reserves_a_block(tag):
        raise InvalidRequest(f"The private creator for private tag '{requested.path}' is missing.")
    bad = "\\" in requested.creator or any(unicodedata.category(sign) == "Cc" for sign in requested.creator)
    if bad or len(requested.creator) > _LONGEST_CREATOR:
        raise InvalidRequest(f"The private creator for tag '{requested.path}' is not a valid LO attribute.")


def _checked_vr(requested: RequestedTag, tag: str) -> str:
    given = requested.vr.upper()
    if given and given not in _VRS:
        raise InvalidRequest(f"The VR code '{requested.vr}' for tag '{requested.path}' is invalid.")
    allowed = ["LO"] if is_private(tag) and _reserves_a_block(tag) else _dictionary_vrs(tag)
    if given and allowed and given not in allowed:
        raise InvalidRequest(
            f"The VR code '{requested.vr}' is incorrectly specified for '{requested.path}'. The expected VR code for "
            f"it is '{allowed[0]}'. Leave it out, or give the one expected."
        )
    if not given and not allowed:
        raise InvalidRequest(f"The vr for tag '{requested.path}' is missing.")
    return given or allowed[0]


def _dictionary_vrs(tag: str) -> list[str]:
    """The VRs that the dictionary allows, the first of them the default; none for a private attribute."""
    if is_private(tag) or not dictionary_vr(tag):
        return []
    return (dictionary.vr(int(tag, 16)) or "").split(" or ")


def _reserves_a_block(tag: str) -> bool:
    """Whether it is a private creator element itself (PS3.5 7.8.1)."""
    return tag[4:6] == "00" and tag[6:] >= "10"


def _written(entry: dict[str, Any], name: str) -> str:
    """The name of a property as the client wrote it."""
    return name if name in entry else next(key for key in entry if key.lower() == name.lower())


def _unexpected(value: Any, expected: str) -> str:
    return f"Expected value '{value}' to be one of the following values: [{expected}]"


def _field(where: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"The field '{where}' in request body is invalid: {fault}")


def _unreadable(path: str) -> InvalidRequest:
    return InvalidRequest(f"The extended query tag '{path}' is invalid as it cannot be parsed into a valid Dicom Tag.")
