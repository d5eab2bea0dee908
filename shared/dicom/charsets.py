"""Specific Character Set: text as Unicode (PS3.3 C.12.1.1.2, PS3.5 6.1; RET-69).

Nothing here raises: terms that nobody knows count as absent, bytes that cannot be decoded become U+FFFD.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import methodcaller

Decode = Callable[[bytes], str]

_ESCAPE = b"\x1b"

_SINGLE_BYTE = {
    "6": "latin-1", "100": "latin-1", "101": "iso8859-2", "109": "iso8859-3", "110": "iso8859-4", "144": "iso8859-5",
    "127": "iso8859-6", "126": "iso8859-7", "138": "iso8859-8", "148": "iso8859-9", "203": "iso8859-15",
    "13": "shift_jis", "166": "iso8859-11",
}  # fmt: skip
"""Registration number to codec. Bytes above 7F in a set that is not declared at all are read as Latin-1."""

_MULTI_BYTE = {"87": "iso2022_jp", "159": "iso2022_jp_2", "149": "euc_kr", "58": "gb2312"}

_ALONE = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
"""Terms without code extensions (PS3.3 C.12.1.1.2): nothing may stand beside them."""

_ESCAPES: tuple[tuple[bytes, str, bool], ...] = (
    (b"(B", "latin-1", False),
    (b"(J", "shift_jis", False),
    (b")I", "shift_jis", False),
    (b"$B", "iso2022_jp", True),
    (b"$(D", "iso2022_jp_2", True),
    (b"$)C", "euc_kr", False),
    (b"$)A", "gb2312", False),
    (b"-A", "latin-1", False),
    (b"-B", "iso8859-2", False),
    (b"-C", "iso8859-3", False),
    (b"-D", "iso8859-4", False),
    (b"-L", "iso8859-5", False),
    (b"-G", "iso8859-6", False),
    (b"-F", "iso8859-7", False),
    (b"-H", "iso8859-8", False),
    (b"-M", "iso8859-9", False),
    (b"-b", "iso8859-15", False),
    (b"-T", "iso8859-11", False),
)
"""Escape sequences of PS3.3 tables C.12-3 and C.12-4, the codec of what follows, and whether that wants them itself.

The sets of two bytes in G0 (with the escape sequence) have 5C in the middle of characters; their codecs consume it.
"""

_TEXT_DELIMITERS = re.compile(rb"[\\\r\n\t\f]")
_NAME_DELIMITERS = re.compile(rb"[\\\r\n\t\f^=]")
"""What ends the reach of an escape sequence (PS3.5 6.1.2.5.3), in text and in person names."""


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """How the text of a data set is decoded: of LO, LT, SH, ST, UC and UT, and of PN."""

    text: Decode
    name: Decode


def _single(codec: str) -> CharacterSet:
    decode: Decode = methodcaller("decode", codec, "replace")
    return CharacterSet(decode, decode)


DEFAULT = _single("latin-1")
"""Without Specific Character Set."""


def character_set(value: bytes, around: CharacterSet = DEFAULT) -> CharacterSet:
    """The character set that a value of (0008,0005) declares; `around` if it has no term that is known."""
    return _declared(value) or around


@lru_cache(maxsize=256)
def _declared(value: bytes) -> CharacterSet | None:
    terms = [_corrected(term) for term in value.decode("latin-1").rstrip(" \0").split("\\")]
    if terms[0] in _ALONE:
        return _single(_ALONE[terms[0]])
    codecs = [codec for codec in map(_codec, terms) if codec]
    if not codecs:
        return None
    first = _codec(terms[0]) or "latin-1"
    if len(codecs) == 1 and not any(term.startswith("ISO 2022") for term in terms):
        return _single(first)
    # A set of two bytes cannot come first (PS3.3 C.12.1.1.2); until it is called in, the text is ASCII.
    initial = "latin-1" if first in ("iso2022_jp", "iso2022_jp_2") else first
    return CharacterSet(
        partial(_decode_extended, initial, _TEXT_DELIMITERS), partial(_decode_extended, initial, _NAME_DELIMITERS)
    )


def codecs_of(value: bytes) -> list[str | None]:
    """The codecs of the terms of a value of (0008,0005): None for terms that nobody knows, and for the default
    repertoire, which has nothing beyond ASCII."""
    terms = [_corrected(term) for term in value.decode("latin-1").rstrip(" \0").split("\\")]
    return [_ALONE.get(term) or (None if term.endswith("IR 6") else _codec(term)) for term in terms]


def _corrected(term: str) -> str:
    """`ISO IR nnn` and `ISO-IR nnn` are common slips for `ISO_IR nnn`."""
    term = term.strip(" ")
    return "ISO_IR " + term[7:] if term.startswith(("ISO IR ", "ISO-IR ")) else term


def _codec(term: str) -> str | None:
    if term.startswith("ISO_IR "):
        return _SINGLE_BYTE.get(term[7:])
    if term.startswith("ISO 2022 IR "):
        return _SINGLE_BYTE.get(term[12:]) or _MULTI_BYTE.get(term[12:])
    return {"ISO 2022 GBK": "gbk", "ISO 2022 58": "gb2312"}.get(term)


def _decode_extended(initial: str, delimiters: re.Pattern[bytes], value: bytes) -> str:
    """Text with code extensions (ISO 2022): each escape sequence reaches to the next, or to a delimiter."""
    if _ESCAPE not in value:
        return value.decode(initial, "replace")
    first, *others = value.split(_ESCAPE)
    return first.decode(initial, "replace") + "".join(_decode_escaped(part, initial, delimiters) for part in others)


def _decode_escaped(part: bytes, initial: str, delimiters: re.Pattern[bytes]) -> str:
    for sequence, codec, wanted in _ESCAPES:
        if part.startswith(sequence):
            if wanted:
                return (_ESCAPE + part).decode(codec, "replace")
            part = part[len(sequence) :]
            delimiter = delimiters.search(part)
            end = delimiter.start() if delimiter else len(part)
            return part[:end].decode(codec, "replace") + part[end:].decode(initial, "replace")
    return (_ESCAPE + part).decode(initial, "replace")
