"""Multipart bodies, read back by the standard library's MIME parser and compared byte for byte with the grammar."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from email.message import Message
from email.parser import BytesParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicomweb.multipart_writer import LARGE, Piece, body, content_type, new_boundary, part_type, stream

pytestmark = pytest.mark.unit

ELE = "1.2.840.10008.1.2.1"


async def _each(pieces: list[Piece]) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


def streamed(pieces: list[Piece], boundary: str) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [message async for message in stream(_each(pieces), boundary)]

    return asyncio.run(collect())


def test_grammar() -> None:
    """RET-21, RET-22"""
    one = part_type("application/dicom", ELE)
    two = part_type("application/dicom", "1.2.840.10008.1.2.4.50")
    assert b"".join(body([Piece(b"first", one), Piece(b"second", two)], "B")) == (
        b"--B\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\nfirst\r\n"
        b"--B\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50\r\n\r\nsecond\r\n--B--\r\n"
    )


def test_content_type() -> None:
    """RET-21: the boundary is new each time, unquoted, and the type is that of the parts"""
    boundary = new_boundary()
    assert uuid.UUID(boundary)
    assert boundary != new_boundary()
    header = Message()
    header["Content-Type"] = content_type(boundary, "application/dicom")
    assert header.get_content_type() == "multipart/related"
    assert header.get_param("type") == "application/dicom"
    assert header["Content-Type"].endswith(f"; boundary={boundary}")


def test_first_piece_goes_out_alone() -> None:
    """RET-27: the answer begins when the first piece is there; small pieces after it share a message"""
    parts = [Piece(bytes([number]) * 10, "a/b") for number in range(50)]
    messages = streamed(parts, "B")
    assert messages[0] == b"--B\r\nContent-Type: a/b\r\n\r\n" + bytes(10)
    assert len(messages) == 2
    assert b"".join(messages) == b"".join(body(parts, "B"))


def test_large_pieces_are_not_copied() -> None:
    """RET-27: they are passed on as they are"""
    file = bytes(LARGE)
    messages = streamed([Piece(file, "a/b"), Piece(file, "a/b"), Piece(file)], "B")
    assert [len(message) for message in messages if message is not file] == [26, 28, 9]
    assert sum(message is file for message in messages) == 3
    assert sum(segment is file for segment in body([Piece(file, "a/b")], "B")) == 1


def test_no_part() -> None:
    """RET-21: nothing was left to send"""
    assert b"".join(streamed([], "B")) == b"--B--\r\n" == b"".join(body([], "B"))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ELE, "1.2.840.10008.1.2"]), st.lists(st.binary(max_size=40), min_size=1, max_size=4)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_parts_come_back(parts: list[tuple[str, list[bytes]]]) -> None:
    """RET-21, RET-22: whatever the parts hold, line ends and dashes too; 200 examples"""
    boundary = new_boundary()
    pieces = [
        Piece(content, "" if position else part_type("application/dicom", syntax))
        for syntax, contents in parts
        for position, content in enumerate(contents)
    ]
    sent = b"".join(streamed(pieces, boundary))
    whole = body([Piece(b"".join(c), part_type("application/dicom", s)) for s, c in parts], boundary)
    assert sent == b"".join(whole)

    heads = [part.split(b"\r\n\r\n", 1) for part in (b"\r\n" + sent).split(b"\r\n--" + boundary.encode())[1:-1]]
    assert [content for _, content in heads] == [b"".join(contents) for _, contents in parts]
    for (head, _), (syntax, _) in zip(heads, parts, strict=True):
        message = BytesParser().parsebytes(head.lstrip() + b"\r\n\r\n")
        assert message.keys() == ["Content-Type"]
        assert message.get_content_type() == "application/dicom"
        assert message.get_param("transfer-syntax") == syntax
