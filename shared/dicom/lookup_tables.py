"""Lookup tables in data sets: Modality and VOI LUTs, and palettes (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5, C.7.9)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .header_values import HeaderValues
from .segmented_palettes import expand

_WHOLE = 65536


@dataclass(frozen=True, slots=True)
class LookupTable:
    """`entries[0]` is for the input `first` and everything below it, the last entry for everything above (RET-93)."""

    first: int
    bits: int
    entries: NDArray[np.uint16]

    def apply(self, values: NDArray[np.number]) -> NDArray[np.uint16]:
        """The entries for the inputs, rounded to whole numbers."""
        places = np.rint(values).astype(np.int64) - self.first
        entries: NDArray[np.uint16] = self.entries[np.clip(places, 0, len(self.entries) - 1)]
        return entries


def modality_or_voi_table(item: HeaderValues | None) -> LookupTable | None:
    """The table in an item of Modality or VOI LUT Sequence; None if there is none that could be used."""
    return _read(item, 0x00283002, 0x00283006) if item is not None else None


def palette(values: HeaderValues) -> tuple[LookupTable, LookupTable, LookupTable] | None:
    """The red, green and blue table, plain or in segments; None if one is missing."""
    tables = []
    for colour in (1, 2, 3):
        table = _read(values, 0x00281100 + colour, 0x00281200 + colour)
        if table is None:
            table = _read(values, 0x00281100 + colour, 0x00281220 + colour, segmented=True)
        if table is None:
            return None
        tables.append(table)
    return tables[0], tables[1], tables[2]


def _read(values: HeaderValues, descriptor_tag: int, data_tag: int, *, segmented: bool = False) -> LookupTable | None:
    descriptor = values.words(descriptor_tag, b"SS" if values.word(0x00280103) == 1 else b"US")
    if len(descriptor) < 3:
        return None
    count = descriptor[0] & 0xFFFF or _WHOLE
    bits = descriptor[2] & 0xFFFF
    raw = values.words_as_bytes(data_tag)
    in_bytes = bits <= 8 and (segmented or len(raw) < 2 * count)
    data = np.frombuffer(raw, np.uint8) if in_bytes else np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")
    entries = expand(data.tolist(), count, bytewise=in_bytes) if segmented else data[:count]
    if not len(entries):
        return None
    return LookupTable(descriptor[1], bits, np.asarray(entries, np.uint16))
