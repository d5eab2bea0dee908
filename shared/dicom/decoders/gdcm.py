"""JPEG Lossless and JPEG-LS, by GDCM. It is used for nothing else."""

import gdcm
import numpy as np

from .. import codestream
from .. import transfer_syntaxes as ts
from ..codestream import Picture
from ..pixels import PixelLayout, Undecodable
from ..samples import Samples
from .containers import check_size, contain

_LOSSLESS = 0xC3
_JPEG_LS = 0xF7
_SYNTAX_OF_PROCESS = {_LOSSLESS: ts.JPEG_LOSSLESS, _JPEG_LS: ts.JPEG_LS_NEAR_LOSSLESS}

TRANSFER_SYNTAXES = frozenset(
    {ts.JPEG_LOSSLESS, ts.JPEG_LOSSLESS_FIRST_ORDER, ts.JPEG_LS_LOSSLESS, ts.JPEG_LS_NEAR_LOSSLESS}
)

for _stream in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
    _stream()


def decode(content: bytes, layout: PixelLayout) -> Samples:
    """The samples as they are: neither coding has a colour transform of its own."""
    picture = codestream.jpeg(content)
    if picture.process not in _SYNTAX_OF_PROCESS or not 2 <= picture.precision <= 16:
        raise Undecodable("neither lossless JPEG nor JPEG-LS of up to 16 bits")
    check_size(picture, layout)
    container = 8 if picture.precision <= 8 else 16
    buffer = _image(content, picture, container).GetBuffer().encode("utf-8", "surrogateescape")
    if len(buffer) != picture.rows * picture.columns * picture.components * container // 8:
        raise Undecodable("the frame came out in another size")
    return contain(np.frombuffer(buffer, dtype=f"<u{container // 8}"), picture, layout)


def _image(content: bytes, picture: Picture, container: int) -> "gdcm.Image":
    """The frame as GDCM is used to it, without a sign and without a colour space to convert."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(content)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((picture.columns, picture.rows, 1))
    image.SetDataElement(element)
    colours = "MONOCHROME2" if picture.components == 1 else "RGB"
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(colours))
    )
    if picture.components > 1:
        image.SetPlanarConfiguration(0)
    syntax = gdcm.TransferSyntax.GetTSType(_SYNTAX_OF_PROCESS[picture.process])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(gdcm.PixelFormat(picture.components, container, picture.precision, picture.precision - 1, 0))
    return image
