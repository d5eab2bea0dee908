"""Where the frames of an instance lie in its file, so that one of them is one small read (RET-46 to RET-49, RET-51)."""

import sys
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from operator import add
from struct import Struct
from typing import overload

Bytes = bytes | memoryview
"""Of a frame: on their own, or where they lie in a file that was read as a whole."""

_HEAD = Struct("<BQQQQQ")
_NATIVE, _ENCAPSULATED = 1, 2


@dataclass(frozen=True, slots=True)
class EncapsulatedFrames:
    """Positions and lengths of all fragments in the file; frame n has those from `first[n - 1]` up to `first[n]`."""

    first: "array[int]"
    positions: "array[int]"
    lengths: "array[int]"


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Frames are counted from 1. `number_of_frames` are announced, the first `present` of them are in the file.

    Native frames of `frame_bits` bits lie one behind the other from `start`. If the instance is deflated, the data set
    has to be inflated first: `deflated_at` is where it begins in the file, and positions count from its first byte.
    """

    number_of_frames: int
    present: int
    start: int = 0
    frame_bits: int = 0
    deflated_at: int | None = None
    fragments: EncapsulatedFrames | None = None

    @property
    def encapsulated(self) -> bool:
        """Whether frames are compressed, or at least in fragments (PS3.5 A.4)."""
        return self.fragments is not None

    @property
    def complete(self) -> bool:
        """Whether every announced frame is in the file."""
        return self.present == self.number_of_frames

    @property
    def bits(self) -> int:
        """Bits of a frame if frames need not begin on a byte, so that `cut` has work to do; else 0 (PS3.5 8.1.1)."""
        return self.frame_bits if self.frame_bits % 8 else 0

    def pieces(self, frame: int) -> list[tuple[int, int]]:
        """Positions and lengths of the bytes of a frame, in order; raises `IndexError` if it is not there (RET-51)."""
        if not 1 <= frame <= self.present:
            raise IndexError(frame)
        if self.fragments is None:
            begin, end = (frame - 1) * self.frame_bits, frame * self.frame_bits
            return [(self.start + begin // 8, (end + 7) // 8 - begin // 8)]
        first, last = self.fragments.first[frame - 1 : frame + 1]
        positions, lengths = self.fragments.positions[first:last], self.fragments.lengths[first:last]
        pieces = [piece for piece in zip(positions, lengths, strict=True) if piece[1]]
        if not pieces:
            raise IndexError(frame)
        return pieces

    @overload
    def cut(self, frame: int, data: bytes) -> bytes: ...

    @overload
    def cut(self, frame: int, data: Bytes) -> Bytes: ...

    def cut(self, frame: int, data: Bytes) -> Bytes:
        """The frame, given the bytes of its pieces: bits that begin within a byte are moved to its start (RET-46)."""
        if not self.bits:
            return data
        first = (frame - 1) * self.bits % 8
        pixels = int.from_bytes(data, "little") >> first & ((1 << self.bits) - 1)
        return pixels.to_bytes((self.bits + 7) // 8, "little")

    def pack(self) -> bytes:
        """For storage; small also for ten thousand frames."""
        kind = _NATIVE if self.fragments is None else _ENCAPSULATED
        deflated = 0 if self.deflated_at is None else self.deflated_at + 1
        head = _HEAD.pack(kind, self.number_of_frames, self.present, self.start, self.frame_bits, deflated)
        return head if self.fragments is None else head + _packed_fragments(self.fragments)

    @classmethod
    def unpack(cls, packed: bytes) -> "FrameTable":
        """The table that `pack` was called on."""
        kind, number_of_frames, present, start, frame_bits, deflated = _HEAD.unpack_from(packed)
        fragments = None if kind == _NATIVE else _unpacked_fragments(packed[_HEAD.size :])
        return cls(number_of_frames, present, start, frame_bits, deflated - 1 if deflated else None, fragments)


_COUNTS = Struct("<QQ")


def packed_fragments(packed: bytes) -> int:
    """How many fragments the table has that `pack` gave; its length does not tell."""
    return 0 if packed[0] == _NATIVE else int(_COUNTS.unpack_from(packed, _HEAD.size)[1])


def _packed_fragments(fragments: EncapsulatedFrames) -> bytes:
    """Gaps between fragments are nearly always the eight bytes of a header, counts nearly always 1: both vanish."""
    first, positions, lengths = fragments.first, fragments.positions, fragments.lengths
    counts = array("Q", (after - before for before, after in pairwise(first)))
    ends = map(add, positions, lengths)
    gaps = array("Q", (position - end for position, end in zip(positions, chain((0,), ends), strict=False)))
    planes = b"".join(map(_planes, (counts, gaps, array("Q", lengths))))
    return _COUNTS.pack(len(counts), len(gaps)) + zlib.compress(planes)


def _unpacked_fragments(packed: bytes) -> EncapsulatedFrames:
    frames, fragments = _COUNTS.unpack_from(packed)
    planes = zlib.decompress(packed[_COUNTS.size :])
    counts = _numbers(planes[: 8 * frames])
    gaps = _numbers(planes[8 * frames : 8 * (frames + fragments)])
    lengths = _numbers(planes[8 * (frames + fragments) :])
    positions = accumulate(map(add, gaps, chain((0,), lengths)))
    return EncapsulatedFrames(array("Q", accumulate(counts, initial=0)), array("Q", positions), lengths)


def _planes(numbers: "array[int]") -> bytes:
    """All lowest bytes, then all second bytes and so on: the high ones, alike or zero, compress to nothing."""
    data = _little_endian(numbers).tobytes()
    return b"".join(data[plane::8] for plane in range(8))


def _numbers(planes: bytes) -> "array[int]":
    count = len(planes) // 8
    data = bytearray(len(planes))
    for plane in range(8):
        data[plane::8] = planes[plane * count : (plane + 1) * count]
    return _little_endian(array("Q", bytes(data)))


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers


def encapsulated_frames(first: Iterable[int], positions: "array[int]", lengths: "array[int]") -> EncapsulatedFrames:
    """`first` has the index of the first fragment of each frame, and behind them that of the first beyond the last."""
    starts = array("Q", first)
    return EncapsulatedFrames(starts, positions[: starts[-1]], array("Q", lengths[: starts[-1]]))
