"""Finding the frames of an instance without reading its pixels (RET-46, RET-47, RET-51)."""

from array import array
from collections.abc import Sequence
from struct import unpack_from
from typing import Any

from . import transfer_syntaxes as ts
from .data_set import DataSet, Extent
from .file_meta import Content, EncodedDataSet
from .fragments import MAX_FRAGMENTS, Fragments
from .frames import FrameTable, encapsulated_frames
from .json_values import Element
from .scan import PIXEL_DATA

_ROWS = "00280010"
_COLUMNS = "00280011"
_BITS_ALLOCATED = "00280100"
_SAMPLES_PER_PIXEL = "00280002"
_PHOTOMETRIC_INTERPRETATION = "00280004"
_NUMBER_OF_FRAMES = "00280008"
_EXTENDED_OFFSET_TABLE = 0x7FE00001

_CODESTREAMS = (b"\xff\xd8", b"\xff\x4f\xff\x51")
"""What a JPEG, JPEG-LS and a JPEG 2000 codestream begin with."""


def locate_frames(data_set: DataSet, encoded: EncodedDataSet) -> FrameTable | None:
    """The frames of a file; None if it has no Pixel Data, or nothing that says how large frames are."""
    pixels = data_set.bulk.get(PIXEL_DATA)
    rows, columns, allocated = (_word(data_set, key) for key in (_ROWS, _COLUMNS, _BITS_ALLOCATED))
    if pixels is None or not rows or not columns or not allocated:
        return None
    announced = max(1, _number(data_set, _NUMBER_OF_FRAMES))
    if pixels.fragments is not None:
        return _encapsulated(data_set, encoded, pixels.fragments, announced)
    if _is_encapsulated(encoded.transfer_syntax):
        return None
    if _first(data_set, _PHOTOMETRIC_INTERPRETATION) == "YBR_FULL_422":
        bits = rows * (columns + columns % 2) * 2 * allocated
    else:
        bits = rows * columns * (_word(data_set, _SAMPLES_PER_PIXEL) or 1) * allocated
    there = max(0, min(pixels.length, len(encoded.content) - pixels.start))
    present = min(announced, there * 8 // bits)
    return FrameTable(announced, present, pixels.start, bits, encoded.deflated_at)


def _is_encapsulated(syntax: str) -> bool:
    """By PS3.5 annex A; what is unknown is taken for native."""
    return syntax.startswith("1.2.840.10008.1.2.") and syntax not in ts.NATIVE


def _encapsulated(data_set: DataSet, encoded: EncodedDataSet, fragments: Fragments, announced: int) -> FrameTable:
    first = _first_fragments(data_set, encoded, fragments, announced)
    size = len(encoded.content)
    while len(first) > 1 and fragments.positions[first[-1] - 1] + fragments.lengths[first[-1] - 1] > size:
        first.pop()
    frames = encapsulated_frames(first, fragments.positions, fragments.lengths)
    return FrameTable(announced, len(first) - 1, deflated_at=encoded.deflated_at, fragments=frames)


def _first_fragments(data_set: DataSet, encoded: EncodedDataSet, fragments: Fragments, announced: int) -> list[int]:
    """The index of each frame's first fragment, and behind them that of the first that belongs to none.

    Fewer frames than announced are those that are known for certain, from the first on.
    """
    count = len(fragments.positions)
    if fragments.end is None or not count:
        return [0]
    if announced == count:
        return list(range(count + 1))
    if announced == 1:
        return [0, count]
    for offsets in _offset_tables(data_set, encoded, fragments, announced):
        if first := _by_offsets(fragments, offsets):
            return first
    if count > announced:
        starts = [index for index in range(count) if _begins_codestream(encoded.content, fragments, index)]
        if len(starts) == announced and starts[0] == 0:
            return [*starts, count]
    return [0]


def _offset_tables(
    data_set: DataSet, encoded: EncodedDataSet, fragments: Fragments, announced: int
) -> list[Sequence[int]]:
    """The Extended and the Basic Offset Table, those that have an entry for each frame (PS3.5 A.4)."""
    tables: list[Sequence[int]] = []
    if announced > MAX_FRAGMENTS:
        return tables
    extended = data_set.bulk.get(_EXTENDED_OFFSET_TABLE)
    if extended is not None and extended.length == 8 * announced and _is_whole(encoded.content, extended):
        tables.append(unpack_from(f"{encoded.order}{announced}Q", encoded.content, extended.start))
    if len(fragments.offset_table) == 4 * announced:
        tables.append(unpack_from(f"{encoded.order}{announced}L", fragments.offset_table))
    return tables


def _is_whole(content: Content, extent: Extent) -> bool:
    return extent.start + extent.length <= len(content)


def _by_offsets(fragments: Fragments, offsets: Sequence[int]) -> list[int]:
    """Frames by an offset table: each offset is that of an item from the first one behind the table.

    Nothing if the table points elsewhere. In a file that is cut off, the frames up to there.
    """
    positions, lengths = fragments.positions, fragments.lengths
    base = positions[0]
    index = {position - base: at for at, position in enumerate(positions)}
    end = positions[-1] + lengths[-1] + 8 - base
    first = array("Q")
    for offset in offsets:
        at = len(positions) if offset == end else index.get(offset)
        if at is None and offset < end:
            return []
        if at is None:
            break
        if at == len(positions):
            first.append(at)
            break
        if first and at <= first[-1]:
            return []
        first.append(at)
    else:
        first.append(len(positions))
    return list(first) if first and first[0] == 0 else []


def _begins_codestream(content: Content, fragments: Fragments, index: int) -> bool:
    start = fragments.positions[index]
    return content[start : start + min(4, fragments.lengths[index])].startswith(_CODESTREAMS)


def _word(data_set: DataSet, key: str) -> int:
    """A number of 16 bits, 0 where there is none."""
    value = _number(data_set, key)
    return value if value <= 0xFFFF else 0


def _number(data_set: DataSet, key: str) -> int:
    """A whole number, 0 where there is none."""
    value = _first(data_set, key)
    return value if isinstance(value, int) and value > 0 else 0


def _first(data_set: DataSet, key: str) -> Any:
    element: Element = data_set.elements.get(key, {})
    return element.get("Value", [None])[0]
