"""Writing a data set that differs in some elements: what stays the same is copied byte by byte (PLT-74).

Lengths of sequences, items and groups are made right where something changed, and are left alone where nothing did.
Nothing recurses: what is open lies on a stack.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import pack

from .charset_encoding import UNICODE
from .charsets import CharacterSet, character_set
from .data_set import PIXELS
from .file_meta import VR_CODES
from .implicit_vr import Scope
from .pieces import Pieces
from .recode import element_header, item_header
from .scan import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_FORM,
    Buffer,
    Element,
    Encoding,
    Malformed,
    elements,
    item_encoding,
    items,
)

CHARACTER_SET = 0x00080005

MOST_SHORT_BYTES = 0xFFFE
"""Bytes of a value whose length takes 16 bits; lengths are even."""

_TEXT = frozenset((b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UT"))
"""VRs whose bytes depend on Specific Character Set (PS3.5 6.1.2.2)."""

_FIRST_ITEM = b"\xfe\xff\x00\xe0"


class Lossy(ValueError):
    """A value cannot be written otherwise without being changed."""


class ElementWriter:
    """Writes the elements of one data set or item, in their order, and keeps its group lengths right."""

    def __init__(self, buffer: Buffer, encoding: Encoding) -> None:
        self.pieces = Pieces()
        self.changed = False
        self._buffer = buffer
        self._encoding = encoding
        self._group = -1
        self._group_changed = False
        self._length_at: tuple[int, int] | None = None

    def copy(self, element: Element) -> None:
        """An element as it is."""
        self._begin(element.tag)
        if element.tag & 0xFFFF == 0 and element.end - element.value == 4:
            self.pieces.copy(element.start, element.value)
            number = self.pieces.put(bytes(self._buffer[element.value : element.end]))
            self._length_at = number, self.pieces.size
        else:
            self.pieces.copy(element.start, element.next)

    def put(self, tag: int, vr: bytes, value: bytes) -> None:
        """An element with another value, or a new one; raises `Lossy` if the value is too long for its VR."""
        if not self._encoding.implicit and vr not in LONG_FORM and len(value) > MOST_SHORT_BYTES:
            raise Lossy(f"{len(value)} bytes in {tag:08X}")
        self._begin(tag, changes=True)
        self.pieces.put(element_header(tag, vr, len(value), self._encoding) + value)

    def put_sequence(self, element: Element, content: Pieces) -> None:
        """A sequence with other items."""
        self._begin(element.tag, changes=True)
        if element.defined:
            self.pieces.put(element_header(element.tag, element.vr, content.size, self._encoding))
        else:
            self.pieces.copy(element.start, element.value)
        self.pieces.extend(content)
        self.pieces.copy(element.end, element.next)

    def close(self) -> None:
        """To be called behind the last element."""
        self._begin(-1)

    def _begin(self, tag: int, *, changes: bool = False) -> None:
        if tag >> 16 != self._group:
            self._settle_group()
            self._group, self._group_changed = tag >> 16, False
        self._group_changed |= changes
        self.changed |= changes

    def _settle_group(self) -> None:
        if self._length_at is not None and self._group_changed:
            number, start = self._length_at
            self.pieces.replace(number, pack(self._encoding.order + "L", self.pieces.size - start))
        self._length_at = None


@dataclass(slots=True)
class _Items:
    """A sequence that is being rewritten."""

    element: Element
    encoding: Encoding
    rest: Iterator[Element]
    pieces: Pieces
    changed: bool = False


@dataclass(slots=True)
class _DataSet:
    """A data set that is being rewritten: all of it (without an `item`), or an item."""

    item: Element | None
    encoding: Encoding
    rest: Iterator[Element]
    writer: ElementWriter
    scope: Scope
    characters: CharacterSet
    around: CharacterSet


class UnicodeWriter:
    """Writes elements with their text in UTF-8, also inside sequences, whose own character sets give way to it.

    Raises `Lossy` for text that cannot be decoded, and `Malformed`.
    """

    def __init__(self, buffer: Buffer, encoding: Encoding, writer: ElementWriter, characters: CharacterSet) -> None:
        self._buffer = buffer
        self._top = _DataSet(None, encoding, iter(()), writer, Scope(), characters, characters)

    def copy(self, element: Element) -> None:
        """An element of the whole data set, with all that nests in it. Its Specific Character Set is not for here."""
        stack: list[_DataSet | _Items] = []
        self._element(element, self._top, stack)
        while stack:
            inmost = stack[-1]
            inner = next(inmost.rest, None)
            if inner is None:
                self._close(stack)
            elif isinstance(inmost, _Items):
                stack.append(self._item(inner, inmost, self._around(stack)))
            else:
                self._element(inner, inmost, stack)

    def _element(self, element: Element, owner: _DataSet, stack: "list[_DataSet | _Items]") -> None:
        inside = self._items(element, owner)
        if inside is not None:
            stack.append(inside)
            return
        vr = self._vr(element, owner)
        if element.tag == CHARACTER_SET:
            value = bytes(self._buffer[element.value : element.end])
            owner.characters = character_set(value, owner.around)
            owner.writer.put(CHARACTER_SET, b"CS", UNICODE)
        elif vr in _TEXT:
            self._text(element, vr, owner)
        else:
            owner.writer.copy(element)

    def _text(self, element: Element, vr: bytes, owner: _DataSet) -> None:
        if not element.defined:
            raise Malformed(f"{element.tag:08X} of undefined length")
        value = bytes(self._buffer[element.value : element.end])
        owner.scope.note(element.tag, value)
        text = (owner.characters.name if vr == b"PN" else owner.characters.text)(value)
        if "\ufffd" in text:
            raise Lossy(f"text in {element.tag:08X} that cannot be decoded")
        content = text.encode()
        if content == value:
            owner.writer.copy(element)
        else:
            owner.writer.put(element.tag, element.vr or vr, padded(content))

    def _vr(self, element: Element, owner: _DataSet) -> bytes:
        """The VR by which metadata reads the element."""
        return element.vr if element.vr not in (b"", b"UN") else owner.scope.vr(element.tag)

    def _items(self, element: Element, owner: _DataSet) -> _Items | None:
        """The element as a sequence that is to be gone through; None if it holds something else."""
        vr = self._vr(element, owner)
        unknown = element.vr == b"UN"
        if not element.defined and (unknown or vr == b"UN") and element.tag not in PIXELS:
            vr = b"SQ"
        if vr != b"SQ" or element.value == element.end:
            return None
        if not element.vr and not owner.encoding.implicit:
            raise Malformed(f"{element.tag:08X} without a value representation")
        if not unknown:
            inside = item_encoding(element, owner.encoding)
            return _Items(element, inside, items(self._buffer, element, owner.encoding), Pieces())
        if element.defined and bytes(self._buffer[element.value : element.value + 4]) != _FIRST_ITEM:
            return None
        # A UN holds implicit little endian, whatever is around it (PS3.5 6.2.2); some writers do not know.
        inside = EXPLICIT_LITTLE if self._begins_explicit(element) else IMPLICIT_LITTLE
        return _Items(element, inside, items(self._buffer, element._replace(vr=b"SQ"), inside), Pieces())

    def _begins_explicit(self, sequence: Element) -> bool:
        """Whether the first element of the first item has a VR."""
        return bytes(self._buffer[sequence.value + 12 : sequence.value + 14]) in VR_CODES

    def _item(self, item: Element, sequence: _Items, around: _DataSet) -> _DataSet:
        rest = elements(self._buffer, item.value, item.end, sequence.encoding)
        writer = ElementWriter(self._buffer, sequence.encoding)
        characters = around.characters
        return _DataSet(item, sequence.encoding, rest, writer, around.scope.inner(), characters, characters)

    def _around(self, stack: "list[_DataSet | _Items]") -> _DataSet:
        """The data set that holds the sequence on top."""
        owner = stack[-2] if len(stack) > 1 else self._top
        assert isinstance(owner, _DataSet)
        return owner

    def _close(self, stack: "list[_DataSet | _Items]") -> None:
        closed = stack.pop()
        if isinstance(closed, _Items):
            owner = stack[-1] if stack else self._top
            assert isinstance(owner, _DataSet)
            if closed.changed:
                owner.writer.put_sequence(closed.element, closed.pieces)
            else:
                owner.writer.copy(closed.element)
            return
        sequence, item = stack[-1], closed.item
        assert isinstance(sequence, _Items)
        assert item is not None
        closed.writer.close()
        if not closed.writer.changed:
            sequence.pieces.copy(item.start, item.next)
            return
        sequence.changed = True
        if item.defined:
            sequence.pieces.put(item_header(closed.writer.pieces.size, closed.encoding))
        else:
            sequence.pieces.copy(item.start, item.value)
        sequence.pieces.extend(closed.writer.pieces)
        sequence.pieces.copy(item.end, item.next)


def padded(content: bytes) -> bytes:
    """Text of even length: with a space more, or with one less where there are spaces at the end."""
    if len(content) % 2 == 0:
        return content
    return content[:-1] if content.endswith(b" ") else content + b" "
