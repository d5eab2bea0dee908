"""The values of an element as the texts that validation judges (STO-71, STO-73)."""

import re
from typing import NamedTuple

from .charsets import CharacterSet

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
CONTROL_BUT_ESCAPE = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f-\x9f]")

UNDIVIDED = frozenset(("LT", "ST", "UR", "UT"))
"""VRs in which a backslash separates nothing."""

NUL_IS_PADDING = frozenset(("AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"))
"""VRs whose values are judged without NULs at their end (STO-73)."""

_TEXT = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))


class ValueTexts(NamedTuple):
    """The values, none if there is nothing but padding. `joined`: several that end in NULs are judged as one text."""

    values: tuple[str, ...]
    joined: bool = False


def value_texts(vr: str, value: bytes, characters: CharacterSet) -> ValueTexts:
    """The values of an element with a string VR, without the padding at the end of the whole."""
    text = _decoded(vr, value, characters).rstrip(" ")
    nuls = vr in NUL_IS_PADDING and text.endswith("\0")
    if nuls:
        text = text.rstrip(" \0")
    if not text:
        return ValueTexts(())
    if vr in UNDIVIDED or "\\" not in text:
        return ValueTexts((text,))
    if nuls and vr != "UI":
        return ValueTexts((text,), joined=True)
    return ValueTexts(tuple(text.split("\\")))


def _decoded(vr: str, value: bytes, characters: CharacterSet) -> str:
    if vr == "PN":
        return characters.name(value)
    return characters.text(value) if vr in _TEXT else value.decode("latin-1")
