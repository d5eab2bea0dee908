"""What the headers of JPEG, JPEG-LS and JPEG 2000 codestreams say about the picture inside.

Decoders allocate what a codestream announces, so its size is compared with that of the data set before any of them
is called; and the colour transform of a JPEG is written in its markers (PS3.5 8.2.1; ITU-T T.81, T.87, T.800, T.871).
"""

from dataclasses import dataclass
from struct import error as StructError  # noqa: N812 - it is a class
from struct import unpack_from

_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of frame: T.81 processes and JPEG-LS; not Huffman tables, JPG and arithmetic conditioning."""
_STANDALONE = frozenset({0x01, *range(0xD0, 0xDA)})


class BadCodestream(ValueError):
    """No codestream of the kind, or one that contradicts the data set."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a codestream holds. `process` is the low byte of the JPEG marker that begins the frame (0 for JPEG 2000).

    `ycc` tells whether the colours of a JPEG went through the YCbCr transform: True or False if its markers or its
    component names say so, None if they say nothing. `component_transform` is that of JPEG 2000.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    process: int = 0
    ycc: bool | None = None
    component_transform: bool = False


def jpeg(content: bytes) -> Picture:
    """The frame of a JPEG or JPEG-LS codestream; raises `BadCodestream`."""
    jfif = False
    adobe: int | None = None
    for marker, start, length in _segments(content):
        if marker == 0xE0 and content[start : start + 4] == b"JFIF":
            jfif = True
        elif marker == 0xEE and content[start : start + 5] == b"Adobe" and length >= 12:
            adobe = content[start + 11]
        elif marker in _FRAME_MARKERS:
            if length < 6:
                break
            precision, rows, columns, components = unpack_from(">BHHB", content, start)
            names = content[start + 6 : start + 6 + 3 * components : 3]
            return Picture(rows, columns, components, precision, process=marker, ycc=_ycc(jfif, adobe, names))
    raise BadCodestream("no frame in the JPEG codestream")


def _ycc(jfif: bool, adobe: int | None, names: bytes) -> bool | None:
    if len(names) != 3:
        return None
    if jfif:
        return True
    if adobe is not None:
        return adobe != 0
    if names in (b"RGB", b"rgb"):
        return False
    return None


def _segments(content: bytes) -> list[tuple[int, int, int]]:
    """Marker, start and length of the segments up to the frame header."""
    if content[:2] != b"\xff\xd8":
        raise BadCodestream("no start of image")
    found: list[tuple[int, int, int]] = []
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            raise BadCodestream("a marker is missing")
        marker = content[position + 1]
        position += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _STANDALONE:
            continue
        length = unpack_from(">H", content, position)[0]
        if length < 2 or position + length > len(content):
            break
        found.append((marker, position + 2, length - 2))
        if marker in _FRAME_MARKERS or marker == 0xDA:
            return found
        position += length
    return found


def jpeg_2000(content: bytes) -> Picture:
    """The image of a JPEG 2000 codestream, which may stand inside JP2 boxes; raises `BadCodestream`.

    All components must be of one size and precision (PS3.5 A.4.4).
    """
    start = codestream_start(content)
    try:
        width, height, left, top = unpack_from(">4L", content, start + 8)
        (components,) = unpack_from(">H", content, start + 40)
        layouts = {unpack_from(">3B", content, start + 42 + 3 * number) for number in range(components)}
        transform = _component_transform(content, start + 42 + 3 * components)
    except StructError as error:
        raise BadCodestream("the JPEG 2000 codestream is cut off") from error
    if components > 4 or len(layouts) != 1 or width <= left or height <= top:
        raise BadCodestream("components that a DICOM image cannot have")
    depth, *steps = layouts.pop()
    if steps != [1, 1]:
        raise BadCodestream("subsampled components")
    precision, signed = (depth & 0x7F) + 1, depth >= 0x80
    return Picture(height - top, width - left, components, precision, signed, component_transform=transform)


def codestream_start(content: bytes) -> int:
    """Where the codestream itself begins: the markers SOC and SIZ. Raises `BadCodestream`."""
    start = content.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or (start and content[4:8] != b"jP  "):
        raise BadCodestream("no JPEG 2000 codestream")
    return start


def _component_transform(content: bytes, position: int) -> bool:
    """Whether the coding style of the main header says that components were transformed (T.800 A.6.1)."""
    while True:
        marker, length = unpack_from(">2H", content, position)
        if marker == 0xFF52:
            return bool(unpack_from(">B", content, position + 8)[0])
        if marker < 0xFF30 or marker == 0xFF90 or length < 2:
            raise BadCodestream("no coding style in the JPEG 2000 header")
        position += 2 + length
