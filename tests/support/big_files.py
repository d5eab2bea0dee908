"""Large DICOM files made piece by piece, so that a test never holds one of them."""

import hashlib
import struct
from collections.abc import Iterable, Iterator

from tests.support.made_files import BOUNDARY, made_file

PIECE = b"\x5a\xa5\x00\xff" * 65536
"""Pixel data is this again and again."""

COLUMNS = 1024


class BigFile:
    """A secondary capture image with about `size` bytes of pixel data."""

    def __init__(self, key: tuple[str, str, str], size: int) -> None:
        rows = max(size // (COLUMNS * 2), 1)
        self._pixels = rows * COLUMNS * 2
        header = made_file(
            *key,
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=min(rows, 65535),
            Columns=COLUMNS,
            BitsAllocated=16,
            BitsStored=16,
            HighBit=15,
            PixelRepresentation=0,
        )
        self._header = header + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, self._pixels)
        self.size = len(self._header) + self._pixels

    def pieces(self) -> Iterator[bytes]:
        """The file from its first byte to its last."""
        yield self._header
        left = self._pixels
        while left:
            piece = PIECE[:left]
            yield piece
            left -= len(piece)

    def pixel_digest(self, pieces: Iterable[bytes]) -> str:
        """SHA-256 of what stands behind the header of Pixel Data in this file or a version of it."""
        digest, head, found = hashlib.sha256(), b"", False
        for piece in pieces:
            if found:
                digest.update(piece)
            else:
                head += piece
                start = head.find(self._header[-12:])
                found = start >= 0
                if found:
                    digest.update(head[start:])
        return digest.hexdigest()

    def digest(self) -> str:
        """SHA-256 of the file."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


def body_of(files: list[BigFile]) -> Iterator[bytes]:
    """The files as one multipart/related body."""
    for file in files:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield from file.pieces()
        yield b"\r\n"
    yield f"--{BOUNDARY}--".encode()
