"""The new version of a file that an update of some attributes makes (PLT-74, PLT-75).

It is given in pieces, most of them spans of the old file, so that pixel data is never in memory. Deflated files are the
exception: they are inflated, as for every reading, and deflated anew.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from struct import unpack_from

from . import dictionary
from .charset_encoding import UNICODE, encoded
from .charsets import character_set
from .data_set import PIXELS
from .file_meta import Content, EncodedDataSet, open_file
from .part10 import IMPLEMENTATION_CLASS, Writer, file_beginning
from .pieces import Piece, Span
from .required import SOP_CLASS_UID, SOP_INSTANCE_UID
from .rewrite import CHARACTER_SET, ElementWriter, Lossy, UnicodeWriter, padded
from .scan import Buffer, Element, Encoding, Malformed, elements
from .unreadable import UnreadableFile
from .updatable import UPDATABLE

_CHUNK = 1024 * 1024
_SHORTEST = 8
"""Bytes of an element's header; what is left over at the end of a file and shorter is padding."""


class Unchangeable(Exception):
    """No new version can be made of a file: it is not read to its end, or values would be lost."""


def new_version(content: Content, changes: Mapping[int, str], version: str) -> list[Piece]:
    """The file with other values of `changes`: texts by tag, several values divided by backslashes.

    `version` names the service as the writer of the file. Spans are of `content`. Raises `Unchangeable`.
    """
    try:
        source = open_file(content)
        encoding = Encoding(source.implicit, source.order == ">")
        survey = _survey(source, encoding, changes)
        values = _encoded_values(survey, changes)
        writer = Writer(IMPLEMENTATION_CLASS, version)
        sop_class, sop_instance = survey.uids.get(SOP_CLASS_UID, b""), survey.uids.get(SOP_INSTANCE_UID, b"")
        beginning = file_beginning(content, source, source.transfer_syntax, sop_class, sop_instance, writer)
        pieces = _data_set(source, encoding, survey, values)
    except (UnreadableFile, Malformed, Lossy) as error:
        raise Unchangeable(str(error)) from error
    if source.deflated_at is not None:
        return [beginning, *_deflated(source.content, pieces)]
    return [beginning, *pieces]


@dataclass(slots=True)
class _Survey:
    """What a look over all elements tells: where they `end` and whether what comes then is no element that is known,
    which of the changes are `there`, and the character set. It is `late` where other elements stand before it, of which
    readers think differently."""

    end: int
    charset: bytes = b""
    charset_there: bool = False
    charset_late: bool = False
    pixels: bool = False
    cut: bool = False
    there: set[int] = field(default_factory=set)
    uids: dict[int, bytes] = field(default_factory=dict)


def _survey(source: EncodedDataSet, encoding: Encoding, changes: Mapping[int, str]) -> _Survey:
    buffer = source.content
    found = _Survey(source.start)
    largest = 0
    try:
        for element in _elements(buffer, source.start, len(buffer), encoding):
            tag = element.tag
            if tag == CHARACTER_SET:
                found.charset_late |= found.charset_there or largest > tag
                found.charset, found.charset_there = bytes(buffer[element.value : element.end]), True
            elif tag in changes:
                found.there.add(tag)
            elif tag in (SOP_CLASS_UID, SOP_INSTANCE_UID):
                found.uids[tag] = bytes(buffer[element.value : element.end])
            found.pixels |= tag in PIXELS
            largest = max(largest, tag)
            found.end = element.next
    except Malformed:
        found.cut = len(buffer) - found.end >= _SHORTEST
    if found.cut and not found.pixels:
        _check_rest(buffer, found, changes, encoding)
    return found


def _elements(buffer: Buffer, start: int, end: int, encoding: Encoding) -> Iterator[Element]:
    """The elements of the whole data set. Some writers drop into implicit encoding for one in the middle of a file."""
    position = start
    while True:
        try:
            for element in elements(buffer, position, end, encoding):
                yield element
                position = element.next
            return
        except Malformed:
            if encoding.implicit or end - position < _SHORTEST or bytes(buffer[position + 4 : position + 6]).isalpha():
                raise
            group, number = unpack_from(encoding.order + "HH", buffer, position)
            if dictionary.entry(group << 16 | number) is None:
                raise
            implicit = next(elements(buffer, position, end, replace(encoding, implicit=True)))
            yield implicit
            position = implicit.next


def _check_rest(buffer: Buffer, found: _Survey, changes: Mapping[int, str], encoding: Encoding) -> None:
    """Whether what cannot be read has its place behind all changes; if not, something of them may be in it."""
    group, number = unpack_from(encoding.order + "HH", buffer, found.end)
    if any(group << 16 | number <= changed for changed in changes.keys() - found.there):
        raise Malformed(f"no element can be read at {found.end}")


def _encoded_values(survey: _Survey, changes: Mapping[int, str]) -> "_Values":
    """The new values in the character set of the file or, if one of them does not fit, all in UTF-8."""
    if survey.charset_late and not all(map(str.isascii, changes.values())):
        raise Lossy("Specific Character Set behind other elements")
    in_place = {tag: encoded(text, survey.charset, name=UPDATABLE[tag] == "PN") for tag, text in changes.items()}
    fitting = {tag: padded(value) for tag, value in in_place.items() if value is not None}
    if len(fitting) == len(changes):
        return _Values(fitting, unicode=False)
    if survey.cut and not survey.pixels:
        raise Malformed(f"no element can be read at {survey.end}")
    return _Values({tag: padded(text.encode()) for tag, text in changes.items()}, unicode=True)


@dataclass(frozen=True, slots=True)
class _Values:
    by_tag: Mapping[int, bytes]
    unicode: bool


def _data_set(source: EncodedDataSet, encoding: Encoding, survey: _Survey, values: _Values) -> list[Piece]:
    buffer = source.content
    writer = ElementWriter(buffer, encoding)
    unicode = UnicodeWriter(buffer, encoding, writer, character_set(survey.charset)) if values.unicode else None
    put = {tag: (UPDATABLE[tag].encode("ascii"), value) for tag, value in values.by_tag.items()}
    if values.unicode:
        put[CHARACTER_SET] = b"CS", UNICODE
    missing = sorted(put.keys() - survey.there - ({CHARACTER_SET} if survey.charset_there else set()))
    for element in _elements(buffer, source.start, survey.end, encoding):
        while missing and missing[0] < element.tag:
            tag = missing.pop(0)
            writer.put(tag, *put[tag])
        if element.tag in put:
            writer.put(element.tag, *put[element.tag])
        elif unicode is None:
            writer.copy(element)
        else:
            unicode.copy(element)
    for tag in missing:
        writer.put(tag, *put[tag])
    writer.close()
    writer.pieces.copy(survey.end, len(buffer))
    return writer.pieces.list


def _deflated(inflated: Buffer, pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The data set as a deflate stream (PS3.5 A.5), of even length."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for piece in pieces:
        for chunk in _chunks(inflated, piece):
            size += len(deflated := deflater.compress(chunk))
            if deflated:
                yield deflated
    size += len(deflated := deflater.flush())
    yield deflated + bytes(size % 2)


def _chunks(source: Buffer, piece: Piece) -> Iterator[bytes]:
    if not isinstance(piece, Span):
        yield piece
        return
    for start in range(piece.start, piece.start + piece.length, _CHUNK):
        yield bytes(source[start : min(start + _CHUNK, piece.start + piece.length)])
