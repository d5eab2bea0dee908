"""Single attributes of an encoded data set, read when they are asked for (PS3.5 6.2)."""

import math
from itertools import islice
from struct import Struct

from .byte_order import swapped
from .scan import IMPLICIT_LITTLE, PIXEL_DATA, Buffer, Element, Encoding, elements, items

_BINARY = {b"US": "H", b"SS": "h", b"UL": "L", b"SL": "l", b"FL": "f", b"FD": "d"}


class HeaderValues:
    """The attributes of one data set or item; those of its sequences have `HeaderValues` of their own.

    What is missing, empty or no number reads as None or as nothing at all: whoever asks decides what that means.
    Elements behind Pixel Data are not looked at, so the beginning of a file is enough. Raises `Malformed` at first.
    """

    def __init__(self, buffer: Buffer, start: int, end: int, encoding: Encoding) -> None:
        self._buffer = buffer
        self._encoding = encoding
        self._elements: dict[int, Element] = {}
        self.pixel_data: Element | None = None
        for element in elements(buffer, start, end, encoding):
            if element.tag == PIXEL_DATA:
                self.pixel_data = element
                break
            self._elements[element.tag] = element

    @property
    def held_bytes(self) -> int:
        """How many bytes stay in memory with these values."""
        return len(self._buffer)

    def __contains__(self, tag: int) -> bool:
        return tag in self._elements

    def raw(self, tag: int) -> bytes:
        """The bytes of a value as they are encoded."""
        element = self._elements.get(tag)
        return bytes(self._buffer[element.value : element.end]) if element else b""

    def words(self, tag: int, vr: bytes = b"US") -> tuple[int, ...]:
        """Binary numbers: `vr` is their VR where the encoding has none, or another one than for numbers."""
        return tuple(int(number) for number in self._binary(tag, vr))

    def word(self, tag: int, vr: bytes = b"US") -> int | None:
        """The first of `words`."""
        return next(iter(self.words(tag, vr)), None)

    def words_as_bytes(self, tag: int) -> bytes:
        """A value that holds 16-bit words, little endian whatever the encoding; bytes (OB) are left as they are."""
        element = self._elements.get(tag)
        value = self.raw(tag)
        return swapped(value, 2) if element and self._encoding.big_endian and element.vr != b"OB" else value

    def text(self, tag: int) -> str:
        """The whole value as ASCII-like text without padding."""
        return self.raw(tag).decode("latin-1").strip(" \0")

    def number(self, tag: int) -> float | None:
        """The first value of a number string (DS, IS), finite."""
        try:
            number = float(self.text(tag).partition("\\")[0])
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def item(self, tag: int, index: int = 0) -> "HeaderValues | None":
        """One item of a sequence; those before it are skipped, not read."""
        sequence = self._elements.get(tag)
        if sequence is None:
            return None
        # A UN of any length holds implicit little endian (PS3.5 6.2.2).
        encoding = IMPLICIT_LITTLE if sequence.vr == b"UN" else self._encoding
        item = next(islice(items(self._buffer, sequence, encoding), index, None), None)
        return None if item is None else HeaderValues(self._buffer, item.value, item.end, encoding)

    def _binary(self, tag: int, vr: bytes) -> tuple[float, ...]:
        element = self._elements.get(tag)
        if element is None:
            return ()
        own = element.vr if element.vr in _BINARY else vr
        form = Struct(self._encoding.order + _BINARY[own])
        whole = element.value + (element.end - element.value) // form.size * form.size
        return tuple(value for (value,) in form.iter_unpack(self._buffer[element.value : whole]))
