"""RLE Lossless (PS3.5 annex G), by pylibjpeg-rle."""

import numpy as np
from rle.rle import decode_frame

from .. import transfer_syntaxes as ts
from ..pixels import PixelLayout
from ..samples import Samples

TRANSFER_SYNTAXES = frozenset({ts.RLE_LOSSLESS})


def decode(content: bytes, layout: PixelLayout) -> Samples:
    """The samples as they are; planes, which is what RLE holds, are put together pixel by pixel."""
    decoded = decode_frame(content, layout.rows * layout.columns, layout.allocated, "<")
    planes = np.frombuffer(decoded, dtype=f"<u{layout.allocated // 8}")
    planes = planes.reshape(layout.samples, layout.rows, layout.columns)
    return planes[0] if layout.samples == 1 else np.moveaxis(planes, 0, -1)
