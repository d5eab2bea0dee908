"""Instances and frames in another transfer syntax (PS3.5 annex A; RET-30 to RET-38, RET-49).

The targets are Explicit VR Little Endian and JPEG 2000 Lossless. Attributes are copied as they are encoded; what
changes is the pixel data and the few attributes that describe its encoding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from . import transfer_syntaxes as ts
from .image import Image, read_image
from .image_file import ImageFile, reading
from .native_frames import frame_of
from .part10 import file_beginning
from .pixels import Undecodable
from .recode import Recoder, element_header, item_header, sequence_delimiter
from .scan import PIXEL_DATA, UNDEFINED, Element, Malformed, elements

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
_ENCAPSULATION = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
"""Extended Offset Table, its lengths, and the total length of the fragments: of an encoding that is gone."""
_PIXEL_GROUP_LENGTH = 0x7FE00000

_HEADER = 12
"""Bytes in front of the value of OB and OW."""
_MOST_BYTES = 0xFFFFFFFE
"""Of a value with a defined length (PS3.5 7.1.1)."""


class Output(Protocol):
    """Where a file is written to."""

    def write(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def tell(self) -> int: ...

    def seek(self, position: int, /) -> object: ...


def transcode_file(content: bytes, transfer_syntax: str, target: str, frames: bytes, out: Output) -> None:
    """Writes the file to `out` in the transfer syntax `target`; `frames` is its packed frame table, if it has one.

    Raises `Undecodable`, perhaps after a part of the file has been written.
    """
    with reading(content, transfer_syntax, frames) as file:
        _write_file(file, target, out)


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
    with reading(content, transfer_syntax, frames) as file:
        image = file.image()
        for number in numbers:
            yield _converted(image, file.frame(number), target)


def _write_file(file: ImageFile, target: str, out: Output) -> None:
    """The head and all attributes; the pixel data goes out frame by frame."""
    data_set, header = file.data_set, file.header
    out.write(file_beginning(file.content, data_set, target, header.raw(_SOP_CLASS), header.raw(_SOP_INSTANCE)))
    changes = _changed_attributes(file, target)
    left_out = _ENCAPSULATION | {_PIXEL_GROUP_LENGTH} if target == ts.JPEG_2000_LOSSLESS else _ENCAPSULATION
    attributes = bytearray()
    writer = Recoder(data_set.content, file.encoding, attributes)
    for element in _elements(file):
        if element.tag == PIXEL_DATA:
            writer.pass_over(PIXEL_DATA, _HEADER + file.native_size() + file.native_size() % 2)
            out.write(attributes)
            attributes.clear()
            _write_pixel_data(file, element, target, out)
        elif element.tag in changes:
            writer.put(element.tag, *changes[element.tag])
        elif element.tag not in left_out:
            writer.copy(element)
    writer.close()
    out.write(attributes)


def _elements(file: ImageFile) -> Iterator[Element]:
    """The top-level elements. What comes behind the pixel data and is none is padding, which no encoding has."""
    content, behind_pixels = file.data_set.content, False
    try:
        for element in elements(content, file.data_set.start, len(content), file.encoding):
            yield element
            behind_pixels |= element.tag == PIXEL_DATA
    except Malformed:
        if not behind_pixels:
            raise


def _changed_attributes(file: ImageFile, target: str) -> dict[int, tuple[bytes, bytes]]:
    """VR and value of what describes the samples otherwise than before (RET-32, RET-33)."""
    if file.header.pixel_data is None:
        return {}
    image = file.image()
    changes = {}
    photometric = _photometric(image, target)
    if photometric != image.layout.photometric:
        changes[_PHOTOMETRIC] = b"CS", photometric.encode("ascii") + b" " * (len(photometric) % 2)
    if image.layout.planar and target == ts.JPEG_2000_LOSSLESS:
        changes[_PLANAR] = b"US", b"\0\0"
    return changes


def _write_pixel_data(file: ImageFile, element: Element, target: str, out: Output) -> None:
    image, table = file.image(), file.table
    if table is None or not table.complete:
        raise Undecodable("frames are missing")
    frames = range(1, table.number_of_frames + 1)
    if target == ts.JPEG_2000_LOSSLESS:
        _write_fragments((_encoded(image, file.frame(number)) for number in frames), len(frames), out)
    elif file.native:
        _write_value(element.vr or b"OW", file.native_size(), (file.pixels,), out)
    else:
        vr = b"OB" if image.layout.allocated <= 8 else b"OW"
        decoded = (_converted(image, file.frame(number), target) for number in frames)
        _write_value(vr, file.native_size(), decoded, out)


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


def _write_value(vr: bytes, size: int, pieces: Iterable[bytes | memoryview], out: Output) -> None:
    """Native Pixel Data of `size` bytes."""
    if size > _MOST_BYTES:
        raise Undecodable(f"pixel data of {size} bytes")
    out.write(element_header(PIXEL_DATA, vr, size + size % 2))
    for piece in pieces:
        out.write(piece)
    out.write(bytes(size % 2))


def _write_fragments(codestreams: Iterable[bytes], count: int, out: Output) -> None:
    """Encapsulated Pixel Data, a fragment for each frame, with a Basic Offset Table (PS3.5 A.4)."""
    out.write(element_header(PIXEL_DATA, b"OB", UNDEFINED))
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
