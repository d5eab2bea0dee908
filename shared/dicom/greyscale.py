"""From stored grey values to what is shown: modality transform, window, inversion (PS3.4 N.2; RET-87 to RET-95).

stored value -> modality LUT or rescale -> VOI LUT or window, 0 to 255 -> photometric interpretation
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .header_values import HeaderValues
from .lookup_tables import LookupTable, modality_or_voi_table
from .native_frames import true_values
from .pixels import PixelLayout
from .samples import Samples, row_blocks

_MODALITY_LUT_IGNORED = frozenset(f"1.2.840.10008.5.1.4.1.1.12.{number}" for number in (1, 2, 3))
"""X-Ray Angiographic and Radiofluoroscopic images: their table is for display stations that know it (RET-87)."""

_MODALITY_LUT_SEQUENCE, _VOI_LUT_SEQUENCE = 0x00283000, 0x00283010
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_CENTER, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056
_SMALLEST, _LARGEST, _PADDING = 0x00280106, 0x00280107, 0x00280120
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_PIXEL_TRANSFORM, _FRAME_VOI = 0x00289145, 0x00289132

_LARGEST_EXPONENT = 700.0
"""Beyond it `exp` leaves the range of numbers; a pixel is long black by then."""

WINDOWS_KEPT = 32
"""Tables of 64 KB at most: a viewer goes through a series with few windows."""

_LOOKED_UP = 1 << 17
"""Samples that are looked up at once: as indices, of eight bytes each, they stay in the processor's cache."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """Center and width in rescaled values, and how they are meant (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: Numbers) -> Numbers:
        """0 to 255, not yet clamped or rounded."""
        if self.function == "SIGMOID":
            exponents: Numbers = np.exp(np.minimum(-4 * (values - self.center) / self.width, _LARGEST_EXPONENT))
            return 255 / (1 + exponents)
        if self.function == "LINEAR_EXACT":
            return ((values - self.center) / self.width + 0.5) * 255
        if self.width == 1:
            return np.where(values < self.center - 0.5, 0.0, 255.0)
        return ((values - (self.center - 0.5)) / (self.width - 1) + 0.5) * 255


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From the least value to the greatest: an image without a window, or the entries of a VOI LUT."""

    least: float
    greatest: float

    def apply(self, values: Numbers) -> Numbers:
        return (values - self.least) / (self.greatest - self.least) * 255


@dataclass(frozen=True, slots=True)
class _Table:
    """A VOI LUT, its lowest entry black and its highest white, whichever way it runs."""

    table: LookupTable

    def apply(self, values: Numbers) -> Numbers:
        entries = self.table.apply(values).astype(np.float64)
        least, greatest = float(self.table.entries.min()), float(self.table.entries.max())
        return _Stretch(least, greatest).apply(entries) if greatest > least else np.zeros_like(entries)


_Voi = Window | _Stretch | _Table


class GreyscaleDisplay:
    """How the grey samples of one frame (counted from 1) are shown."""

    def __init__(self, header: HeaderValues, layout: PixelLayout, frame: int) -> None:
        self._header = header
        self._layout = layout
        own = header.item(_PER_FRAME, frame - 1)
        self._groups = tuple(group for group in (own, header.item(_SHARED)) if group is not None)
        self._modality_table = self._modality_lut()
        self._slope, self._intercept = self._rescale()
        self._voi = self._stored_voi()

    @property
    def needs_extremes(self) -> bool:
        """Whether nothing in the data set says what to show, so that the first frame has to be looked through."""
        return self._voi is None and self._layout.allocated != 1

    def show(self, samples: Samples, first_frame: Samples | None = None) -> NDArray[np.uint8]:
        """The picture; `first_frame` is asked for by `needs_extremes`."""
        voi = self._voi or self._default_voi(samples if first_frame is None else first_frame)
        picture = np.empty(samples.shape, np.uint8)
        if self._layout.allocated <= 16 and samples.size > 1 << self._layout.allocated:
            table = self._table(voi, samples.dtype)
            for block in row_blocks(samples, _LOOKED_UP):  # no sample lies outside of the table, so nothing is wrapped
                table.take(samples[block], out=picture[block], mode="wrap")
            return picture
        for block in row_blocks(samples):
            picture[block] = self._displayed(samples[block], voi)
        return picture

    def _table(self, voi: _Voi, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """What each stored value is shown as."""
        if self._modality_table is None and isinstance(voi, Window):
            return _window_table(self._layout, self._slope, self._intercept, voi)
        return self._displayed(np.arange(1 << self._layout.allocated, dtype=dtype), voi)

    def _displayed(self, samples: Samples, voi: _Voi) -> NDArray[np.uint8]:
        return _shown(voi.apply(self._rescaled(true_values(samples, self._layout))), self._layout)

    def _rescaled(self, values: NDArray[np.int64]) -> Numbers:
        if self._modality_table is not None:
            return self._modality_table.apply(values).astype(np.float64)
        return _rescaled(values, self._slope, self._intercept)

    def _modality_lut(self) -> LookupTable | None:
        if self._header.text(0x00080016) in _MODALITY_LUT_IGNORED:
            return None
        return modality_or_voi_table(self._header.item(_MODALITY_LUT_SEQUENCE))

    def _rescale(self) -> tuple[float, float]:
        sources = [self._header, *self._group_items(_PIXEL_TRANSFORM)]
        slope = next((number for source in sources if (number := source.number(_SLOPE)) is not None), 1.0)
        intercept = next((number for source in sources if (number := source.number(_INTERCEPT)) is not None), 0.0)
        return slope, intercept

    def _stored_voi(self) -> _Voi | None:
        """What the data set says, in the order of RET-87 (a) to (d)."""
        table = modality_or_voi_table(self._header.item(_VOI_LUT_SEQUENCE))
        if table is not None:
            return _Table(table)
        groups = self._group_items(_FRAME_VOI)
        function = next((text for source in (self._header, *groups) if (text := source.text(_FUNCTION))), "LINEAR")
        for source in (self._header, *groups):
            center, width = source.number(_CENTER), source.number(_WIDTH)
            if center is not None and width is not None and width >= 1:
                return Window(center, width, function.upper())
        vr = b"SS" if self._layout.signed else b"US"
        smallest, largest = self._header.word(_SMALLEST, vr), self._header.word(_LARGEST, vr)
        if smallest is not None and largest is not None and smallest < largest:
            return Window((smallest + largest) / 2, largest - smallest)
        return None

    def _group_items(self, tag: int) -> list[HeaderValues]:
        return [item for group in self._groups if (item := group.item(tag)) is not None]

    def _default_voi(self, frame: Samples) -> _Voi:
        """One bit is black or white. Else from the least to the greatest value, padding left out (RET-87 e, RET-90)."""
        if self._layout.allocated == 1:
            return _Stretch(0, 1)
        padding = self._header.word(_PADDING, b"SS" if self._layout.signed else b"US")
        least, greatest = self._extremes(frame, padding) or self._extremes(frame, None) or (0.0, 0.0)
        if greatest - least > 1:
            return Window((least + greatest) / 2, greatest - least)
        return _Stretch(least, greatest) if greatest > least else Window(least, 1)

    def _extremes(self, frame: Samples, padding: int | None) -> tuple[float, float] | None:
        """The least and the greatest rescaled value; None if everything is padding."""
        ends: list[float] = []
        for block in row_blocks(frame):
            values = true_values(frame[block], self._layout)
            if padding is not None:
                values = values[values != padding]
            if values.size:
                if self._modality_table is None:
                    values = np.array([values.min(), values.max()])
                rescaled = self._rescaled(values)
                ends += (float(rescaled.min()), float(rescaled.max()))
        return (min(ends), max(ends)) if ends else None


@lru_cache(maxsize=WINDOWS_KEPT)
def _window_table(layout: PixelLayout, slope: float, intercept: float, window: Window) -> NDArray[np.uint8]:
    """What each stored value of up to 16 bits is shown as, without tables of the data set's own."""
    stored = np.arange(1 << layout.allocated, dtype=np.uint16)
    return _shown(window.apply(_rescaled(true_values(stored, layout), slope, intercept)), layout)


def _rescaled(values: NDArray[np.int64], slope: float, intercept: float) -> Numbers:
    return values.astype(np.float64) * slope + intercept


def _shown(grey: Numbers, layout: PixelLayout) -> NDArray[np.uint8]:
    """Clamped, inverted where low values are white, and rounded."""
    grey = np.clip(grey, 0, 255)
    if layout.photometric == "MONOCHROME1":
        grey = 255 - grey
    return (grey + 0.5).astype(np.uint8)
