"""Decoders of encapsulated frames, one module for each library, all of one shape.

A module names the `TRANSFER_SYNTAXES` that it decodes and has a function `decode(content, layout) -> Samples`: samples
as the codestream holds them after its own colour transforms, in containers of Bits Allocated. It is imported, with
the library behind it, when the first frame of its kind arrives. Libraries are not asked for a picture of another size
than the data set announces, because they allocate what the codestream says.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .. import transfer_syntaxes as ts
from ..pixels import MOST_FRAME_BYTES, PixelLayout, Undecodable

if TYPE_CHECKING:
    from ..samples import Samples

_MODULES = {
    ts.JPEG_BASELINE: "pillow",
    ts.JPEG_EXTENDED: "pillow",
    ts.JPEG_LOSSLESS: "gdcm",
    ts.JPEG_LOSSLESS_FIRST_ORDER: "gdcm",
    ts.JPEG_LS_LOSSLESS: "gdcm",
    ts.JPEG_LS_NEAR_LOSSLESS: "gdcm",
    ts.JPEG_2000_LOSSLESS: "openjpeg",
    ts.JPEG_2000: "openjpeg",
    ts.RLE_LOSSLESS: "rle",
}


def decode_frame(content: bytes, layout: PixelLayout, transfer_syntax: str) -> "Samples":
    """The samples of one frame; raises `Undecodable` whatever is wrong with it."""
    module = _MODULES.get(transfer_syntax)
    if module is None:
        raise Undecodable(f"no decoder for {transfer_syntax}")
    if layout.allocated not in (8, 16, 32) or layout.decoded_bytes > MOST_FRAME_BYTES:
        raise Undecodable("a frame that no decoder is asked for")
    try:
        samples: Samples = import_module(f".{module}", __name__).decode(content, layout)
    except Exception as error:
        raise Undecodable(f"{module}: {error}") from error
    return samples
