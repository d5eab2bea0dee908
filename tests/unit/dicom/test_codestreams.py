"""What codestreams say of themselves, and the decoders behind their common shape."""

import importlib
import io
import subprocess
import sys
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.pixels.processing import _expand_segmented_lut

from shared.dicom import codestream, decoders
from shared.dicom.codestream import BadCodestream
from shared.dicom.decoders import decode_frame
from shared.dicom.pixels import PixelLayout, Undecodable
from shared.dicom.segmented_palettes import expand

pytestmark = pytest.mark.unit

BASELINE, J2K, RLE, JPEG_LS = (f"1.2.840.10008.1.2.{end}" for end in ("4.50", "4.91", "5", "4.80"))


def layout(rows: int, columns: int, samples: int = 1, photometric: str = "MONOCHROME2") -> PixelLayout:
    return PixelLayout(rows, columns, samples, 8, 8, 7, False, photometric, False)


def jpeg(mode: str = "L", **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (30, 20), 100 if mode == "L" else (10, 200, 30)).save(out, "JPEG", **options)
    return out.getvalue()


def test_jpeg_header() -> None:
    """RET-97"""
    grey = codestream.jpeg(jpeg())
    assert (grey.rows, grey.columns, grey.components, grey.precision, grey.process) == (20, 30, 1, 8, 0xC0)
    assert codestream.jpeg(jpeg("RGB")).ycc is True
    assert codestream.jpeg(jpeg("RGB", progressive=True)).process == 0xC2


def without_markers(content: bytes, app14: int | None = None) -> bytes:
    """Without its JFIF marker, and with an Adobe marker if a transform is given."""
    length = int.from_bytes(content[4:6], "big")
    assert content[2:4] == b"\xff\xe0"
    adobe = b"" if app14 is None else b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([app14])
    return content[:2] + adobe + content[4 + length :]


@pytest.mark.parametrize(
    ("app14", "photometric", "transformed"),
    [
        (1, "RGB", True),
        (0, "YBR_FULL", False),
        (None, "RGB", False),
        (None, "YBR_FULL_422", True),
    ],
)
def test_colour_transform(app14: int | None, photometric: str, transformed: bool) -> None:
    """RET-97: the markers decide, and Photometric Interpretation where there are none"""
    content = without_markers(jpeg("RGB", quality=100, subsampling=0), app14)
    assert codestream.jpeg(content).ycc is (None if app14 is None else app14 == 1)
    samples = decode_frame(content, layout(20, 30, 3, photometric), BASELINE)
    colours = samples[5, 5].astype(int)
    with Image.open(io.BytesIO(jpeg("RGB", quality=100, subsampling=0))) as image:
        expected = np.asarray(image if transformed else image.convert("YCbCr"))[5, 5].astype(int)
    assert np.abs(colours - expected).max() <= 2


def test_jpeg_2000_header() -> None:
    """RET-97: size, precision and component transform, inside JP2 boxes too"""
    for boxes in (False, True):
        out = io.BytesIO()
        Image.new("RGB", (30, 20)).save(out, "JPEG2000", no_jp2=not boxes, mct=1)
        found = codestream.jpeg_2000(out.getvalue())
        assert (found.rows, found.columns, found.components, found.precision) == (20, 30, 3, 8)
        assert found.component_transform


@pytest.mark.parametrize("syntax", [BASELINE, J2K, JPEG_LS])
@pytest.mark.parametrize("size", [(20, 31, 1), (21, 30, 1), (20, 30, 3)])
def test_sizes_must_agree(syntax: str, size: tuple[int, int, int]) -> None:
    """RET-84: no library is asked for a picture of another size than the data set announces"""
    out = io.BytesIO()
    Image.new("L", (30, 20)).save(out, "JPEG2000" if syntax == J2K else "JPEG")
    with pytest.raises(Undecodable):
        decode_frame(out.getvalue(), layout(*size), syntax)


def test_too_large() -> None:
    """RET-84: nothing of such a size is decoded, whatever stands behind it"""
    size = pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 65535, 65535, 1) + b"\1\x11\0"
    with pytest.raises(Undecodable, match="no decoder is asked for"):
        decode_frame(b"\xff\xd8" + size, layout(65535, 65535), BASELINE)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\0\2", b"\xff\xd8\xff\xe0\0\0"]
)
def test_no_jpeg(content: bytes) -> None:
    """RET-84"""
    with pytest.raises(BadCodestream):
        codestream.jpeg(content)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \xff\x4f\xff\x51"]),
)
def test_any_header(content: bytes, start: bytes) -> None:
    """RET-84: read, or bad; 300 examples"""
    for read in (codestream.jpeg, codestream.jpeg_2000):
        try:
            read(start + content)
        except BadCodestream:
            continue


# ------------------------------------------------------------------ plugins


def test_table_of_decoders() -> None:
    """RET-31: every module names what it is listed for"""
    for syntax, name in decoders._MODULES.items():
        module = importlib.import_module(f"{decoders.__name__}.{name}")
        assert syntax in module.TRANSFER_SYNTAXES
    names = set(decoders._MODULES.values())
    listed = {
        syntax for name in names for syntax in importlib.import_module(f"{decoders.__name__}.{name}").TRANSFER_SYNTAXES
    }
    assert listed == set(decoders._MODULES)


def test_libraries_come_when_needed() -> None:
    """design: numpy, Pillow and codecs are not imported before a pixel is decoded"""
    code = (
        "import sys, shared.routes.studies, shared.dicom.codec_process\n"
        "heavy = {'numpy', 'PIL', 'gdcm', 'openjpeg', 'rle', 'pydicom.pixels'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_unknown_transfer_syntax() -> None:
    """RET-34"""
    with pytest.raises(Undecodable):
        decode_frame(b"", layout(1, 1), "1.2.840.10008.1.2.4.100")


# ------------------------------------------------------------------ segmented palettes


@pytest.mark.parametrize(
    "segments",
    [
        [0, 3, 1, 2, 3],
        [0, 1, 10, 1, 5, 20],
        [0, 2, 10, 200, 1, 4, 3, 0, 1, 7],
        [0, 2, 10, 200, 1, 4, 3, 2, 2, 0, 0, 0, 0, 0, 1, 9],
    ],
)
def test_segments_in_bytes(segments: list[int]) -> None:
    """RET-98: discrete, linear and repeated segments, as pydicom expands them"""
    assert expand(segments, 65536, bytewise=True) == _expand_segmented_lut(tuple(segments), "<B")


def test_segments_in_words() -> None:
    """RET-98: positions count in bytes"""
    segments = [0, 2, 1000, 2000, 1, 2, 0, 2, 1, 8, 0]
    assert expand(segments, 65536, bytewise=False) == [1000, 2000, 1000, 0, 0, 0]
    assert expand(segments, 3, bytewise=False) == [1000, 2000, 1000]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 255), max_size=40), st.booleans())
def test_any_segments(segments: list[int], bytewise: bool) -> None:
    """RET-98: no more entries than announced, and an end; 300 examples"""
    assert len(expand(segments, 500, bytewise=bytewise)) <= 500
