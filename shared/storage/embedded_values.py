"""How the embedded store writes property values down, and in which order it keeps strings.

The properties of a row are one JSON text. What JSON cannot say is an object in it: `{"b": base64}` a short binary
value, `{"b": [offset, length]}` a long one, which lies in a column of its own, and `{"f": name}` a float that is no
number. All else stands as it is: orjson reads and writes 64-bit integers and floats exactly.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ..errors import DicomServiceError
from .primitives import Value

LONGEST_INLINE = 256
"""Bytes of a binary value that is kept within the JSON text."""

_SPECIAL = '":{"'
"""In the JSON text of a row without it, all values stand as they are: within strings, quotes are escaped."""

_INT64 = range(-(2**63), 2**63)
_NUMBERS_APART = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class BinaryNeeded(Exception):
    """A property that is asked for lies in the binary column, which was not read; `name` is the property."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def encode(values: Mapping[str, Value]) -> tuple[str, bytes | None]:
    """The JSON text, and the binary column."""
    plain: dict[str, Any] = dict(values)
    pieces: list[bytes] = []
    offset = 0
    for name, value in values.items():
        kind = type(value)
        if kind is str or kind is bool:
            continue
        if kind is int:
            if value not in _INT64:
                raise DicomServiceError(f"property {name} is no 64-bit integer")
        elif isinstance(value, bytes):
            if len(value) <= LONGEST_INLINE:
                plain[name] = {"b": base64.b64encode(value).decode()}
            else:
                plain[name] = {"b": [offset, len(value)]}
                pieces.append(value)
                offset += len(value)
        elif isinstance(value, float):
            if value - value != 0:
                plain[name] = {"f": repr(value)}
        else:
            raise DicomServiceError(f"property {name} has no type that a row can keep")
    try:
        data = orjson.dumps(plain).decode()
    except TypeError as error:  # half of a surrogate pair
        raise DicomServiceError(f"a property cannot be kept: {error}") from None
    return data, (b"".join(pieces) if pieces else None)


def decode(data: str, binary: bytes | None) -> dict[str, Value]:
    """All values of a row, whose binary column was read: it is None only if the row has none."""
    values: dict[str, Any] = orjson.loads(data)
    if _SPECIAL in data:
        resolve(values, values, binary)
    return values


def resolve(values: dict[str, Any], names: Iterable[str], binary: bytes | None) -> None:
    """Puts what JSON cannot say into its place, in the properties `names`.

    Raises `BinaryNeeded` if one of them lies in the binary column and `binary` is None.
    """
    for name in names:
        value = values.get(name)
        if type(value) is dict:
            values[name] = _special(name, value, binary)


def _special(name: str, value: Mapping[str, Any], binary: bytes | None) -> Value:
    if "f" in value:
        return _NUMBERS_APART[value["f"]]
    content = value["b"]
    if isinstance(content, str):
        return binascii.a2b_base64(content)
    if binary is None:
        raise BinaryNeeded(name)
    offset, length = content
    return binary[offset : offset + length]


# ---------------------------------------------------------------- order of strings

# SQLite compares text by code points. Azure Storage compares UTF-16 code units, in which the characters above U+FFFF
# come before U+E000 to U+FFFF. So these are written behind U+10FFFF, the last of all, which itself becomes a pair, too.

_LAST = "\U0010ffff"
_LATE = re.compile(f"[\ue000-\uffff{_LAST}]")
_WRITTEN = re.compile(f"{_LAST}(.)", re.DOTALL)
_LAST_ITSELF = "\x01"


def in_order(text: str) -> str:
    """`text` in a form that SQLite sorts as UTF-16 code units would; most text is unchanged."""
    if text.isascii() or not _LATE.search(text):
        return text
    return _LATE.sub(lambda found: _LAST + (_LAST_ITSELF if found[0] == _LAST else found[0]), text)


def as_given(text: str) -> str:
    """The inverse of `in_order`."""
    if text.isascii() or _LAST not in text:
        return text
    return _WRITTEN.sub(lambda found: _LAST if found[1] == _LAST_ITSELF else found[1], text)


def behind_prefix(prefix: str) -> str:
    """The end of the half-open range of all strings in order that begin with `prefix`, itself in order."""
    return prefix + _LAST + _LAST


def sorts_alike(text: str) -> bool:
    """Whether every other string compares with `text` by code points as it does by UTF-16 code units, and whether
    SQLite's JSON functions can tell it from any other."""
    return not _BEYOND.search(text)


_BEYOND = re.compile("[\0\ud800-\U0010ffff]")
