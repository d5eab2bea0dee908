"""The body of a multipart/related answer (PS3.18 8.6.1.2; RET-21, RET-22), whole or piece by piece."""

import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass

MESSAGE_SIZE = 256 * 1024
"""Small pieces are gathered into body messages of about this size."""

LARGE = 64 * 1024
"""A piece of this size is a message of its own: fresh memory for a copy costs more than a message."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a part. `begins` is the Content-Type of the part that starts with them, empty for a continuation."""

    content: bytes
    begins: str = ""


def new_boundary() -> str:
    """A boundary that no content holds: 122 random bits."""
    return str(uuid.uuid4())


def content_type(boundary: str, media_type: str) -> str:
    """The Content-Type of the answer; `media_type` is that of the parts."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def part_type(media_type: str, transfer_syntax: str) -> str:
    """The Content-Type of a part or of a single-part answer (RET-22, RET-23)."""
    return f"{media_type}; transfer-syntax={transfer_syntax}"


def body(parts: Iterable[Piece], boundary: str) -> list[bytes]:
    """The whole body, in pieces that need not be put together: contents of any size are not copied."""
    segments: list[bytes] = []
    for part in parts:
        segments += (_head(boundary, part.begins, first=not segments), part.content)
    segments.append(_tail(boundary, empty=not segments))
    return segments


async def stream(pieces: AsyncIterable[Piece], boundary: str) -> AsyncIterator[bytes]:
    """The body message by message, holding no more than one of them and the piece that is being added.

    The first piece goes out at once, so that a client sees the answer begin; small ones after it are gathered, and
    large ones are passed on as they are.
    """
    gathered: list[bytes] = []
    size = 0
    started = False
    async for piece in pieces:
        if piece.begins:
            gathered.append(_head(boundary, piece.begins, first=not started))
        if len(piece.content) >= LARGE:
            if gathered:
                yield b"".join(gathered)
            yield piece.content
            gathered.clear()
            size = 0
        else:
            gathered.append(piece.content)
            size += len(piece.content)
        if gathered and (size >= MESSAGE_SIZE or not started):
            yield b"".join(gathered)
            gathered.clear()
            size = 0
        started = True
    gathered.append(_tail(boundary, empty=not started))
    yield b"".join(gathered)


def _head(boundary: str, part_content_type: str, *, first: bool) -> bytes:
    """What stands before the content of a part; nothing is in front of the first boundary."""
    before = "" if first else "\r\n"
    return f"{before}--{boundary}\r\nContent-Type: {part_content_type}\r\n\r\n".encode("latin-1")


def _tail(boundary: str, *, empty: bool) -> bytes:
    before = "" if empty else "\r\n"
    return f"{before}--{boundary}--\r\n".encode("latin-1")
