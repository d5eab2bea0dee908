"""The beginning of a file that the service writes: preamble and file meta information (PS3.10 7.1)."""

from .file_meta import EncodedDataSet
from .recode import Recoder
from .scan import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Buffer, elements

IMPLEMENTATION_CLASS = "1.3.6.1.4.1.311.129"
"""Implementation Class UID of files that had no file meta information and get it from the service."""

_PREAMBLE = 132
_GROUP_LENGTH, _VERSION, _SOP_CLASS, _SOP_INSTANCE = 0x00020000, 0x00020001, 0x00020002, 0x00020003
_TRANSFER_SYNTAX, _IMPLEMENTATION_CLASS = 0x00020010, 0x00020012


def file_beginning(
    content: Buffer, data_set: EncodedDataSet, transfer_syntax: str, sop_class: bytes, sop_instance: bytes
) -> bytes:
    """Preamble and file meta information for the data set of a file in another transfer syntax (RET-37).

    What `content` says of itself stays, but for the transfer syntax and the length of the group. If it says nothing,
    the UIDs of the data set, encoded, are used.
    """
    begin = _PREAMBLE if data_set.has_preamble else 0
    end = data_set.start if data_set.deflated_at is None else data_set.deflated_at
    encoding = EXPLICIT_LITTLE if bytes(content[begin + 4 : begin + 6]).isalpha() else IMPLICIT_LITTLE
    group = bytearray()
    writer = Recoder(content, encoding, group)
    stated = [element for element in elements(content, begin, end, encoding) if element.tag > _GROUP_LENGTH]
    if not stated:
        writer.put(_VERSION, b"OB", b"\0\1")
        writer.put(_SOP_CLASS, b"UI", sop_class)
        writer.put(_SOP_INSTANCE, b"UI", sop_instance)
    for element in stated:
        if element.tag < _TRANSFER_SYNTAX:
            writer.copy(element)
    writer.put(_TRANSFER_SYNTAX, b"UI", _encoded(transfer_syntax))
    for element in stated:
        if element.tag > _TRANSFER_SYNTAX:
            writer.copy(element)
    if not stated:
        writer.put(_IMPLEMENTATION_CLASS, b"UI", _encoded(IMPLEMENTATION_CLASS))
    head = bytearray(128) + b"DICM"
    Recoder(b"", EXPLICIT_LITTLE, head).put(_GROUP_LENGTH, b"UL", len(group).to_bytes(4, "little"))
    return bytes(head + group)


def _encoded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
