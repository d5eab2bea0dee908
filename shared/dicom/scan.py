"""Finding elements in an encoded data set without looking into their values (PS3.5 7.1, 7.5, A.1 to A.3).

What needs a few attributes, or the bytes of a data set in another encoding, starts here. Nothing recurses, nothing is
copied, and whatever the bytes say, a walk goes forward only: it ends, or it raises `Malformed`.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

Buffer = bytes | bytearray | memoryview | mmap.mmap

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010

LONG_FORM = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Value representations whose length takes 32 bits (PS3.5 7.1.2)."""


class Malformed(ValueError):
    """The bytes are no data set in the encoding that they are said to have."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written: without their VR, and in which byte order."""

    implicit: bool = False
    big_endian: bool = False

    @property
    def order(self) -> str:
        """Byte order in the notation of `struct`."""
        return ">" if self.big_endian else "<"


EXPLICIT_LITTLE = Encoding()
IMPLICIT_LITTLE = Encoding(implicit=True)
EXPLICIT_BIG = Encoding(big_endian=True)


class Element(NamedTuple):
    """Where one element is: its header from `start`, its value from `value` to `end`, the next element at `next`.

    `vr` is empty in implicit encodings and for items. Without a defined length `end` is where the closing delimiter
    begins, which is part of the element.
    """

    tag: int
    vr: bytes
    start: int
    value: int
    end: int
    next: int
    defined: bool


class _Reader(NamedTuple):
    header: Struct
    length: Struct


_READERS = {big: _Reader(Struct(order + "HH2sH"), Struct(order + "L")) for big, order in ((False, "<"), (True, ">"))}


def elements(buffer: Buffer, start: int, end: int, encoding: Encoding) -> Iterator[Element]:
    """The elements of one data set or item from `start` to `end`, top level only.

    Of Pixel Data in a file that was cut off behind its header only the header is there: it is given with what there
    is, and is the last. Raises `Malformed` when it is reached, not before.
    """
    position = start
    while position < end:
        tag, vr, value, length = header(buffer, position, end, encoding)
        if length == UNDEFINED:
            if tag == PIXEL_DATA and vr != b"SQ":
                stop, following = _fragments_end(buffer, value, end, encoding)
            else:
                stop, following = _skip(buffer, value, end, _inside(vr, encoding), in_item=False)
        else:
            stop = following = value + length
            if stop > end:
                if tag != PIXEL_DATA:
                    raise Malformed(f"element {tag:08X} ends beyond its data set")
                stop = following = end
        yield Element(tag, vr, position, value, stop, following, length != UNDEFINED)
        position = following


def items(buffer: Buffer, sequence: Element, encoding: Encoding) -> Iterator[Element]:
    """The items of a sequence; each holds a data set in the `item_encoding` of the sequence."""
    inner = item_encoding(sequence, encoding)
    position = sequence.value
    while position < sequence.end:
        tag, _, value, length = header(buffer, position, sequence.end, inner)
        if tag != ITEM:
            raise Malformed(f"{tag:08X} in the place of an item")
        if length == UNDEFINED:
            stop, following = _skip(buffer, value, sequence.end, inner, in_item=True)
        else:
            stop = following = value + length
            if stop > sequence.end:
                raise Malformed("an item ends beyond its sequence")
        yield Element(tag, b"", position, value, stop, following, length != UNDEFINED)
        position = following


def header(buffer: Buffer, position: int, end: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
    """Tag, VR, position of the value and length of the element or item at `position`; raises `Malformed`."""
    if position + 8 > end:
        raise Malformed("an element header is cut off")
    reader = _READERS[encoding.big_endian]
    group, number, vr, length = reader.header.unpack_from(buffer, position)
    tag: int = group << 16 | number
    if encoding.implicit or group == 0xFFFE:
        return tag, b"", position + 8, reader.length.unpack_from(buffer, position + 4)[0]
    if vr not in LONG_FORM:
        if not (vr.isalpha() and vr.isupper()):
            raise Malformed(f"element {tag:08X} has no value representation")
        return tag, vr, position + 8, length
    if position + 12 > end:
        raise Malformed("an element header is cut off")
    return tag, vr, position + 12, reader.length.unpack_from(buffer, position + 8)[0]


def item_encoding(sequence: Element, encoding: Encoding) -> Encoding:
    """How the items of a sequence in a data set of `encoding` are written."""
    return encoding if sequence.defined else _inside(sequence.vr, encoding)


def _inside(vr: bytes, encoding: Encoding) -> Encoding:
    """The items of a UN of undefined length are implicit little endian (PS3.5 6.2.2)."""
    return IMPLICIT_LITTLE if vr == b"UN" else encoding


def _skip(buffer: Buffer, position: int, end: int, encoding: Encoding, *, in_item: bool) -> tuple[int, int]:
    """Walks to the delimiter of an undefined length, through whatever nests in it, with a stack of its own."""
    stack = [(in_item, encoding)]
    while True:
        inside_item, current = stack[-1]
        tag, vr, value, length = header(buffer, position, end, current)
        if tag == (ITEM_END if inside_item else SEQUENCE_END):
            stack.pop()
            if not stack:
                return position, value
            position = value
            continue
        if not inside_item and tag != ITEM:
            raise Malformed(f"{tag:08X} in the place of an item")
        if length == UNDEFINED:
            stack.append((not inside_item, _inside(vr, current) if inside_item else current))
            position = value
        else:
            position = value + length


def _fragments_end(buffer: Buffer, position: int, end: int, encoding: Encoding) -> tuple[int, int]:
    """Where the delimiter behind the fragments of encapsulated Pixel Data begins and ends (PS3.5 A.4).

    A file that ends before it is taken as it is.
    """
    while position + 8 <= end:
        tag, _, value, length = header(buffer, position, end, encoding)
        if tag == SEQUENCE_END:
            return position, value
        if tag != ITEM or length == UNDEFINED:
            raise Malformed(f"{tag:08X} in the place of a fragment")
        position = value + length
    return end, end
