"""The walk over the raw elements of a data set, which writes DICOM JSON directly (PS3.5 7.1, 7.5; RET-61 to RET-69).

It reads each header once and copies the values that metadata shows; pixel data and other bulk values are stepped over.
Sequences lie on a stack of the walk's own, so the depth of a file costs no recursion. What is unusual is `Declined`.
"""

from itertools import takewhile
from struct import error as StructError  # noqa: N812

from .charsets import DEFAULT, CharacterSet, character_set
from .coding import Coding, coding, first_unsigned, known_vr
from .data_set import PIXELS, DataSet, Extent, Raw
from .file_meta import EncodedDataSet
from .fragments import read_fragments
from .json_values import BULK, EMPTY, Element
from .scan import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED
from .unreadable import MAX_DEPTH, MAX_ELEMENTS, MAX_HEADER_BYTES, Declined, UnreadableFile

_CHARACTER_SET = 0x00080005
_PIXEL_REPRESENTATION = "00280103"
_FIRST_ITEM = b"\xfe\xff\x00\xe0"
_TOO_MANY = f"more than {MAX_ELEMENTS} elements"
_TOO_LARGE = f"more than {MAX_HEADER_BYTES} bytes outside bulk values"


class _CutOff(UnreadableFile):
    """The file ends in the middle of something."""


class _Scope:
    """A data set under way: the whole, or one item of a sequence. `end` bounds it also when a delimiter ends it."""

    __slots__ = ("around", "characters", "coding", "delimited", "elements", "end")

    def __init__(
        self, coding: Coding, end: int, delimited: bool, characters: CharacterSet, around: "_Scope | None"
    ) -> None:
        self.elements: dict[str, Element] = {}
        self.coding = coding
        self.end = end
        self.delimited = delimited
        self.characters = characters
        self.around = around

    def declare_characters(self, value: bytes) -> CharacterSet:
        """Takes a Specific Character Set, which holds for what follows it in the data set (RET-69)."""
        self.characters = character_set(value, self.around.characters if self.around else DEFAULT)
        return self.characters


class _Sequence:
    """A sequence under way, which `key` names in the data set `scope`."""

    __slots__ = ("coding", "delimited", "element", "end", "key", "scope")

    def __init__(self, key: str, coding: Coding, end: int, delimited: bool, scope: _Scope) -> None:
        self.element: Element = {"vr": "SQ"}
        self.key = key
        self.coding = coding
        self.end = end
        self.delimited = delimited
        self.scope = scope


def read_elements(encoded: EncodedDataSet, most: int | None = None) -> DataSet:
    """The data set of a file; raises `Declined` or `UnreadableFile`, also for more than `most` bytes outside bulk
    values, by default `MAX_HEADER_BYTES`.

    What comes behind the pixel data and is no element is passed over, and so is a rest too short to be one.
    """
    walk = _Walk(encoded, MAX_HEADER_BYTES if most is None else most)
    try:
        walk.run()
    except (Declined, _CutOff):
        if PIXELS.isdisjoint(walk.data_set.bulk):
            raise
        walk.leave_out_unfinished()
    walk.settle()
    return walk.data_set


class _Walk:
    """The state of one reading. The innermost data set or sequence is on top of `stack`."""

    def __init__(self, encoded: EncodedDataSet, most: int) -> None:
        self.content = encoded.content
        self.position = encoded.start
        self.limit = len(encoded.content)
        self.ceiling = encoded.start + most
        self.left = MAX_ELEMENTS
        self.whole = _Scope(coding(encoded.implicit, encoded.order), self.limit, False, DEFAULT, None)
        self.data_set = DataSet(self.whole.elements)
        self.stack: list[_Scope | _Sequence] = [self.whole]
        self.ambiguous: list[tuple[_Scope, str, int, bytes]] = []
        self.finished_nested = 0

    def run(self) -> None:
        stack = self.stack
        try:
            while stack:
                inmost = stack[-1]
                if isinstance(inmost, _Sequence):
                    self.next_item(inmost)
                elif inmost.coding.implicit:
                    _scan_implicit(self, inmost)
                else:
                    _scan_explicit(self, inmost)
        except StructError:
            raise _CutOff("the file ends in a header") from None

    # ------------------------------------------------------------ data sets and sequences

    def end_scope(self, scope: _Scope, position: int) -> None:
        """No elements are left in the bytes of `scope`. At the end of a file, a rest that is no header is padding."""
        rest = scope.end - position
        if rest >= 8:
            raise UnreadableFile(_TOO_LARGE)
        if scope.delimited or (rest and scope is not self.whole):
            raise self.overrun(scope)
        self.position = position
        self.close_scope(scope)

    def close_scope(self, scope: _Scope) -> None:
        self.stack.pop()
        keys = list(scope.elements)
        ascending = sorted(keys)
        if keys != ascending:
            elements = scope.elements.copy()
            scope.elements.clear()
            scope.elements.update((key, elements[key]) for key in ascending)

    def open_sequence(self, scope: _Scope, tag: int, coding: Coding, start: int, length: int) -> None:
        if len(self.stack) > 2 * MAX_DEPTH:
            raise UnreadableFile(f"more than {MAX_DEPTH} levels of sequences")
        delimited = length == UNDEFINED
        end = scope.end if delimited else start + length
        if end > scope.end:
            raise self.overrun(scope)
        if scope is self.whole:
            self.finished_nested = len(self.data_set.nested)
        sequence = _Sequence(f"{tag:08X}", coding, end, delimited, scope)
        scope.elements[sequence.key] = sequence.element
        self.note(scope, tag, "SQ", b"")
        self.position = start
        self.stack.append(sequence)

    def next_item(self, sequence: _Sequence) -> None:
        """Opens the item at the position, or ends the sequence."""
        if self.position >= sequence.end:
            if sequence.delimited:
                raise self.overrun(sequence)
            self.stack.pop()
            return
        self.left -= 1
        if self.left < 0:
            raise UnreadableFile(_TOO_MANY)
        group, number, length = sequence.coding.header(self.content, self.position)
        tag = group << 16 | number
        self.position += 8
        if tag == SEQUENCE_END and sequence.delimited:
            self.stack.pop()
            return
        if tag != ITEM:
            raise Declined(f"{tag:08X} in the place of an item")
        delimited = length == UNDEFINED
        end = sequence.end if delimited else self.position + length
        if end > sequence.end:
            raise self.overrun(sequence)
        around = sequence.scope
        item = _Scope(sequence.coding, end, delimited, around.characters, around)
        sequence.element.setdefault("Value", []).append(item.elements)
        self.stack.append(item)

    def overrun(self, holder: _Scope | _Sequence) -> Exception:
        """What it means that something goes on where what holds it ends: the file is cut off if that ends there too."""
        return _CutOff("the file is cut off") if holder.end >= self.limit else Declined("a length that does not fit")

    # ------------------------------------------------------------ elements that are more than a value

    def take(self, scope: _Scope, tag: int, vr: str, start: int, length: int) -> None:
        """Reads an element that wants more than its converter. `position` is then behind it, or `stack` has changed.

        `vr` is that of the file or of the dictionary, empty if neither has one.
        """
        if tag >> 16 == 0xFFFE:
            self.take_delimiter(scope, tag, start)
            return
        coding = scope.coding
        if vr in ("", "UN"):
            known = known_vr(tag, scope.elements)
            if length == UNDEFINED and (vr == "UN" or known == "UN") and tag not in PIXELS:
                known = "SQ"
            if vr == "UN" and known == "SQ":
                # Whatever the transfer syntax, a UN holds implicit little endian (PS3.5 6.2.2).
                coding = _implicit_little_endian()
                if length and self.content[start : start + 4] != _FIRST_ITEM:
                    known = "UN"
            vr = known
        if vr == "SQ":
            self.open_sequence(scope, tag, coding, start, length)
        elif vr in coding.convert or vr == "US or SS" or (vr == "US or OW" and length == 2):
            self.take_value(scope, tag, vr, start, length)
        else:
            self.step_over(scope, tag, vr if vr in BULK else "OW", start, length)

    def take_delimiter(self, scope: _Scope, tag: int, start: int) -> None:
        if tag != ITEM_END or not scope.delimited:
            raise Declined(f"{tag:08X} in the place of an element")
        self.position = start
        self.close_scope(scope)

    def take_value(self, scope: _Scope, tag: int, vr: str, start: int, length: int) -> None:
        if length == UNDEFINED:
            raise Declined("a value of undefined length")
        end = start + length
        if end > scope.end:
            raise self.overrun(scope)
        if end > self.ceiling:
            raise UnreadableFile(_TOO_LARGE)
        self.position = end
        if tag & 0xFFFF == 0:
            return
        value, key = self.content[start:end], f"{tag:08X}"
        if vr.startswith("US or"):
            self.ambiguous.append((scope, key, tag, value))
            scope.elements[key] = EMPTY["US"]
            vr = "US"
        else:
            scope.elements[key] = element = scope.coding.convert[vr](value, scope.characters)
            if vr == "SS":
                first_unsigned(tag, element)
        self.note(scope, tag, vr, value)
        if tag == _CHARACTER_SET:
            scope.declare_characters(value)

    def step_over(self, scope: _Scope, tag: int, vr: str, start: int, length: int) -> None:
        """Passes a bulk value. Pixel data may be cut off: the header is whole, and the frames show what is missing."""
        fragments = None
        end: int | None = start + length
        if length == UNDEFINED:
            fragments = read_fragments(self.content, start, scope.end, scope.coding.order)
            end = fragments.end
        pixels = tag in PIXELS and scope is self.whole
        if end is None or end > scope.end:
            if not pixels:
                raise Declined("no fragments") if end is None else self.overrun(scope)
            end = scope.end
        if scope is self.whole:
            self.data_set.bulk[tag] = Extent(start, length, fragments)
        self.note(scope, tag, vr, b"")
        self.ceiling += end - start
        self.position = end

    def note(self, scope: _Scope, tag: int, vr: str, value: bytes) -> None:
        self.noted(scope).append((tag, vr, value, scope.characters))

    def noted(self, scope: _Scope) -> list[Raw]:
        return self.data_set.top if scope is self.whole else self.data_set.nested

    # ------------------------------------------------------------ the end

    def leave_out_unfinished(self) -> None:
        """Drops the sequence that could not be read to its end."""
        if len(self.stack) > 1 and isinstance(self.stack[1], _Sequence):
            self.whole.elements.pop(self.stack[1].key, None)
            del self.data_set.nested[self.finished_nested :]
        del self.stack[1:]
        self.close_scope(self.whole)

    def settle(self) -> None:
        """What could not be told before all was read: US or SS (STO-68). Drops what is no part of a data set."""
        for scope, key, tag, value in self.ambiguous:
            vr = "SS" if _is_signed(scope) else "US"
            scope.elements[key] = element = scope.coding.convert[vr](value, scope.characters)
            first_unsigned(tag, element)
        elements = self.data_set.elements
        for key in tuple(takewhile("0003".__gt__, elements)):
            if key.startswith("0002"):
                del elements[key]


def _scan_explicit(walk: _Walk, scope: _Scope) -> None:
    """Reads elements until `scope` ends or a sequence begins. Everything in the loop is there for its speed."""
    content, position, elements = walk.content, walk.position, scope.elements
    by_code, by_tag = scope.coding.by_code, scope.coding.by_tag
    short, long = scope.coding.short, scope.coding.long
    characters = scope.characters
    note = walk.noted(scope).append
    end = min(scope.end, walk.ceiling)
    for left in range(walk.left, 0, -1):
        if position + 8 > end:
            walk.left = left
            walk.end_scope(scope, position)
            return
        group, number, code, length = short(content, position)
        tag = group << 16 | number
        try:
            vr, convert, wide = by_code[code]
        except KeyError:
            if group != 0xFFFE:
                raise Declined(f"{tag:08X} has no value representation") from None
            vr, convert, wide = "", None, False
        start = position + 8
        if wide:
            length = long(content, start)[0]
            start += 4
        stop = start + length
        if convert is None or stop > end or not number:
            walk.left = left - 1
            walk.take(scope, tag, vr, start, length)
            if not walk.stack or walk.stack[-1] is not scope:
                return
            position, characters = walk.position, scope.characters
            end = min(scope.end, walk.ceiling)
            continue
        position = stop
        value = content[start:stop]
        try:
            key = by_tag[tag][2]
        except KeyError:
            key = f"{tag:08X}"
        elements[key] = convert(value, characters)
        note((tag, vr, value, characters))
        if tag == _CHARACTER_SET:
            characters = scope.declare_characters(value)
    raise UnreadableFile(_TOO_MANY)


def _scan_implicit(walk: _Walk, scope: _Scope) -> None:
    """As `_scan_explicit`, for elements without VR."""
    content, position, elements = walk.content, walk.position, scope.elements
    header, lookup = scope.coding.header, scope.coding.by_tag.get
    characters = scope.characters
    note = walk.noted(scope).append
    end = min(scope.end, walk.ceiling)
    for left in range(walk.left, 0, -1):
        if position + 8 > end:
            walk.left = left
            walk.end_scope(scope, position)
            return
        group, number, length = header(content, position)
        tag = group << 16 | number
        vr, convert, key = lookup(tag, _UNKNOWN)
        start = position + 8
        stop = start + length
        if convert is None or stop > end or not number:
            walk.left = left - 1
            walk.take(scope, tag, vr, start, length)
            if not walk.stack or walk.stack[-1] is not scope:
                return
            position, characters = walk.position, scope.characters
            end = min(scope.end, walk.ceiling)
            continue
        position = stop
        value = content[start:stop]
        elements[key] = convert(value, characters)
        note((tag, vr, value, characters))
        if tag == _CHARACTER_SET:
            characters = scope.declare_characters(value)
    raise UnreadableFile(_TOO_MANY)


_UNKNOWN = ("", None, "")


def _implicit_little_endian() -> Coding:
    return coding(True, "<")


def _is_signed(scope: _Scope | None) -> bool:
    """Pixel Representation of the data set, or of the nearest around it that has one (STO-68)."""
    while scope is not None:
        values = scope.elements.get(_PIXEL_REPRESENTATION, {}).get("Value")
        if values:
            return bool(values[0] == 1)
        scope = scope.around
    return False
