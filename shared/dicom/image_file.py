"""A whole file that is read for its frames, or to be written in another transfer syntax."""

from collections.abc import Iterator
from contextlib import contextmanager

from . import transfer_syntaxes as ts
from .byte_order import swapped
from .file_meta import open_file
from .frames import FrameTable
from .header_values import HeaderValues
from .image import Image
from .pixels import Undecodable, read_layout
from .scan import Encoding, Malformed
from .unreadable import UnreadableFile


class ImageFile:
    """A file with its packed frame table, if it has one. Of native pixel data the frames are little endian."""

    def __init__(self, content: bytes, transfer_syntax: str, frames: bytes) -> None:
        self.content = content
        self.transfer_syntax = transfer_syntax
        self.data_set = open_file(content)
        self.encoding = Encoding(self.data_set.implicit, self.data_set.order == ">")
        buffer = self.data_set.content
        self.header = HeaderValues(buffer, self.data_set.start, len(buffer), self.encoding)
        self.table = FrameTable.unpack(frames) if frames else None
        self.native = transfer_syntax in ts.NATIVE
        self.pixels = self._little_endian_pixels()

    def image(self) -> Image:
        """What the file is an image of; raises `Undecodable` if nothing can be made of its pixel data."""
        layout = read_layout(self.header)
        if layout is None or self.table is None or self.table.encapsulated == self.native:
            raise Undecodable("pixel data that cannot be made sense of")
        return Image(self.header, layout, ts.EXPLICIT_LITTLE_ENDIAN if self.native else self.transfer_syntax)

    def frame(self, number: int) -> bytes:
        """A frame as it lies in the file, or little endian; raises `IndexError`."""
        if self.table is None:
            raise IndexError(number)
        pieces = self.table.pieces(number)
        if not self.native:
            return b"".join(self.content[start : start + length] for start, length in pieces)
        first = self.header.pixel_data.value if self.header.pixel_data else 0
        data = b"".join(self.pixels[start - first : start - first + length] for start, length in pieces)
        return self.table.cut(number, data)

    def native_size(self) -> int:
        """Bytes of all frames in a native encoding; raises `Undecodable`."""
        if self.native:
            return len(self.pixels)
        frames = self.table.number_of_frames if self.table else 0
        return self.image().layout.decoded_bytes * frames

    def _little_endian_pixels(self) -> bytes | memoryview:
        """The value of native Pixel Data; that of OW holds words, whatever the samples are (PS3.5 A.3)."""
        element = self.header.pixel_data
        if element is None or not self.native:
            return b""
        pixels = memoryview(self.data_set.content)[element.value : element.end]
        if not self.encoding.big_endian:
            return pixels
        allocated = self.header.word(0x00280100) or 0
        width = allocated // 8 if allocated > 8 else 2 if element.vr == b"OW" else 1
        return swapped(pixels, width)


@contextmanager
def reading(content: bytes, transfer_syntax: str, frames: bytes) -> Iterator[ImageFile]:
    """Opens a file; whatever is wrong with it while it is read raises `Undecodable`."""
    if transfer_syntax not in ts.NATIVE | ts.ENCAPSULATED:
        raise Undecodable(f"no codec for {transfer_syntax}")
    try:
        yield ImageFile(content, transfer_syntax, frames)
    except (UnreadableFile, Malformed, IndexError) as error:
        raise Undecodable("the file cannot be read to its end") from error
