"""DICOM files written byte by byte, so that tests depend on no writer's idea of what is right (PS3.5 7, PS3.10 7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import pack

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

LONG_FORM = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Encoded:
    """An element: its encoded value, or the items of a sequence. `length` overrides what the header says."""

    tag: int
    vr: str
    value: bytes | Sequence["Items"] = b""
    length: int | None = None


Items = Sequence[Encoded]


def text(tag: int, vr: str, value: str, codec: str = "latin-1") -> Encoded:
    """An element whose value is padded to even length, UI with NUL and all else with a space."""
    data = value.encode(codec)
    return Encoded(tag, vr, data + (b"\0" if vr == "UI" else b" ") * (len(data) % 2))


def words(tag: int, *values: int, order: str = "<", vr: str = "US") -> Encoded:
    return Encoded(tag, vr, pack(f"{order}{len(values)}{'h' if vr == 'SS' else 'H'}", *values))


def encode(elements: Iterable[Encoded], *, implicit: bool = False, order: str = "<", undefined: bool = False) -> bytes:
    """A data set. With `undefined`, sequences and items end with delimiters instead of having lengths."""
    return b"".join(_element(element, implicit, order, undefined) for element in elements)


def header(tag: int, vr: str, length: int, *, implicit: bool = False, order: str = "<") -> bytes:
    start = pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit or tag >> 16 == 0xFFFE:
        return start + pack(order + "L", length)
    if vr in LONG_FORM:
        return start + vr.encode() + b"\0\0" + pack(order + "L", length)
    return start + vr.encode() + pack(order + "H", length)


def part10(data_set: bytes, syntax: str | None = EXPLICIT, *, preamble: bytes = bytes(128)) -> bytes:
    """A file: preamble, `DICM`, file meta information and the data set."""
    return preamble + b"DICM" + meta(syntax) + data_set


def meta(syntax: str | None = EXPLICIT, *, group_length: int | None = None) -> bytes:
    """Group 0002; `group_length` replaces the true one."""
    elements = [Encoded(0x00020001, "OB", b"\0\1")]
    if syntax is not None:
        elements.append(text(0x00020010, "UI", syntax))
    group = encode(elements)
    length = len(group) if group_length is None else group_length
    return encode([Encoded(0x00020000, "UL", pack("<L", length))]) + group


def instance(*others: Encoded, leave_out: Iterable[int] = ()) -> list[Encoded]:
    """The five required attributes, and others that replace or join them; in ascending order of their tags."""
    required = [
        text(0x00080016, "UI", CT_IMAGE),
        text(0x00080018, "UI", "1.2.3.4"),
        text(0x00100020, "LO", "P1"),
        text(0x0020000D, "UI", "1.2"),
        text(0x0020000E, "UI", "1.2.3"),
    ]
    by_tag = {element.tag: element for element in (*required, *others)}
    return [by_tag[tag] for tag in sorted(by_tag) if tag not in set(leave_out)]


def file_of(*others: Encoded, leave_out: Iterable[int] = (), syntax: str = EXPLICIT) -> bytes:
    """A whole file with the required attributes and others, in one of the native encodings."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    data_set = encode(instance(*others, leave_out=leave_out), implicit=syntax == IMPLICIT, order=order)
    return part10(data_set, syntax)


def fragments(*contents: bytes, offset_table: bytes = b"", end: bool = True) -> bytes:
    """Encapsulated Pixel Data, header included (PS3.5 A.4)."""
    items = b"".join(header(0xFFFEE000, "", len(item)) + item for item in (offset_table, *contents))
    return header(0x7FE00010, "OB", UNDEFINED) + items + (header(0xFFFEE0DD, "", 0) if end else b"")


def _element(element: Encoded, implicit: bool, order: str, undefined: bool) -> bytes:
    value = element.value
    if not isinstance(value, bytes):
        value = b"".join(_item(item, implicit, order, undefined) for item in value)
        if undefined:
            value += header(0xFFFEE0DD, "", 0, order=order)
            return header(element.tag, element.vr, UNDEFINED, implicit=implicit, order=order) + value
    length = len(value) if element.length is None else element.length
    return header(element.tag, element.vr, length, implicit=implicit, order=order) + value


def _item(item: Items, implicit: bool, order: str, undefined: bool) -> bytes:
    content = encode(item, implicit=implicit, order=order, undefined=undefined)
    if undefined:
        return header(0xFFFEE000, "", UNDEFINED, order=order) + content + header(0xFFFEE00D, "", 0, order=order)
    return header(0xFFFEE000, "", len(content), order=order) + content
