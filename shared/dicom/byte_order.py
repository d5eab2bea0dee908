"""Byte order of binary values (PS3.5 7.3)."""

from .scan import Buffer


def swapped(value: Buffer, width: int) -> bytes:
    """`value` with the bytes of every `width` turned round; what is left over at the end stays."""
    turned = bytearray(value)
    whole = len(turned) - len(turned) % width
    for place in range(width):
        turned[place:whole:width] = value[width - 1 - place : whole : width]
    return bytes(turned)
