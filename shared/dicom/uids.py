"""Unique identifiers (PS3.5 9.1) by the rule that the service applies to paths and required attributes."""

import re

from ..errors import InvalidIdentifier

_UID = re.compile(r"[0-9.]{0,63}[0-9]")


def is_uid(text: str) -> bool:
    """At most 64 characters, digits and dots, the last one a digit; leading zeros and doubled dots pass (STO-62)."""
    return _UID.fullmatch(text) is not None


def checked_uid(text: str, name: str) -> str:
    """`text` without trailing spaces; raises `InvalidIdentifier` for `name` if that is no UID (RET-02)."""
    uid = text.rstrip(" ")
    if not is_uid(uid):
        raise InvalidIdentifier(name)
    return uid
