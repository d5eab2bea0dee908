"""How requests name attributes: by DICOM keyword or by eight hex digits (QRY-10, QRY-11, TAG-03)."""

import re
from collections.abc import Mapping
from functools import cache

from ..dicom import dictionary

_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")


def attribute_tag(key: str) -> str | None:
    """The tag, as eight upper-case hex digits, that `key` names; None if it names none.

    Keywords are case-sensitive. Digits with an even group have to be in the dictionary of PS3.6; with an odd group
    they are a private attribute, whichever it is.
    """
    if not _HEX_TAG.fullmatch(key):
        return _keywords().get(key)
    tag = key.upper()
    return tag if is_private(tag) or dictionary_vr(tag) else None


def dictionary_vr(tag: str) -> str | None:
    """The VR that PS3.6 gives a standard attribute, the first where it allows several; None for one that it lacks."""
    vr = dictionary.vr(int(tag, 16))
    return vr.split(" or ")[0] if vr else None


def attribute_name(tag: str) -> str:
    """The keyword of an attribute, or its digits if it has none."""
    entry = dictionary.entry(int(tag, 16))
    return (entry[4] if entry else "") or tag


def is_private(tag: str) -> bool:
    """Whether the group is odd (PS3.5 7.8)."""
    return int(tag[3], 16) % 2 == 1


@cache
def _keywords() -> Mapping[str, str]:
    return {entry[4]: f"{tag:08X}" for tag, entry in dictionary.public().items() if entry[4]}
