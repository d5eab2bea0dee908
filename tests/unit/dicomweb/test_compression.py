"""Compression of answers that are made piece by piece."""

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shared.dicomweb.compression import SMALLEST, compressed

pytestmark = pytest.mark.unit

JSON = "application/dicom+json; charset=utf-8"


def asking(encoding: str = "gzip") -> Request:
    return Request({"type": "http", "headers": [(b"accept-encoding", encoding.encode())]})


class Chunks:
    """Chunks of an answer; knows how many were taken, and whether it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.taken = 0
        self.closed = False
        self.chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.taken == len(self.chunks):
            raise StopAsyncIteration
        self.taken += 1
        return self.chunks[self.taken - 1]

    async def aclose(self) -> None:
        self.closed = True


async def test_each_piece_leaves_at_once() -> None:
    """PLT-19, PLT-115: what has come can be read, whatever is still to come."""
    chunks = Chunks(b"[1,", b"2" * 1000, b"]")
    response = await compressed(
        asking(), StreamingResponse(chunks, headers={"Content-Length": "1004"}, media_type=JSON)
    )
    assert response.headers["content-encoding"] == "gzip"
    assert "content-length" not in response.headers
    assert isinstance(response, StreamingResponse)
    pieces: Any = response.body_iterator
    reader = zlib.decompressobj(31)
    assert reader.decompress(await anext(pieces)) == b"[1,"
    assert chunks.taken == 1
    assert reader.decompress(await anext(pieces)) == b"2" * 1000
    rest = [piece async for piece in pieces]
    assert reader.decompress(b"".join(rest)) == b"]"
    assert reader.eof
    assert chunks.closed


async def test_an_answer_that_is_given_up_is_closed() -> None:
    """PLT-19: whoever makes the pieces is told that nobody wants more."""
    chunks = Chunks(b"1", b"2")
    response = await compressed(asking(), StreamingResponse(chunks, media_type=JSON))
    assert isinstance(response, StreamingResponse)
    pieces: Any = response.body_iterator
    await anext(pieces)
    await pieces.aclose()
    assert chunks.closed
    assert chunks.taken == 1


@pytest.mark.parametrize("length", [SMALLEST, 600_000])
async def test_whole_bodies(length: int) -> None:
    """PLT-19: in the event loop or beside it."""
    body = b"x" * length
    response = await compressed(asking("gzip, br"), Response(body, media_type=JSON, headers={"ETag": "1-2"}))
    assert gzip.decompress(bytes(response.body)) == body
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.headers["etag"] == "1-2"
    assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "response",
    [
        Response(b"x" * 5000, media_type="application/dicom"),
        Response(b"x" * 5000, media_type="image/png"),
        Response(b"x" * 5000, media_type="application/octet-stream"),
        Response(b"x" * 5000, headers={"Content-Type": "multipart/related; boundary=a"}),
        Response(b"x" * 5000, headers={"Content-Type": JSON, "Content-Encoding": "br"}),
        Response(b"x" * (SMALLEST - 1), media_type=JSON),
        Response(status_code=204),
    ],
)
async def test_what_stays_as_it_is(response: Response) -> None:
    """PLT-19"""
    body, encoding = bytes(response.body), response.headers.get("content-encoding")
    same = await compressed(asking(), response)
    assert bytes(same.body) == body
    assert same.headers.get("content-encoding") == encoding


async def test_who_does_not_take_it() -> None:
    """PLT-19: caches are told all the same."""
    response = await compressed(asking("identity"), Response(b"x" * 5000, media_type=JSON))
    assert bytes(response.body) == b"x" * 5000
    assert response.headers["vary"] == "Accept-Encoding"
