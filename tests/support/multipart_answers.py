"""Multipart answers taken apart by the grammar of RFC 2046, strictly."""

from dataclasses import dataclass
from email.message import Message

import httpx


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """One part; it has no other header than its Content-Type."""

    content_type: str
    content: bytes


def parts_of(response: httpx.Response) -> list[AnswerPart]:
    """The parts of a multipart/related answer; nothing may be in front of the first boundary or behind the last."""
    header = Message()
    header["Content-Type"] = response.headers["content-type"]
    assert header.get_content_type() == "multipart/related"
    boundary = b"--" + str(header.get_param("boundary")).encode("ascii")
    body = response.content
    assert body.startswith(boundary)
    pieces = body[len(boundary) :].split(b"\r\n" + boundary)
    assert pieces.pop() == b"--\r\n"
    parts = []
    for piece in pieces:
        head, content = piece.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        name, value = head.split(b": ", 1)
        assert name == b"Content-Type"
        parts.append(AnswerPart(value.decode("ascii"), content))
    return parts
