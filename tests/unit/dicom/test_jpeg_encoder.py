"""JPEG of pictures: the bytes are those of Pillow's encoder, whoever writes them."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.dicom.jpeg_encoder import encode_jpeg
from shared.dicom.pixels import Undecodable

pytestmark = pytest.mark.unit

sizes = st.one_of(st.integers(1, 70), st.sampled_from([255, 256, 257]))


@settings(max_examples=200, deadline=None, database=None)
@given(sizes, sizes, st.booleans(), st.integers(1, 100), st.integers(0, 3), st.sampled_from([0, 1]))
def test_the_bytes_are_those_of_pillow(
    rows: int, columns: int, coloured: bool, quality: int, seed: int, strided: int
) -> None:
    """RET-84, RET-86: grey and RGB, any size and quality, noise and gradients; 200 examples."""
    shape = (rows, columns, 3) if coloured else (rows, columns)
    ramp = np.linspace(0, 255, rows * columns * (3 if coloured else 1)).reshape(shape).astype(np.uint8)
    picture = ramp if seed == 0 else np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    picture = picture[::-1] if strided else picture
    expected = io.BytesIO()
    Image.fromarray(picture).save(expected, "JPEG", quality=quality, subsampling=0)
    assert encode_jpeg(picture, quality) == expected.getvalue()


@pytest.mark.parametrize("quality", [90, 100])
@pytest.mark.parametrize("shape", [(1, 65_500), (65_500, 2, 3)])
def test_long_pictures(shape: tuple[int, ...], quality: int) -> None:
    """RET-84: up to the longest side that libjpeg takes, and no further."""
    picture = np.zeros(shape, np.uint8)
    assert Image.open(io.BytesIO(encode_jpeg(picture, quality))).size == (shape[1], shape[0])
    longer = np.zeros((shape[0] + (shape[0] > 1), shape[1] + (shape[0] == 1), *shape[2:]), np.uint8)
    with pytest.raises(Undecodable):
        encode_jpeg(longer, quality)
