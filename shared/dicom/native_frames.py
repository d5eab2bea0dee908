"""Native frames and samples, one made of the other (PS3.5 8.1, PS3.3 C.7.6.3.1)."""

import numpy as np

from .frames import Bytes
from .pixels import PixelLayout, Undecodable
from .samples import Samples


def samples_of(frame: Bytes, layout: PixelLayout) -> Samples:
    """The samples of a little endian frame that begins on a byte; raises `Undecodable` if it is too short.

    Planes are put together pixel by pixel. Of YBR_FULL_422 each pair of pixels shares its colours, so that the result
    is YBR_FULL. One bit per sample becomes one byte per sample.
    """
    rows, columns, samples = layout.rows, layout.columns, layout.samples
    try:
        if layout.allocated == 1:
            bits = np.unpackbits(np.frombuffer(frame, np.uint8), count=rows * columns * samples, bitorder="little")
            numbers: Samples = bits
        else:
            numbers = np.frombuffer(frame, dtype=f"<u{_container(layout)}")
        if layout.subsampled:
            return _upsampled(numbers[: rows * (columns + columns % 2) * 2], layout)
        numbers = numbers[: rows * columns * samples]
        if samples == 1:
            return numbers.reshape(rows, columns)
        if layout.planar:
            return np.moveaxis(numbers.reshape(samples, rows, columns), 0, -1)
        return numbers.reshape(rows, columns, samples)
    except ValueError as error:
        raise Undecodable("a frame is too short") from error


def frame_of(samples: Samples, layout: PixelLayout) -> bytes:
    """The little endian frame that holds these samples, in the planar configuration of the layout."""
    if layout.planar and samples.ndim == 3:
        samples = np.moveaxis(samples, -1, 0)
    return samples.tobytes()


def true_values(samples: Samples, layout: PixelLayout) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The numbers that stored samples stand for: the bits from High Bit down, with their sign (RET-95)."""
    if layout.allocated == 1:
        return samples.astype(np.int64)
    stored = min(layout.stored, layout.allocated)
    low_bit = min(max(0, layout.high_bit + 1 - stored), layout.allocated - stored)
    values = samples.astype(np.int64) >> low_bit
    if stored == 64:
        return values
    values &= (1 << stored) - 1
    if layout.signed:
        values -= (values >> (stored - 1)) << stored
    return values


def _container(layout: PixelLayout) -> int:
    if layout.allocated not in (8, 16, 32, 64):
        raise Undecodable(f"{layout.allocated} bits allocated")
    return layout.allocated // 8


def _upsampled(numbers: Samples, layout: PixelLayout) -> Samples:
    """Y1 Y2 Cb Cr for every two pixels of a row; the last of an odd row is a pair with one that is not shown."""
    pairs = numbers.reshape(layout.rows, -1, 4)
    pixels = np.empty((layout.rows, pairs.shape[1], 2, 3), dtype=numbers.dtype)
    pixels[..., 0] = pairs[..., :2]
    pixels[..., 1:] = pairs[:, :, None, 2:]
    return pixels.reshape(layout.rows, -1, 3)[:, : layout.columns]
