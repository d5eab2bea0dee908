"""Instances and frames in another transfer syntax (PS3.5 annex A; RET-30 to RET-38, RET-49).

The targets are Explicit VR Little Endian and JPEG 2000 Lossless. Attributes are copied as they are encoded; what
changes is the pixel data and the few attributes that describe its encoding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from . import transfer_syntaxes as ts
from .byte_order import swapped
from .file_meta import open_file
from .frames import FrameTable
from .header_values import HeaderValues
from .image import Image, read_image
from .native_frames import frame_of
from .part10 import file_beginning
from .pixels import Undecodable, read_layout
from .recode import Recoder, explicit_header, item_header, sequence_delimiter
from .scan import PIXEL_DATA, UNDEFINED, Element, Encoding, Malformed, elements
from .unreadable import UnreadableFile

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
_ENCAPSULATION = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
"""Extended Offset Table, its lengths, and the total length of the fragments: of an encoding that is gone."""
_PIXEL_GROUP_LENGTH = 0x7FE00000

_HEADER = 12
"""Bytes in front of the value of OB and OW."""
_MOST_BYTES = 0xFFFFFFFE
"""Of a value with a defined length (PS3.5 7.1.1)."""


def transcode_file(content: bytes, transfer_syntax: str, target: str, frames: bytes, out: BinaryIO) -> None:
    """Writes the file to `out` in the transfer syntax `target`; `frames` is its packed frame table, if it has one.

    Raises `Undecodable`, perhaps after a part of the file has been written.
    """
    if transfer_syntax not in ts.NATIVE | ts.ENCAPSULATED:
        raise Undecodable(f"no codec for {transfer_syntax}")
    try:
        _File(content, transfer_syntax, frames).write(target, out)
    except (UnreadableFile, Malformed, IndexError) as error:
        raise Undecodable("the file cannot be read to its end") from error


def transcode_frames(beginning: bytes, transfer_syntax: str, target: str, contents: Iterable[bytes]) -> Iterator[bytes]:
    """Frames as they were cut out of a file, in the transfer syntax `target`; raises `Undecodable`.

    `beginning` is the file up to its pixel data.
    """
    image = read_image(beginning, transfer_syntax)
    for content in contents:
        yield _converted(image, content, target)


def transcode_frames_of_file(
    content: bytes, transfer_syntax: str, target: str, frames: bytes, numbers: Iterable[int]
) -> Iterator[bytes]:
    """Frames by their numbers, out of a whole file: of a deflated or big endian one no part stands by itself."""
    try:
        file = _File(content, transfer_syntax, frames)
        image = file.image()
        for number in numbers:
            yield _converted(image, file.frame(number), target)
    except (UnreadableFile, Malformed, IndexError) as error:
        raise Undecodable("the file cannot be read to its end") from error


class _File:
    """A file under way to another transfer syntax. Of native pixel data the frames are little endian."""

    def __init__(self, content: bytes, transfer_syntax: str, frames: bytes) -> None:
        self._content = content
        self._transfer_syntax = transfer_syntax
        self._table = FrameTable.unpack(frames) if frames else None
        self._data_set = data_set = open_file(content)
        self._encoding = Encoding(data_set.implicit, data_set.order == ">")
        self._header = HeaderValues(data_set.content, data_set.start, len(data_set.content), self._encoding)
        self._pixels = self._little_endian_pixels()

    def image(self) -> Image:
        """What the file is an image of; raises `Undecodable` if frames are missing or cannot be made sense of."""
        layout = read_layout(self._header)
        native = self._transfer_syntax in ts.NATIVE
        if layout is None or self._table is None or not self._table.complete or self._table.encapsulated == native:
            raise Undecodable("pixel data of which frames are missing")
        return Image(self._header, layout, ts.EXPLICIT_LITTLE_ENDIAN if native else self._transfer_syntax)

    def frame(self, number: int) -> bytes:
        """A frame as it lies in the file; raises `IndexError`."""
        table = self._table
        if table is None:
            raise IndexError(number)
        if table.encapsulated:
            return b"".join(self._content[start : start + length] for start, length in table.pieces(number))
        first = self._header.pixel_data.value if self._header.pixel_data else 0
        [(start, length)] = table.pieces(number)
        return table.cut(number, bytes(self._pixels[start - first : start - first + length]))

    def write(self, target: str, out: BinaryIO) -> None:
        """The whole file, its head first; the pixel data goes out frame by frame."""
        content, data_set = self._data_set.content, self._data_set
        changes = self._changed_attributes(target)
        left_out = _ENCAPSULATION | {_PIXEL_GROUP_LENGTH} if target == ts.JPEG_2000_LOSSLESS else _ENCAPSULATION
        head = bytearray()
        out.write(
            file_beginning(
                self._content, data_set, target, self._header.raw(_SOP_CLASS), self._header.raw(_SOP_INSTANCE)
            )
        )
        writer = Recoder(content, self._encoding, head)
        for element in elements(content, data_set.start, len(content), self._encoding):
            if element.tag == PIXEL_DATA:
                writer.pass_over(PIXEL_DATA, _HEADER + self._native_size() + self._native_size() % 2)
                out.write(head)
                head.clear()
                self._write_pixel_data(element, target, out)
            elif element.tag in changes:
                writer.put(element.tag, *changes[element.tag])
            elif element.tag not in left_out:
                writer.copy(element)
        writer.close()
        out.write(head)

    def _changed_attributes(self, target: str) -> dict[int, tuple[bytes, bytes]]:
        """VR and value of what describes the samples otherwise than before (RET-32, RET-33)."""
        if self._header.pixel_data is None:
            return {}
        image = self.image()
        changes = {}
        photometric = _photometric(image, target)
        if photometric != image.layout.photometric:
            changes[_PHOTOMETRIC] = b"CS", photometric.encode("ascii") + b" " * (len(photometric) % 2)
        if image.layout.planar and target == ts.JPEG_2000_LOSSLESS:
            changes[_PLANAR] = b"US", b"\0\0"
        return changes

    def _write_pixel_data(self, element: Element, target: str, out: BinaryIO) -> None:
        image, table = self.image(), self._table
        frames = range(1, table.number_of_frames + 1 if table else 1)
        if target == ts.JPEG_2000_LOSSLESS:
            _write_fragments((_encoded(image, self.frame(number)) for number in frames), len(frames), out)
        elif image.transfer_syntax in ts.NATIVE:
            _write_value(element.vr or b"OW", self._native_size(), (self._pixels,), out)
        else:
            vr = b"OB" if image.layout.allocated <= 8 else b"OW"
            decoded = (_converted(image, self.frame(number), target) for number in frames)
            _write_value(vr, self._native_size(), decoded, out)

    def _native_size(self) -> int:
        """Bytes of the pixel data in a native encoding."""
        if self._transfer_syntax in ts.NATIVE:
            return len(self._pixels)
        return self.image().layout.decoded_bytes * (self._table.number_of_frames if self._table else 0)

    def _little_endian_pixels(self) -> bytes | memoryview:
        element = self._header.pixel_data
        if element is None or self._transfer_syntax not in ts.NATIVE:
            return b""
        pixels = memoryview(self._data_set.content)[element.value : element.end]
        if not self._encoding.big_endian:
            return pixels
        allocated = self._header.word(0x00280100) or 0
        width = allocated // 8 if allocated > 8 else 2 if element.vr == b"OW" else 1
        return swapped(pixels, width)


def _photometric(image: Image, target: str) -> str:
    """What the samples are once they are in their new encoding."""
    if target == ts.JPEG_2000_LOSSLESS:
        return "YBR_RCT" if image.photometric == "RGB" else image.photometric
    return image.layout.photometric if image.transfer_syntax in ts.NATIVE else image.photometric


def _converted(image: Image, frame: bytes, target: str) -> bytes:
    if target == ts.JPEG_2000_LOSSLESS:
        return _encoded(image, frame)
    if image.transfer_syntax in ts.NATIVE:
        return frame
    return frame_of(image.samples(frame), image.layout)


def _encoded(image: Image, frame: bytes) -> bytes:
    from .jpeg_2000_encoder import encode  # with the library behind it

    return encode(image.samples(frame), replace(image.layout, photometric=image.photometric))


def _write_value(vr: bytes, size: int, pieces: Iterable[bytes | memoryview], out: BinaryIO) -> None:
    """Native Pixel Data of `size` bytes."""
    if size > _MOST_BYTES:
        raise Undecodable(f"pixel data of {size} bytes")
    out.write(explicit_header(PIXEL_DATA, vr, size + size % 2))
    for piece in pieces:
        out.write(piece)
    out.write(bytes(size % 2))


def _write_fragments(codestreams: Iterable[bytes], count: int, out: BinaryIO) -> None:
    """Encapsulated Pixel Data, a fragment for each frame, with a Basic Offset Table (PS3.5 A.4)."""
    out.write(explicit_header(PIXEL_DATA, b"OB", UNDEFINED))
    out.write(item_header(4 * count))
    table = out.tell()
    out.write(bytes(4 * count))
    first = out.tell()
    offsets = []
    for codestream in codestreams:
        offsets.append(out.tell() - first)
        out.write(item_header(len(codestream) + len(codestream) % 2))
        out.write(codestream + bytes(len(codestream) % 2))
    out.write(sequence_delimiter())
    if offsets[-1] > _MOST_BYTES:
        raise Undecodable("too much pixel data for a Basic Offset Table")
    end = out.tell()
    out.seek(table)
    out.write(b"".join(offset.to_bytes(4, "little") for offset in offsets))
    out.seek(end)
