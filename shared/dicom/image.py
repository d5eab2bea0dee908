"""An image in the making: what the beginning of a file says of its pixel data, and the samples of its frames."""

from dataclasses import dataclass

from . import native_frames
from . import transfer_syntaxes as ts
from .decoders import decode_frame
from .file_meta import open_file
from .frames import Bytes
from .header_values import HeaderValues
from .pixels import PixelLayout, Undecodable, read_layout
from .samples import Samples
from .scan import Encoding, Malformed
from .unreadable import UnreadableFile

_TRANSFORMED = frozenset({ts.JPEG_BASELINE, ts.JPEG_EXTENDED})
"""Encodings whose decoder gives RGB whatever Photometric Interpretation says (RET-32, RET-97)."""


@dataclass(frozen=True, slots=True)
class Image:
    """The attributes of an image, the layout of its samples, and how they are encoded."""

    header: HeaderValues
    layout: PixelLayout
    transfer_syntax: str

    def samples(self, frame: Bytes) -> Samples:
        """The samples of one frame, native ones little endian, or encapsulated; raises `Undecodable`."""
        if self.transfer_syntax not in ts.NATIVE:
            return decode_frame(bytes(frame), self.layout, self.transfer_syntax)
        return native_frames.samples_of(frame, self.layout)

    @property
    def photometric(self) -> str:
        """What `samples` are, once they are out of their encoding (RET-32)."""
        return decoded_photometric(self.layout, self.transfer_syntax)


def read_image(beginning: bytes, transfer_syntax: str) -> Image:
    """`beginning` is the file up to its pixel data, or more, or all of it if it is deflated; raises `Undecodable`."""
    try:
        data_set = open_file(beginning)
        encoding = Encoding(data_set.implicit, data_set.order == ">")
        header = HeaderValues(data_set.content, data_set.start, len(data_set.content), encoding)
    except (UnreadableFile, Malformed) as error:
        raise Undecodable("the attributes cannot be read") from error
    layout = read_layout(header)
    if layout is None:
        raise Undecodable("no Rows, Columns or Bits Allocated")
    return Image(header, layout, transfer_syntax)


def decoded_photometric(layout: PixelLayout, transfer_syntax: str) -> str:
    """The photometric interpretation of decoded samples.

    JPEG decoders and the inverse transforms of JPEG 2000 leave RGB. Other codings have no colour transform, so that
    colours stay what they are; none of them shares colours between pixels as native YBR_FULL_422 does.
    """
    if layout.photometric in ("YBR_RCT", "YBR_ICT") or (transfer_syntax in _TRANSFORMED and layout.samples == 3):
        return "RGB"
    if layout.photometric == "YBR_FULL_422":
        return "YBR_FULL"
    return layout.photometric
