"""A file that is made from another: what it consists of, without the bytes that both have (PLT-74)."""

from typing import NamedTuple


class Span(NamedTuple):
    """Bytes of the source, from `start` on."""

    start: int
    length: int


Piece = bytes | Span


class Pieces:
    """Pieces one after another; neighbours in the source are one span, however many elements they hold."""

    def __init__(self) -> None:
        self.list: list[Piece] = []
        self.size = 0

    def copy(self, start: int, end: int) -> None:
        """Adds what the source has from `start` to `end`."""
        if start == end:
            return
        last = self.list[-1] if self.list else None
        if isinstance(last, Span) and last.start + last.length == start:
            self.list[-1] = Span(last.start, end - last.start)
        else:
            self.list.append(Span(start, end - start))
        self.size += end - start

    def put(self, data: bytes) -> int:
        """Adds `data`; the number by which it can be replaced."""
        self.list.append(data)
        self.size += len(data)
        return len(self.list) - 1

    def replace(self, number: int, data: bytes) -> None:
        """Puts other bytes, as many, in the place of some that were put."""
        self.list[number] = data

    def extend(self, other: "Pieces") -> None:
        """Adds all of another's."""
        for piece in other.list:
            if isinstance(piece, Span):
                self.copy(piece.start, piece.start + piece.length)
            else:
                self.put(piece)
