"""How elements are encoded, as tables: headers, VRs and the converter of each (PS3.5 7.1.2, 7.1.3)."""

from collections.abc import Mapping
from functools import cache
from struct import Struct

from . import dictionary
from .json_values import Converter, Element, converters
from .scan import LONG_FORM

LUT_DESCRIPTORS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))
"""Their first value is unsigned whatever their VR (PS3.3 C.11.1.1.1)."""

SPECIAL = frozenset(("SQ", "SS"))
"""VRs that a converter alone cannot do justice to; SS because of the LUT descriptors."""


class Coding:
    """An encoding: with or without VRs, and a byte order.

    `by_code` has VR, converter and whether the length takes 32 bits for the two bytes of a VR; `by_tag` has VR,
    converter and JSON key for a public attribute. The converter is None where more than that has to be done.
    """

    __slots__ = ("by_code", "by_tag", "convert", "header", "implicit", "long", "order", "short")

    def __init__(self, implicit: bool, order: str) -> None:
        self.implicit = implicit
        self.order = order
        self.short = Struct(order + "HH2sH").unpack_from
        self.header = Struct(order + "HHL").unpack_from
        self.long = Struct(order + "L").unpack_from
        self.convert: Mapping[str, Converter] = converters(order)
        ordinary = {vr: convert for vr, convert in self.convert.items() if vr not in SPECIAL}
        self.by_code: Mapping[bytes, tuple[str, Converter | None, bool]] = {
            code: (code.decode("ascii"), ordinary.get(code.decode("ascii")), code in LONG_FORM)
            for code in LONG_FORM.union(vr.encode("ascii") for vr in self.convert)
        }
        self.by_tag: Mapping[int, tuple[str, Converter | None, str]] = {
            tag: (entry[0], ordinary.get(entry[0]), f"{tag:08X}") for tag, entry in dictionary.public().items()
        }


@cache
def coding(implicit: bool, order: str) -> Coding:
    """The tables of an encoding; they are made when they are first needed."""
    return Coding(implicit, order)


def known_vr(tag: int, elements: Mapping[str, Element]) -> str:
    """The VR that the dictionaries know, UN if they do not.

    That of a private attribute depends on its creator, which is among the `elements` before it in its data set.
    """
    group, number = tag >> 16, tag & 0xFFFF
    if not group & 1:
        return "UL" if number == 0 else dictionary.vr(tag) or "UN"
    if number <= 0xFF:
        return "LO" if number >= 0x10 else "UN"
    creator = elements.get(f"{group:04X}{number >> 8:04X}", {}).get("Value", [None])[0]
    return dictionary.private_vr(tag, creator) or "UN" if isinstance(creator, str) else "UN"


def first_unsigned(tag: int, element: Element) -> None:
    """The first value of a LUT descriptor counts entries or stands for a pixel; 65,535 of them are no -1."""
    values = element.get("Value")
    if tag in LUT_DESCRIPTORS and values and values[0] < 0:
        values[0] += 0x10000
