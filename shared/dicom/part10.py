"""The beginning of a file that the service writes: preamble and file meta information (PS3.10 7.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .file_meta import EncodedDataSet
from .recode import Recoder
from .scan import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Buffer, Element, Encoding, elements

IMPLEMENTATION_CLASS = "1.3.6.1.4.1.311.129"
"""Implementation Class UID of the service, in the files that it has given a new version or their meta information."""

_PREAMBLE = 132
_GROUP_LENGTH, _VERSION, _SOP_CLASS, _SOP_INSTANCE = 0x00020000, 0x00020001, 0x00020002, 0x00020003
_TRANSFER_SYNTAX, _IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION = 0x00020010, 0x00020012, 0x00020013


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a file: Implementation Class UID (0002,0012) and Implementation Version Name (0002,0013)."""

    implementation: str
    version: str


def file_beginning(
    content: Buffer,
    data_set: EncodedDataSet,
    transfer_syntax: str,
    sop_class: bytes,
    sop_instance: bytes,
    writer: Writer | None = None,
) -> bytes:
    """Preamble and file meta information for the data set of a file, as it is or in another transfer syntax (RET-37).

    What `content` says of itself stays, but for the transfer syntax and the length of the group, and who wrote it if
    `writer` is given. If it says nothing, the UIDs of the data set, encoded, are used.
    """
    begin = _PREAMBLE if data_set.has_preamble else 0
    end = data_set.start if data_set.deflated_at is None else data_set.deflated_at
    encoding = EXPLICIT_LITTLE if bytes(content[begin + 4 : begin + 6]).isalpha() else IMPLICIT_LITTLE
    stated = [element for element in elements(content, begin, end, encoding) if element.tag > _GROUP_LENGTH]
    put = {_TRANSFER_SYNTAX: (b"UI", _encoded(transfer_syntax, b"\0"))}
    if not stated:
        put |= {
            _VERSION: (b"OB", b"\0\1"),
            _SOP_CLASS: (b"UI", sop_class),
            _SOP_INSTANCE: (b"UI", sop_instance),
            _IMPLEMENTATION_CLASS: (b"UI", _encoded(IMPLEMENTATION_CLASS, b"\0")),
        }
    if writer is not None:
        put[_IMPLEMENTATION_CLASS] = b"UI", _encoded(writer.implementation, b"\0")
        put[_IMPLEMENTATION_VERSION] = b"SH", _encoded(writer.version, b" ")
    return bytes(128) + b"DICM" + _group(content, encoding, stated, put)


def _group(
    content: Buffer, encoding: Encoding, stated: Iterable[Element], put: Mapping[int, tuple[bytes, bytes]]
) -> bytes:
    """Group 0002 with its length: what the file states, but for what is `put` in its place or added to it."""
    group = bytearray()
    recoder = Recoder(content, encoding, group)
    left = sorted(put)
    for element in stated:
        while left and left[0] <= element.tag:
            tag = left.pop(0)
            recoder.put(tag, *put[tag])
        if element.tag not in put:
            recoder.copy(element)
    for tag in left:
        recoder.put(tag, *put[tag])
    length = bytearray()
    Recoder(b"", EXPLICIT_LITTLE, length).put(_GROUP_LENGTH, b"UL", len(group).to_bytes(4, "little"))
    return bytes(length + group)


def _encoded(text: str, padding: bytes) -> bytes:
    return text.encode("latin-1") + padding * (len(text) % 2)
