"""JPEG Baseline of pictures (ITU-T T.81), without subsampling. Importing this module imports numpy and Pillow."""

import io

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from .pixels import Undecodable

ACCURATE = 96
"""The least quality from which simplejpeg transforms with full accuracy. There it writes the bytes that Pillow writes,
sooner, and lets go of the interpreter's lock meanwhile."""


LONGEST_SIDE = 65_500
"""Rows or columns that libjpeg takes; Rows and Columns of a data set go to 65,535."""


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """The JPEG of a picture (rows, columns), which is grey, or (rows, columns, 3), RGB; `quality` is 1 to 100.

    Raises `Undecodable` if it is too long for one.
    """
    if max(picture.shape) > LONGEST_SIDE:
        raise Undecodable(f"more than {LONGEST_SIDE} rows or columns")
    if quality < ACCURATE:
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "JPEG", quality=quality, subsampling=0)
        return encoded.getvalue()
    space, sampling = ("GRAY", "Gray") if picture.ndim == 2 else ("RGB", "444")
    pixels = np.ascontiguousarray(np.atleast_3d(picture))
    return bytes(simplejpeg.encode_jpeg(pixels, quality, space, sampling))
