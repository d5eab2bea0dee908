"""Decoded numbers brought into the containers of the data set."""

import numpy as np
from numpy.typing import NDArray

from ..codestream import Picture
from ..pixels import PixelLayout, Undecodable
from ..samples import Samples


def check_size(picture: Picture, layout: PixelLayout) -> None:
    """Raises `Undecodable` unless the codestream holds the picture that the data set describes."""
    announced = (layout.rows, layout.columns, layout.samples)
    if (picture.rows, picture.columns, picture.components) != announced:
        raise Undecodable(f"the codestream is {picture.rows} x {picture.columns} x {picture.components}")
    if picture.precision > layout.allocated:
        raise Undecodable(f"{picture.precision} bits do not fit into {layout.allocated}")


def contain(numbers: NDArray[np.integer], picture: Picture, layout: PixelLayout) -> Samples:
    """`numbers` as the bits that the same samples have in a native frame.

    Codestreams without a sign, or with one that Pixel Representation denies, hold the bits of the samples: they are
    extended by the sign that the data set knows (PS3.5 8.2.3, 8.2.4).
    """
    container = np.dtype(f"<i{layout.allocated // 8}")
    samples = numbers.astype(container)
    unused = layout.allocated - picture.precision
    if unused and layout.signed != picture.signed:
        samples = samples << unused
        samples = samples >> unused if layout.signed else samples.view(_unsigned(layout)) >> unused
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    return samples.view(_unsigned(layout)).reshape(shape)


def _unsigned(layout: PixelLayout) -> str:
    return f"<u{layout.allocated // 8}"
