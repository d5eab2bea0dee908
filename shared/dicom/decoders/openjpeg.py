"""JPEG 2000, by pylibjpeg-openjpeg."""

import numpy as np
from openjpeg.utils import decode_pixel_data

from .. import codestream
from .. import transfer_syntaxes as ts
from ..pixels import PixelLayout
from ..samples import Samples
from .containers import check_size, contain

TRANSFER_SYNTAXES = frozenset({ts.JPEG_2000_LOSSLESS, ts.JPEG_2000})


def decode(content: bytes, layout: PixelLayout) -> Samples:
    """The samples, with the component transform of the codestream undone."""
    picture = codestream.jpeg_2000(content)
    check_size(picture, layout)
    decoded = decode_pixel_data(content, version=2)
    size = 1 if picture.precision <= 8 else 2 if picture.precision <= 16 else 4
    numbers = np.frombuffer(decoded, dtype=f"<{'i' if picture.signed else 'u'}{size}")
    return contain(numbers, picture, layout)
