"""JPEG 2000, by pylibjpeg-openjpeg; it can also encode."""

import numpy as np
from openjpeg.utils import decode_pixel_data, encode_array

from .. import codestream
from .. import transfer_syntaxes as ts
from ..pixels import PixelLayout, Undecodable
from ..samples import Samples
from .containers import check_size, contain

TRANSFER_SYNTAXES = frozenset({ts.JPEG_2000_LOSSLESS, ts.JPEG_2000})

_RGB = 1
_OTHER_COLOURS = 0


def decode(content: bytes, layout: PixelLayout) -> Samples:
    """The samples, with the component transform of the codestream undone."""
    picture = codestream.jpeg_2000(content)
    check_size(picture, layout)
    decoded = decode_pixel_data(content, version=2)
    size = 1 if picture.precision <= 8 else 2 if picture.precision <= 16 else 4
    numbers = np.frombuffer(decoded, dtype=f"<{'i' if picture.signed else 'u'}{size}")
    return contain(numbers, picture, layout)


def encode(samples: Samples, layout: PixelLayout) -> bytes:
    """A lossless raw codestream of one frame (PS3.5 A.4.4).

    The precision is Bits Stored, or Bits Allocated where samples use the bits above it. RGB goes through the
    reversible colour transform.
    """
    if layout.allocated not in (8, 16) or (samples.ndim == 3 and samples.shape[2] != 3):
        raise Undecodable("samples that JPEG 2000 is not used for")
    numbers = np.ascontiguousarray(samples.view(f"<{'i' if layout.signed else 'u'}{layout.allocated // 8}"))
    colours = _RGB if layout.photometric == "RGB" else _OTHER_COLOURS
    return bytes(encode_array(numbers, bits_stored=_precision(numbers, layout), photometric_interpretation=colours))


def _precision(numbers: Samples, layout: PixelLayout) -> int:
    least, most = (
        (-(1 << layout.stored - 1), (1 << layout.stored - 1) - 1) if layout.signed else (0, (1 << layout.stored) - 1)
    )
    fits = 0 < layout.stored <= layout.allocated and numbers.min() >= least and numbers.max() <= most
    return layout.stored if fits else layout.allocated
