"""What has been read of a data set: the same whether the walk or pydicom read it."""

from dataclasses import dataclass, field

from .charsets import CharacterSet
from .fragments import Fragments
from .json_values import Element
from .scan import PIXEL_DATA

PIXELS = frozenset((PIXEL_DATA, 0x7FE00008, 0x7FE00009))
"""Pixel Data, Float Pixel Data and Double Float Pixel Data."""

Raw = tuple[int, str, bytes, CharacterSet]
"""Tag, VR, encoded value and character set of an element, as validation wants it. Of bulk values and sequences the
value is left empty."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a bulk value lies: from `start`, `length` bytes by its header, or in fragments."""

    start: int
    length: int
    fragments: Fragments | None = None


@dataclass(slots=True)
class DataSet:
    """`elements` as DICOM JSON, keys ascending, without bulk values, group lengths and group 0002 (RET-61 to RET-64).

    `top` and `nested` are the elements outside and inside sequences, in the order of the file. `bulk` has the extents
    of top-level bulk values by tag.
    """

    elements: dict[str, Element] = field(default_factory=dict)
    top: list[Raw] = field(default_factory=list)
    nested: list[Raw] = field(default_factory=list)
    bulk: dict[int, Extent] = field(default_factory=dict)
