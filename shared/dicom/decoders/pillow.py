"""JPEG Baseline and the eight-bit part of JPEG Extended, by Pillow (libjpeg-turbo)."""

from io import BytesIO

import numpy as np
from PIL import Image

from .. import codestream
from .. import transfer_syntaxes as ts
from ..pixels import PixelLayout, Undecodable
from ..samples import Samples
from .containers import check_size, contain

TRANSFER_SYNTAXES = frozenset({ts.JPEG_BASELINE, ts.JPEG_EXTENDED})

_HUFFMAN_DCT = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive."""

Image.MAX_IMAGE_PIXELS = None  # the size of every picture is checked before it gets here


def decode(content: bytes, layout: PixelLayout) -> Samples:
    """Grey samples, or RGB.

    Whether colours have to be transformed is for the markers of the codestream to say, and for Photometric
    Interpretation if they are silent (RET-97).
    """
    picture = codestream.jpeg(content)
    if picture.process not in _HUFFMAN_DCT or picture.precision != 8 or picture.components not in (1, 3):
        raise Undecodable("no eight-bit JPEG of one or three components")
    check_size(picture, layout)
    with Image.open(BytesIO(content), formats=("JPEG",)) as image:
        if picture.ycc is None and not layout.photometric.startswith("YBR"):
            image.draft("YCbCr", image.size)  # libjpeg would transform; what it takes for YCbCr is RGB already
        numbers = np.frombuffer(image.tobytes(), dtype=np.uint8)
    return contain(numbers, picture, layout)
