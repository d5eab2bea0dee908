"""The value representation of elements that are encoded without one (PS3.5 A.1, PS3.6)."""

from dataclasses import dataclass, field

from . import dictionary

_LUT_DESCRIPTORS = frozenset({0x00281101, 0x00281102, 0x00281103, 0x00283002})


@dataclass(slots=True)
class Scope:
    """What the VR of an element may depend on: earlier elements of its data set, and the data set around that."""

    signed: bool = False
    creators: dict[int, str] = field(default_factory=dict)

    def note(self, tag: int, value: bytes) -> None:
        """Takes notice of an element that others depend on: Pixel Representation and private creators."""
        if tag == 0x00280103:
            self.signed = value[:1] == b"\1"
        elif tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
            self.creators[(tag >> 16) << 8 | tag & 0xFF] = value.decode("latin-1").rstrip(" \0")

    def inner(self) -> "Scope":
        """The scope of an item: Pixel Representation holds on, private blocks do not."""
        return Scope(self.signed)

    def vr(self, tag: int) -> bytes:
        """The VR of `tag`; UN for what no dictionary knows."""
        group, number = tag >> 16, tag & 0xFFFF
        if number == 0:
            return b"UL"
        if group & 1:
            if number <= 0xFF:
                return b"LO" if number >= 0x10 else b"UN"
            creator = self.creators.get(group << 8 | number >> 8)
            vr = dictionary.private_vr(tag, creator) if creator else None
        else:
            vr = dictionary.vr(tag)
        if vr == "US or SS" or tag in _LUT_DESCRIPTORS:
            return b"SS" if self.signed else b"US"
        if vr is None or len(vr) == 2:
            return (vr or "UN").encode("ascii")
        return b"OW"  # US or OW, OB or OW: words hold either
