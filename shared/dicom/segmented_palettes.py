"""Palettes that are stored as segments (PS3.3 C.7.9.2)."""

from collections.abc import Sequence

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2
_MOST_SEGMENTS = 2 * 65536
"""As many as a table of 65,536 entries can need: each of them a segment, and each of these repeated by another."""


def expand(data: Sequence[int], count: int, *, bytewise: bool) -> list[int]:
    """The entries, at most `count`, that the segments in `data` stand for; what cannot be read ends the table.

    `bytewise` says that `data` is made of bytes, not of 16-bit words: a position inside it is then split into four.
    """
    entries: list[int] = []
    returns: list[tuple[int, int]] = []  # where to go on, and how many segments are left, after a repetition
    position, left = 0, _MOST_SEGMENTS
    for _ in range(_MOST_SEGMENTS):
        while not left and returns:
            position, left = returns.pop()
        if position + 2 > len(data) or len(entries) >= count:
            break
        kind, length = data[position], data[position + 1]
        left -= 1
        if kind == _DISCRETE:
            entries += data[position + 2 : position + 2 + length]
            position += 2 + length
        elif kind == _LINEAR and entries and position + 2 < len(data):
            start, end = entries[-1], data[position + 2]
            entries += (round(start + (end - start) * step / length) for step in range(1, length + 1))
            position += 3
        elif kind == _INDIRECT and not returns:
            parts = data[position + 2 : position + (6 if bytewise else 4)]
            returns.append((position + 2 + len(parts), left))
            offset = sum(part << (8 if bytewise else 16) * place for place, part in enumerate(parts))
            position, left = offset if bytewise else offset // 2, length
        else:
            break
    return entries[:count]
