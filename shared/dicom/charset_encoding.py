"""Text as the bytes of a Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1), where it fits."""

import re

from .charsets import character_set, codecs_of

UNICODE = b"ISO_IR 192"
"""The value of Specific Character Set into which all text fits."""

_NAME_DELIMITERS = re.compile(r"([\\^=])")
_TEXT_DELIMITERS = re.compile(r"(\\)")

_ONE_BYTE = "shift_jis"
"""Codec of JIS X 0201, which also knows characters of two bytes that are not in that set."""

_SELF_ESCAPING = "iso2022_jp"
_ESCAPES = {
    "iso8859-2": b"\x1b-B", "iso8859-3": b"\x1b-C", "iso8859-4": b"\x1b-D", "iso8859-5": b"\x1b-L",
    "iso8859-6": b"\x1b-G", "iso8859-7": b"\x1b-F", "iso8859-8": b"\x1b-H", "iso8859-9": b"\x1b-M",
    "iso8859-15": b"\x1b-b", "iso8859-11": b"\x1b-T", "latin-1": b"\x1b-A",
    "euc_kr": b"\x1b$)C", "gb2312": b"\x1b$)A", _SELF_ESCAPING: b"", _ONE_BYTE: b"\x1b)I",
}  # fmt: skip
"""What calls in a set that is not the first one, by its codec; of others nothing is written."""


def encoded(text: str, declared: bytes, *, name: bool) -> bytes | None:
    """`text`, of one value or several, in the character set that a value of (0008,0005) declares.

    None if it does not fit: if a reader of the declared set would see other text. `name`: it is of VR PN.
    """
    if text.isascii() and "\x1b" not in text:
        content = text.encode("ascii")
    else:
        delimiters = _NAME_DELIMITERS if name else _TEXT_DELIMITERS
        parts = [_part(part, declared) for part in delimiters.split(text)]
        if None in parts:
            return None
        content = b"".join(part for part in parts if part is not None)
    characters = character_set(declared)
    return content if (characters.name if name else characters.text)(content) == text else None


def _part(text: str, declared: bytes) -> bytes | None:
    """What stands between two delimiters, in one of the declared sets: none is mixed with others."""
    if text.isascii():
        return text.encode("ascii")
    for place, codec in enumerate(codecs_of(declared)):
        if codec is None or (place == 0 and codec == _SELF_ESCAPING) or (place and codec not in _ESCAPES):
            continue
        try:
            content = text.encode(codec)
        except UnicodeEncodeError:
            continue
        if codec != _ONE_BYTE or len(content) == len(text):
            return (_ESCAPES[codec] if place else b"") + content
    return None
