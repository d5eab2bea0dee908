"""The fragments of encapsulated pixel data: where they are, without reading them (PS3.5 A.4)."""

import mmap
from array import array
from dataclasses import dataclass
from struct import Struct

from .scan import ITEM, SEQUENCE_END, UNDEFINED

Content = bytes | mmap.mmap

MAX_FRAGMENTS = 2_000_000
"""More than this are not looked at: the file is stored, its frames are not found."""

_HEADERS = {order: Struct(order + "HHL") for order in "<>"}


@dataclass(frozen=True, slots=True)
class Fragments:
    """Positions and lengths of fragments in the file, and the Basic Offset Table, encoded.

    The last fragment may end beyond the file. `end` is the position behind the sequence, None if that is not known
    because something else than fragments came.
    """

    offset_table: bytes
    positions: "array[int]"
    lengths: "array[int]"
    end: int | None


def read_fragments(content: Content, position: int, limit: int, order: str) -> Fragments:
    """The fragments from `position`, where the item with the offset table is, up to the delimiter or `limit`."""
    header = _HEADERS[order].unpack_from
    positions, lengths = array("Q"), array("I")
    offset_table = b""
    end: int | None = None
    for count in range(MAX_FRAGMENTS):
        if position + 8 > limit:
            end = limit
            break
        group, number, length = header(content, position)
        position += 8
        tag = group << 16 | number
        if tag == SEQUENCE_END:
            end = position
            break
        if tag != ITEM or length == UNDEFINED:
            break
        if count:
            positions.append(position)
            lengths.append(length)
        elif length <= 4 * MAX_FRAGMENTS:
            offset_table = content[position : min(position + length, limit)]
        position += length
    return Fragments(offset_table, positions, lengths, end)
