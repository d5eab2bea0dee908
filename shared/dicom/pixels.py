"""How the samples of an image are laid out (PS3.3 C.7.6.3, PS3.5 8)."""

from dataclasses import dataclass

from .header_values import HeaderValues

MOST_FRAME_BYTES = 1 << 30
"""Frames that are larger when decoded are not worked on."""


class Undecodable(Exception):
    """The pixel data cannot be decoded, or not be encoded as asked."""


class TooLarge(Exception):
    """A frame with more samples than whoever asked for it wants to have worked on here."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The Image Pixel attributes, as the data set has them; what it leaves out has the value that fits most files."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool

    @property
    def subsampled(self) -> bool:
        """Native YBR_FULL_422: two samples per pixel, whatever Samples per Pixel says (PS3.3 C.7.6.3.1.2)."""
        return self.photometric == "YBR_FULL_422"

    @property
    def decoded_bytes(self) -> int:
        """Bytes of a frame with all its samples, one container each."""
        return self.rows * self.columns * self.samples * max(1, self.allocated // 8)


def read_layout(values: HeaderValues) -> PixelLayout | None:
    """The layout that a data set describes; None without Rows, Columns or Bits Allocated (RET-51)."""
    rows, columns, allocated = values.word(0x00280010), values.word(0x00280011), values.word(0x00280100)
    if not rows or not columns or not allocated:
        return None
    stored = values.word(0x00280101) or allocated
    high_bit = values.word(0x00280102)
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=values.word(0x00280002) or 1,
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=values.word(0x00280103) == 1,
        photometric=values.text(0x00280004).upper(),
        planar=values.word(0x00280006) == 1,
    )
