"""A data set written anew in Explicit VR Little Endian, value by value as it was (PS3.5 7.1, A.1 to A.3; RET-37).

Values are copied, never read: what is invalid stays as it is. Big endian values are turned round by the width that
their VR has, implicit ones get the VR that the dictionaries know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import pack

from .byte_order import swapped
from .implicit_vr import Scope
from .scan import (
    EXPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_FORM,
    SEQUENCE_END,
    UNDEFINED,
    Buffer,
    Element,
    Encoding,
    elements,
    item_encoding,
    items,
)

_WIDTHS = {
    b"AT": 2, b"OW": 2, b"SS": 2, b"US": 2, b"FL": 4, b"OF": 4, b"OL": 4, b"SL": 4, b"UL": 4,
    b"FD": 8, b"OD": 8, b"OV": 8, b"SV": 8, b"UV": 8,
}  # fmt: skip
"""Bytes of one value where their order matters."""


def element_header(tag: int, vr: bytes, length: int, encoding: Encoding = EXPLICIT_LITTLE) -> bytes:
    """The header of an element; `length` must have the room that its VR leaves for it, 16 or 32 bits."""
    if encoding.implicit:
        return _tag(tag, encoding) + pack(encoding.order + "L", length)
    if vr in LONG_FORM:
        return _tag(tag, encoding) + vr + b"\0\0" + pack(encoding.order + "L", length)
    return _tag(tag, encoding) + vr + pack(encoding.order + "H", length)


def item_header(length: int, encoding: Encoding = EXPLICIT_LITTLE) -> bytes:
    """The header of an item or fragment."""
    return _tag(ITEM, encoding) + pack(encoding.order + "L", length)


def sequence_delimiter() -> bytes:
    """What closes a sequence of undefined length in little endian encodings."""
    return _tag(SEQUENCE_END) + bytes(4)


@dataclass(slots=True)
class _Open:
    """A sequence or an item that is being written: what is left of it to read, and where its length belongs."""

    rest: Iterator[Element]
    is_item: bool
    encoding: Encoding
    scope: Scope
    length_at: int | None


class Recoder:
    """Writes elements of one data set into `out`, in their order.

    Group lengths (gggg,0000), if the data set has them, are made right for the new encoding.
    """

    def __init__(self, buffer: Buffer, encoding: Encoding, out: bytearray) -> None:
        self._buffer = buffer
        self._encoding = encoding
        self._out = out
        self._scope = Scope()
        self._group_length: tuple[int, int] | None = None

    def copy(self, element: Element) -> None:
        """Writes a top-level element as it is, in the new encoding; raises `Malformed`."""
        self._begin(element.tag)
        if self._encoding == EXPLICIT_LITTLE:
            self._out += self._buffer[element.start : element.next]
        else:
            self._recode(element)
        if element.tag & 0xFFFF == 0 and element.end - element.value == 4:
            self._group_length = element.tag >> 16, len(self._out)

    def put(self, tag: int, vr: bytes, value: bytes) -> None:
        """Writes a top-level element with another value."""
        self._begin(tag)
        self._out += element_header(tag, vr, len(value)) + value

    def pass_over(self, tag: int, size: int) -> None:
        """Leaves an element of `size` bytes, which comes next, to somebody else: what follows may be written apart."""
        self._begin(tag)
        self._close_group(size)

    def close(self) -> None:
        """To be called behind the last element."""
        self._close_group()

    def _close_group(self, elsewhere: int = 0) -> None:
        """Settles the group length of the group that was written last; `elsewhere` is what is not in `out` of it."""
        if self._group_length is not None:
            _, start = self._group_length
            length = min(len(self._out) - start + elsewhere, UNDEFINED)
            self._out[start - 4 : start] = length.to_bytes(4, "little")
            self._group_length = None

    def _begin(self, tag: int) -> None:
        if self._group_length is not None and self._group_length[0] != tag >> 16:
            self._close_group()

    def _recode(self, element: Element) -> None:
        """One element with all that nests in it, on a stack of its own."""
        stack: list[_Open] = []
        self._element(element, self._encoding, self._scope, stack)
        while stack:
            top = stack[-1]
            inner = next(top.rest, None)
            if inner is None:
                self._close(stack.pop())
            elif top.is_item:
                self._element(inner, top.encoding, top.scope, stack)
            else:
                self._out += _tag(ITEM)
                rest = elements(self._buffer, inner.value, inner.end, top.encoding)
                stack.append(_Open(rest, True, top.encoding, top.scope.inner(), self._length(inner.defined)))

    def _element(self, element: Element, encoding: Encoding, scope: Scope, stack: list[_Open]) -> None:
        vr = element.vr or scope.vr(element.tag)
        if vr == b"SQ" or not element.defined:
            self._out += element_header(element.tag, b"SQ", 0)[:-4]
            rest = items(self._buffer, element, encoding)
            inside = item_encoding(element, encoding)
            stack.append(_Open(rest, False, inside, scope, self._length(element.defined)))
            return
        value = bytes(self._buffer[element.value : element.end])
        if encoding.big_endian and vr in _WIDTHS:
            value = swapped(value, _WIDTHS[vr])
        scope.note(element.tag, value)
        if len(value) > 0xFFFF and vr not in LONG_FORM:
            vr = b"UN"  # PS3.5 6.2.2: the length has no room
        self._out += element_header(element.tag, vr, len(value)) + value

    def _length(self, defined: bool) -> int | None:
        """Writes room for a length; where it is, or None for an undefined one."""
        self._out += UNDEFINED.to_bytes(4, "little")
        return len(self._out) if defined else None

    def _close(self, closed: _Open) -> None:
        if closed.length_at is None:
            self._out += _tag(ITEM_END if closed.is_item else SEQUENCE_END) + bytes(4)
        else:
            length = len(self._out) - closed.length_at
            self._out[closed.length_at - 4 : closed.length_at] = length.to_bytes(4, "little")


def _tag(tag: int, encoding: Encoding = EXPLICIT_LITTLE) -> bytes:
    return pack(encoding.order + "HH", tag >> 16, tag & 0xFFFF)
