"""The beginning of a file: preamble, file meta information, transfer syntax and where its data set lies (PS3.10 7.1).

Files without preamble, with meta information alone, or without either are read too (STO-30).
"""

import mmap
import zlib
from dataclasses import dataclass
from struct import Struct

from . import dictionary
from . import transfer_syntaxes as ts
from .json_values import EMPTY
from .scan import LONG_FORM
from .uids import is_uid
from .unreadable import MAX_INFLATED_BYTES, Declined, UnreadableFile

Content = bytes | mmap.mmap

VR_CODES = frozenset(vr.encode("ascii") for vr in EMPTY) | LONG_FORM
"""The two bytes that stand for a VR in explicit encodings."""

_SHORTEST = 132
_CHUNK = 1024 * 1024
_TRANSFER_SYNTAX = 0x0010
_FIRST_GROUPS = (0x0004, 0x0008)
"""Groups with whose length a data set may begin."""

_SHORT = Struct("<HH2sH").unpack_from
_IMPLICIT = Struct("<HHL").unpack_from
_LONG = Struct("<L").unpack_from


@dataclass(frozen=True, slots=True)
class EncodedDataSet:
    """The data set of a file: `content[start:]`, which of a deflated file is the inflated data set.

    `implicit` and `order` (`<` or `>`) say how its elements are written, whatever the transfer syntax claims.
    `deflated_at` is the position of the deflated data set in the file, None in every other file.
    """

    content: Content
    start: int
    transfer_syntax: str
    implicit: bool
    order: str
    has_preamble: bool
    deflated_at: int | None


def open_file(content: Content, *, inflating: bool = True) -> EncodedDataSet:
    """Finds the data set of a file; raises `UnreadableFile` if it has none (STO-29, STO-30, STO-82).

    Raises `Declined` for a deflated one unless `inflating`.
    """
    if len(content) < _SHORTEST:
        raise UnreadableFile("shorter than a preamble")
    has_preamble = content[128:132] == b"DICM"
    syntax, start = _meta(content, 132 if has_preamble else 0)
    if syntax == ts.DEFLATED:
        if not inflating:
            raise Declined("a deflated data set")
        inflated = inflate(content, start)
        implicit, _ = _encoding(inflated, 0, syntax)
        return EncodedDataSet(inflated, 0, syntax, implicit, "<", has_preamble, start)
    implicit, order = _encoding(content, start, syntax)
    if syntax is None:
        if not _makes_sense(content, start, order):
            raise UnreadableFile("no data set begins here")
        syntax = ts.IMPLICIT_LITTLE_ENDIAN if implicit else _explicit_syntax(order)
    return EncodedDataSet(content, start, syntax, implicit, order, has_preamble, None)


def inflate(content: Content, start: int, most: int = MAX_INFLATED_BYTES) -> bytes:
    """The data set of a deflated file, which begins at `start` (PS3.5 A.5).

    Raises `UnreadableFile` if it is no deflate stream, is cut off, or holds more than `most` bytes; no more than that
    is ever in memory.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces: list[bytes] = []
    size = 0
    try:
        while not inflater.eof:
            pending = inflater.unconsumed_tail
            if not pending:
                pending = content[start : start + _CHUNK]
                start += len(pending)
            piece = inflater.decompress(pending, _CHUNK)
            if not pending and not piece:
                raise UnreadableFile("the deflated data set is cut off")
            size += len(piece)
            if size > most:
                raise UnreadableFile(f"the deflated data set holds more than {most} bytes")
            pieces.append(piece)
    except zlib.error as error:
        raise UnreadableFile("the data set cannot be inflated") from error
    return b"".join(pieces)


def _meta(content: Content, position: int) -> tuple[str | None, int]:
    """The transfer syntax, None if it is not told, and where group 0002 ends.

    What is no UID tells nothing, and has no place in the headers of an answer. The group number decides, not the group
    length. Some writers encode the group without VRs.
    """
    syntax = None
    while content[position : position + 2] == b"\x02\x00" and position + 12 <= len(content):
        _, number, code, length = _SHORT(content, position)
        if code in LONG_FORM:
            length = _LONG(content, position + 8)[0]
            position += 12
        elif code in VR_CODES:
            position += 8
        else:
            length = _IMPLICIT(content, position)[2]
            position += 8
        if position + length > len(content):
            raise UnreadableFile("the file meta information is cut off")
        if number == _TRANSFER_SYNTAX:
            told = content[position : position + length].decode("latin-1").rstrip(" \0")
            syntax = told if is_uid(told) else None
        position += length
    return syntax, position


def _encoding(content: Content, start: int, syntax: str | None) -> tuple[bool, str]:
    """Whether the data set is implicit, and its byte order.

    The first element shows whether VRs are there, and some files belie their transfer syntax. The byte order is what
    the syntax says; without one, a group number that is only sensible the other way round says big endian.
    """
    head = content[start : start + 6]
    if len(head) < 6:
        implicit = syntax == ts.IMPLICIT_LITTLE_ENDIAN
    else:
        # Two capitals are a VR, also one that is not known: as a length they would stand for more than 16 KB.
        implicit = not (head[4:6].isalpha() and head[4:6].isupper())
    if implicit or len(head) < 6:
        return implicit, ">" if syntax == ts.EXPLICIT_BIG_ENDIAN else "<"
    turned = syntax is None and head[0] == 0 and head[1] != 0
    return False, ">" if syntax == ts.EXPLICIT_BIG_ENDIAN or turned else "<"


def _explicit_syntax(order: str) -> str:
    return ts.EXPLICIT_BIG_ENDIAN if order == ">" else ts.EXPLICIT_LITTLE_ENDIAN


def _makes_sense(content: Content, start: int, order: str) -> bool:
    """Whether a data set that nothing announces begins with an element of the dictionary."""
    if start + 8 > len(content):
        return False
    group, number = Struct(order + "HH").unpack_from(content, start)
    if number == 0:
        return group in _FIRST_GROUPS
    return group != 0 and dictionary.entry(group << 16 | number) is not None
