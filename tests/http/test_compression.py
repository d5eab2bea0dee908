"""JSON goes out compressed to clients that take it, and nothing else is different for them."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from shared.dicomweb.compression import accepts_gzip
from tests.support.stow import Triple, new_triple, store

pytestmark = pytest.mark.integration

INSTANCES = 40


@pytest.fixture(scope="module")
def triple(base_url: str) -> Iterator[Triple]:
    first = new_triple()
    files = [first.file(), *(first.sibling().file(PatientComments="x" * 500) for _ in range(INSTANCES - 1))]
    assert store(base_url, *files).status == 200
    yield first
    httpx.delete(f"{base_url}/v2/studies/{first.study}")


def get(url: str, accept: str, encoding: str | None) -> tuple[httpx.Response, bytes]:
    """The answer, and its body as it came."""
    headers = {"Accept": accept, "Accept-Encoding": encoding or "identity"}
    with httpx.stream("GET", url, headers=headers) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("path", ["/studies/{study}/metadata", "/studies/{study}/instances", "/changefeed?limit=50"])
def test_json_is_compressed(base_url: str, triple: Triple, path: str) -> None:
    """PLT-19: same content, same ETag, same type; caches are told."""
    url = f"{base_url}/v2{path.format(study=triple.study)}"
    plain, expected = get(url, "*/*", None)
    packed, body = get(url, "*/*", "gzip, deflate, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(body) == expected
    assert len(body) < len(expected) / 2
    for response in (plain, packed):
        assert "accept-encoding" in response.headers["vary"].lower()
    changing = {"content-encoding", "content-length", "transfer-encoding", "x-correlation-id", "date"}
    assert {k: v for k, v in packed.headers.items() if k not in changing} == {
        k: v for k, v in plain.headers.items() if k not in changing
    }
    if "content-length" in packed.headers:
        assert int(packed.headers["content-length"]) == len(body)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", "application/dicom; transfer-syntax=*"),
        ("", "multipart/related; type=application/dicom; transfer-syntax=*"),
        ("/frames/1", "application/octet-stream; transfer-syntax=*"),
        ("/rendered", "image/jpeg"),
    ],
)
def test_files_and_pixels_are_not(base_url: str, triple: Triple, path: str, accept: str) -> None:
    """PLT-19"""
    response, _ = get(f"{base_url}/v2{triple.path}{path}", accept, "gzip")
    assert "content-encoding" not in response.headers
    assert "accept-encoding" not in response.headers.get("vary", "").lower()


def test_small_answers_are_not(base_url: str) -> None:
    """PLT-19: they would only grow."""
    response, body = get(f"{base_url}/health", "*/*", "gzip")
    assert "content-encoding" not in response.headers
    assert body.startswith(b"{")


@pytest.mark.one_store("no app is asked")
@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ([], False),
        (["gzip"], True),
        (["deflate, GZIP;q=0.5"], True),
        (["br", "gzip"], True),
        (["gzip;q=0"], False),
        (["gzip; q=0.000"], False),
        (["*"], True),
        (["*;q=0"], False),
        (["*, gzip;q=0"], False),
        (["identity"], False),
        (["x-gzipped"], False),
    ],
)
def test_who_takes_gzip(headers: list[str], accepted: bool) -> None:
    """PLT-19, RFC 9110 12.5.3"""
    assert accepts_gzip(headers) is accepted
