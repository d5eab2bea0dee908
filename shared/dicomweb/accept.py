"""What an Accept header asks for, and which of it a resource can give (PS3.18 5.3.2, 8.3.3; RET-10 to RET-20).

Everything here is a table and a walk over it: `OBJECTS`, `SINGLE_OBJECT` and `FRAMES` say what the three kinds of
resources offer, `negotiate` picks. Metadata, searches and stores answer DICOM JSON alone (`covers_dicom_json`),
pictures have a rule of their own (`picture_type`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ..dicom.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, ORIGINAL
from ..errors import NotAcceptable

DICOM = "application/dicom"
OCTET_STREAM = "application/octet-stream"
JPEG_2000 = "image/jp2"
ANYTHING = "*/*"

_NOT_ACCEPTABLE = "The request headers are not acceptable"
_SEVERAL_ENTRIES = "The request contains multiple accept headers, which is not supported."

_DICOM_JSON_RANGES = frozenset({"application/dicom+json", "application/json", "application/*", ANYTHING})
_PICTURES = frozenset({"image/jpeg", "image/png"})
LONGEST_REMEMBERED = 512
"""Characters of Accept header lines that are kept with what they say."""

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header: its type in lower case, its parameters by lower-case name, its quality."""

    type: str
    parameters: dict[str, str] = field(default_factory=dict)
    quality: float = 1.0

    @property
    def is_multipart(self) -> bool:
        return self.type == "multipart/related"

    @property
    def content_type(self) -> str:
        """The type of the content itself: of a multipart range, that of its parts (empty if it names none)."""
        return self.parameters.get("type", "").lower() if self.is_multipart else self.type


@dataclass(frozen=True, slots=True)
class Choice:
    """What was agreed on: the media type of the content, its transfer syntax or `ORIGINAL`, and whether in parts."""

    media_type: str
    transfer_syntax: str
    multipart: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A row of the tables of RET-20 and RET-42.

    `forms` says whether the range may come as a single part (False) and inside multipart/related (True); an answer to
    `*/*` has parts in either case (RET-14). The first of `transfer_syntaxes` is meant when the entry names none.
    """

    range: str
    media_type: str
    forms: frozenset[bool]
    transfer_syntaxes: tuple[str, ...]

    def match(self, entry: MediaRange) -> Choice | None:
        """What `entry` gets by this row, if anything."""
        if entry.content_type != self.range or entry.is_multipart not in self.forms:
            return None
        transfer_syntax = entry.parameters.get("transfer-syntax", self.transfer_syntaxes[0])
        if transfer_syntax not in self.transfer_syntaxes:
            return None
        return Choice(self.media_type, transfer_syntax, entry.is_multipart or self.range == ANYTHING)


_PARTS = frozenset({True})
_EITHER = frozenset({True, False})
_OBJECT_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, ORIGINAL)
_ANY_OBJECT = Offer(ANYTHING, DICOM, _EITHER, (ORIGINAL, EXPLICIT_LITTLE_ENDIAN, JPEG_2000_LOSSLESS))

OBJECTS = (Offer(DICOM, DICOM, _PARTS, _OBJECT_SYNTAXES), _ANY_OBJECT)
"""What a study or a series is given as (RET-20)."""

SINGLE_OBJECT = (Offer(DICOM, DICOM, _EITHER, _OBJECT_SYNTAXES), _ANY_OBJECT)
"""What an instance is given as (RET-20)."""

FRAMES = (
    Offer(OCTET_STREAM, OCTET_STREAM, _EITHER, (EXPLICIT_LITTLE_ENDIAN, ORIGINAL)),
    Offer(JPEG_2000, JPEG_2000, _PARTS, (JPEG_2000_LOSSLESS,)),
    Offer(ANYTHING, OCTET_STREAM, _EITHER, (ORIGINAL, EXPLICIT_LITTLE_ENDIAN)),
)
"""What frames are given as (RET-42)."""


def negotiate(headers: Iterable[str], offers: Sequence[Offer]) -> Choice:
    """The best of `offers` for the values of the Accept header lines (RET-12); raises `NotAcceptable`.

    By falling quality the first entry that fits is taken. An entry after it of the same quality takes its place if it
    asks for the original transfer syntax in so many words: no work and no loss beats a conversion.
    """
    chosen: Choice | None = None
    quality = 0.0
    for entry in sorted(parse(headers), key=lambda entry: -entry.quality):
        match = next(filter(None, (offer.match(entry) for offer in offers)), None)
        if match is None:
            continue
        if chosen is None:
            chosen, quality = match, entry.quality
        elif entry.parameters.get("transfer-syntax") == ORIGINAL and entry.quality >= quality:
            chosen = match
    if chosen is None:
        raise NotAcceptable(_NOT_ACCEPTABLE)
    return chosen


def covers_dicom_json(headers: Iterable[str]) -> bool:
    """Whether an entry of the Accept header lines admits `application/dicom+json` (RET-60, QRY-03, STO-11).

    Quality and parameters are not looked at.
    """
    return any(entry.type in _DICOM_JSON_RANGES for entry in parse(headers))


def picture_type(headers: Iterable[str]) -> str:
    """`image/jpeg` or `image/png` (RET-80); raises `NotAcceptable`.

    Ranges such as `image/*` are refused, as the service refuses them.
    """
    entries = list(_entries(headers))
    if not entries:
        return "image/jpeg"
    if len(entries) > 1:
        raise NotAcceptable(_SEVERAL_ENTRIES)
    entry = _parse_entry(entries[0])
    if entry is None or entry.type not in _PICTURES:
        raise NotAcceptable(_NOT_ACCEPTABLE)
    return entry.type


def parse(headers: Iterable[str]) -> Sequence[MediaRange]:
    """The entries of the Accept header lines in their order; what is no media range is left out."""
    lines = tuple(headers)
    return _remembered(lines) if sum(map(len, lines)) <= LONGEST_REMEMBERED else _parsed(lines)


def _parsed(lines: tuple[str, ...]) -> tuple[MediaRange, ...]:
    return tuple(entry for text in _entries(lines) if (entry := _parse_entry(text)) is not None)


_remembered = lru_cache(maxsize=256)(_parsed)
"""Clients send the same few lines again and again."""


def _entries(headers: Iterable[str]) -> Iterable[str]:
    for header in headers:
        yield from _split(header, ",")


def _parse_entry(text: str) -> MediaRange | None:
    head, *rest = _split(text, ";") or [""]
    media_type = head.lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        return None
    parameters: dict[str, str] = {}
    for item in rest:
        name, _, value = item.partition("=")
        parameters.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return MediaRange(media_type, parameters, _quality(parameters.get("q", "")))


def _split(text: str, separator: str) -> list[str]:
    """The non-empty pieces of `text`, trimmed; a separator inside quotation marks separates nothing."""
    if '"' not in text:
        pieces = text.split(separator)
    else:
        pieces, start, quoted, escaped = [], 0, False, False
        for position, character in enumerate(text):
            if escaped:
                escaped = False
            elif quoted and character == "\\":
                escaped = True
            elif character == '"':
                quoted = not quoted
            elif character == separator and not quoted:
                pieces.append(text[start:position])
                start = position + 1
        pieces.append(text[start:])
    return [piece for piece in map(str.strip, pieces) if piece]


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1]).strip()
    return value


def _quality(text: str) -> float:
    """A missing or unreadable quality is 1, as if it had not been given."""
    if not re.fullmatch(r"[01]?(\.[0-9]{0,9})?", text) or not text.strip("."):
        return 1.0
    return min(float(text), 1.0)
