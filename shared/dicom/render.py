"""Pictures of frames for display, as JPEG or PNG (PS3.18 8.7.4; RET-84 to RET-100)."""

import io
from functools import lru_cache

from PIL import Image as Pillow

from .colour import rgb
from .frames import Bytes
from .greyscale import GreyscaleDisplay
from .image import Image, read_image
from .image_file import reading
from .jpeg_encoder import encode_jpeg
from .pixels import TooLarge, Undecodable
from .scan import Malformed

HEADERS_KEPT = 16
"""Viewers show one frame of a file after another; what its header says is worked out once."""

LONGEST_KEPT = 64 * 1024
"""Bytes of a header that is kept."""

_GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2", ""})


def needs_first_frame(beginning: bytes, transfer_syntax: str, frame: int) -> bool:
    """Whether the picture of `frame` depends on the values of the first frame also; raises `Undecodable`."""
    image = _image(beginning, transfer_syntax)
    return frame > 1 and image.photometric in _GREYSCALE and _display(image, frame).needs_extremes


def render_frame(
    beginning: bytes,
    transfer_syntax: str,
    frame: int,
    content: Bytes,
    first: Bytes | None,
    media_type: str,
    quality: int,
    *,
    most: int | None = None,
) -> bytes:
    """The picture of a frame, Columns x Rows; raises `Undecodable`, and `TooLarge` if its samples have more than
    `most` bytes, which the header tells before anything is decoded.

    `beginning` is the file up to its pixel data, `content` the frame (counted from 1) as it was cut out of the file,
    `first` the first frame if `needs_first_frame`. `quality` is that of JPEG, 1 to 100.
    """
    image = _image(beginning, transfer_syntax)
    if most is not None and image.layout.decoded_bytes > most:
        raise TooLarge(f"{image.layout.rows} x {image.layout.columns}")
    return _picture(image, frame, content, first, media_type, quality)


def render_frame_of_file(
    content: bytes, transfer_syntax: str, frames: bytes, frame: int, media_type: str, quality: int
) -> bytes:
    """As `render_frame`, out of a whole file with its packed frame table; raises `Undecodable`."""
    with reading(content, transfer_syntax, frames) as file:
        return _picture(file.image(), frame, file.frame(frame), file.frame(1), media_type, quality)


def _picture(image: Image, frame: int, content: Bytes, first: Bytes | None, media_type: str, quality: int) -> bytes:
    samples = image.samples(content)
    if image.photometric in _GREYSCALE and samples.ndim == 2:
        picture = _display(image, frame).show(samples, image.samples(first) if first is not None else None)
    else:
        picture = rgb(samples, image.layout, image.photometric, image.header)
    if media_type == "image/jpeg":
        return encode_jpeg(picture, quality)
    encoded = io.BytesIO()
    Pillow.fromarray(picture).save(encoded, "PNG", compress_level=3)
    return encoded.getvalue()


def _image(beginning: bytes, transfer_syntax: str) -> Image:
    return (_known_image if len(beginning) <= LONGEST_KEPT else read_image)(beginning, transfer_syntax)


_known_image = lru_cache(maxsize=HEADERS_KEPT)(read_image)


def _display(image: Image, frame: int) -> GreyscaleDisplay:
    """What is kept holds on to the bytes of the header, so long ones are not."""
    return (_known_display if image.header.held_bytes <= LONGEST_KEPT else _new_display)(image, frame)


def _new_display(image: Image, frame: int) -> GreyscaleDisplay:
    try:
        return GreyscaleDisplay(image.header, image.layout, frame)
    except Malformed as error:
        raise Undecodable("a sequence cannot be read") from error


_known_display = lru_cache(maxsize=HEADERS_KEPT)(_new_display)
