"""Lossless JPEG 2000 codestreams, by pylibjpeg-openjpeg, very small pictures by Pillow (PS3.5 A.4.4; RET-33)."""

from io import BytesIO

import numpy as np
from openjpeg.utils import encode_array
from PIL import Image

from .pixels import PixelLayout, Undecodable
from .samples import Samples

_SMALLEST = 32
"""Rows or columns that the five wavelet steps of `encode_array` take."""
_RGB, _OTHER_COLOURS = 1, 0


def encode(samples: Samples, layout: PixelLayout) -> bytes:
    """The raw codestream of one frame; raises `Undecodable` for samples that it is not used for.

    The precision is Bits Stored, or Bits Allocated where samples use the bits above it. RGB goes through the
    reversible colour transform.
    """
    if layout.allocated not in (8, 16) or (samples.ndim == 3 and samples.shape[2] != 3):
        raise Undecodable("samples that JPEG 2000 is not used for")
    try:
        if min(samples.shape[:2]) < _SMALLEST:
            return _encode_small(samples, layout)
        numbers = np.ascontiguousarray(samples.view(f"<{'i' if layout.signed else 'u'}{layout.allocated // 8}"))
        colours = _RGB if layout.photometric == "RGB" else _OTHER_COLOURS
        precision = _precision(int(numbers.min()), int(numbers.max()), layout)
        return bytes(encode_array(numbers, bits_stored=precision, photometric_interpretation=colours))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise Undecodable(f"the samples cannot be encoded: {error}") from error


def _precision(least: int, most: int, layout: PixelLayout) -> int:
    half = 1 << (layout.stored - 1)
    lowest, highest = (-half, half - 1) if layout.signed else (0, 2 * half - 1)
    return layout.stored if lowest <= least and most <= highest else layout.allocated


def _encode_small(samples: Samples, layout: PixelLayout) -> bytes:
    """Without wavelet steps. The bits of signed samples are encoded as they are, without saying that they are signed:
    with all bits of the container in use no reader can tell."""
    if layout.allocated == 16 and samples.ndim == 3:
        raise Undecodable("small pictures of 16-bit colours")
    picture = Image.fromarray(np.ascontiguousarray(samples))
    out = BytesIO()
    transform = layout.photometric == "RGB" and samples.ndim == 3
    picture.save(out, "JPEG2000", no_jp2=True, irreversible=False, num_resolutions=1, mct=int(transform))
    return out.getvalue()
