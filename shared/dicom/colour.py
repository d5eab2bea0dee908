"""Colours as RGB with eight bits a channel (PS3.3 C.7.6.3.1.2; RET-96 to RET-98)."""

import numpy as np
from numpy.typing import NDArray

from .header_values import HeaderValues
from .lookup_tables import palette
from .native_frames import true_values
from .pixels import PixelLayout, Undecodable
from .samples import Samples, row_blocks

Picture = NDArray[np.uint8]

_RED, _GREEN_BLUE, _GREEN_RED, _BLUE = 1.402, 0.344136, 0.714136, 1.772
"""Weights of ITU-R BT.601 for the full range, as JFIF has them."""


def rgb(samples: Samples, layout: PixelLayout, photometric: str, header: HeaderValues) -> Picture:
    """The picture of colour samples; `photometric` is what they are once decoded. Raises `Undecodable`."""
    if photometric == "PALETTE COLOR":
        return _through_palette(samples, layout, header)
    if samples.ndim != 3 or samples.shape[2] != 3:
        raise Undecodable(f"{photometric} without three samples a pixel")
    if photometric not in ("RGB", "YBR_FULL"):
        raise Undecodable(f"photometric interpretation {photometric}")
    picture = np.empty(samples.shape, np.uint8)
    for block in row_blocks(samples):
        eight_bit = _eight_bit(samples[block], layout)
        picture[block] = eight_bit if photometric == "RGB" else ybr_to_rgb(eight_bit)
    return picture


def ybr_to_rgb(samples: Picture) -> Picture:
    """YCbCr of the full range to RGB."""
    y, cb, cr = (samples[..., channel].astype(np.float32) for channel in range(3))
    cb -= 128
    cr -= 128
    channels = (y + _RED * cr, y - _GREEN_BLUE * cb - _GREEN_RED * cr, y + _BLUE * cb)
    return np.stack([np.clip(np.rint(channel), 0, 255).astype(np.uint8) for channel in channels], axis=-1)


def _eight_bit(samples: Samples, layout: PixelLayout) -> Picture:
    """The upper eight of the stored bits."""
    if layout.allocated == 8 and layout.stored == 8:
        return samples.astype(np.uint8, copy=False)
    values = true_values(samples, layout)
    if layout.stored > 8:
        values >>= layout.stored - 8
    return values.astype(np.uint8)


def _through_palette(samples: Samples, layout: PixelLayout, header: HeaderValues) -> Picture:
    tables = palette(header)
    if tables is None or samples.ndim != 2:
        raise Undecodable("no palette, or too many samples for one")
    picture = np.empty((*samples.shape, 3), np.uint8)
    for block in row_blocks(samples):
        values = true_values(samples[block], layout)
        for channel, table in enumerate(tables):
            picture[block, :, channel] = table.apply(values) >> (8 if table.bits > 8 else 0)
    return picture
