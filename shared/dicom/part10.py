"""The frame of a DICOM file: preamble, file meta information and where its data set lies (PS3.10 7.1)."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from . import transfer_syntaxes as ts
from .scan import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_FORM,
    UNDEFINED,
    Buffer,
    Element,
    Encoding,
    Malformed,
    header,
)

_CHUNK = 1024 * 1024
_TRANSFER_SYNTAX = 0x00020010


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set as it is encoded: `buffer[start:end]`. Of a deflated file, `buffer` is the inflated data set."""

    buffer: Buffer
    start: int
    end: int
    encoding: Encoding
    meta: tuple[Element, ...]


def open_data_set(content: Buffer, transfer_syntax: str, *, most_inflated: int) -> DataSet:
    """Finds the data set in a file, or in the beginning of one.

    `transfer_syntax` is the one by which the file was read when it was stored. A file may lack the preamble, or file
    meta information altogether; the group number decides where the latter ends. What is inflated to more than
    `most_inflated` bytes raises `Malformed`, as does everything that is no DICOM.
    """
    meta = tuple(_meta(content))
    start = meta[-1].next if meta else _meta_start(content)
    if transfer_syntax == ts.DEFLATED:
        buffer: Buffer = _inflate(memoryview(content)[start:], most_inflated)
        return DataSet(buffer, 0, len(buffer), EXPLICIT_LITTLE, meta)
    encoding = _encoding(content, start, transfer_syntax)
    return DataSet(content, start, len(content), encoding, meta)


def explicit_header(tag: int, vr: bytes, length: int) -> bytes:
    """The header of an element in Explicit VR Little Endian."""
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    if vr in LONG_FORM:
        return head + b"\0\0" + length.to_bytes(4, "little")
    return head + length.to_bytes(2, "little")


def with_meta(content: Buffer, meta: tuple[Element, ...], sop_class: bytes, instance: bytes, syntax: str) -> bytes:
    """Preamble and file meta information for a file in another transfer syntax.

    What the file says of itself stays, but for the transfer syntax and the length of the group. A file without file
    meta information gets what PS3.10 asks for; the two UIDs are those of its data set.
    """
    elements = {element.tag: (element.vr, bytes(content[element.value : element.end])) for element in meta}
    if not elements:
        elements[0x00020001] = b"OB", b"\0\1"
        elements[0x00020002] = b"UI", sop_class
        elements[0x00020003] = b"UI", instance
        elements[0x00020012] = b"UI", _padded(IMPLEMENTATION_CLASS)
    elements.pop(0x00020000, None)
    elements[_TRANSFER_SYNTAX] = b"UI", _padded(syntax)
    group = b"".join(explicit_header(tag, vr, len(value)) + value for tag, (vr, value) in sorted(elements.items()))
    return bytes(128) + b"DICM" + explicit_header(0x00020000, b"UL", 4) + len(group).to_bytes(4, "little") + group


IMPLEMENTATION_CLASS = "1.3.6.1.4.1.311.129"
"""Implementation Class UID of files that the service writes."""


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def _meta_start(content: Buffer) -> int:
    return 132 if bytes(content[128:132]) == b"DICM" else 0


def _meta(content: Buffer) -> Iterator[Element]:
    """The elements of group 0002, always Explicit VR Little Endian."""
    position = _meta_start(content)
    while bytes(content[position : position + 2]) == b"\x02\x00":
        tag, vr, value, length = header(content, position, len(content), EXPLICIT_LITTLE)
        if length == UNDEFINED or value + length > len(content):
            raise Malformed("file meta information is cut off")
        yield Element(tag, vr, position, value, value + length, value + length, True)
        position = value + length


def _encoding(content: Buffer, start: int, transfer_syntax: str) -> Encoding:
    """The encoding that the transfer syntax stands for, unless the first element belies it.

    Some writers put implicit data sets under an explicit transfer syntax and the other way round.
    """
    vr = bytes(content[start + 4 : start + 6])
    looks_explicit = len(vr) == 2 and vr.isalpha() and vr.isupper()
    if transfer_syntax == ts.IMPLICIT_LITTLE_ENDIAN:
        return EXPLICIT_LITTLE if looks_explicit and not _plausible_length(content, start) else IMPLICIT_LITTLE
    if len(vr) == 2 and not looks_explicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if transfer_syntax == ts.EXPLICIT_BIG_ENDIAN else EXPLICIT_LITTLE


def _plausible_length(content: Buffer, start: int) -> bool:
    """Whether the four bytes behind the first tag, read as a length, stay within the file."""
    return start + 8 + int.from_bytes(content[start + 4 : start + 8], "little") <= len(content)


def _inflate(deflated: Buffer, most: int) -> bytes:
    """The data set behind raw deflate (PS3.5 A.5), a chunk at a time so that a bomb is noticed in time."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces: list[bytes] = []
    size = 0
    pending: Buffer = deflated
    while not inflater.eof:
        try:
            piece = inflater.decompress(pending, _CHUNK)
        except zlib.error as error:
            raise Malformed("the deflated data set cannot be inflated") from error
        size += len(piece)
        if size > most:
            raise Malformed(f"the deflated data set holds more than {most} bytes")
        if not piece and not inflater.unconsumed_tail:
            break
        pieces.append(piece)
        pending = inflater.unconsumed_tail
    return b"".join(pieces)
