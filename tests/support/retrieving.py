"""Retrieve requests by URL, with exactly the headers that a test names."""

import httpx

from .stow import TIMEOUT

ELE = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
J2KL = "1.2.840.10008.1.2.4.90"
BASELINE = "1.2.840.10008.1.2.4.50"

PARTS = 'multipart/related; type="application/dicom"'
FRAME_PARTS = 'multipart/related; type="application/octet-stream"'

NOT_ACCEPTABLE = "The request headers are not acceptable"
NOT_TRANSCODED = "The specified transcoding is not supported."
NO_FRAME = "The specified frame cannot be found."

_client = httpx.Client(timeout=TIMEOUT)


def get(url: str, *accept: str, **headers: str) -> httpx.Response:
    """GET with these Accept lines, or with none; other headers by keyword, underscores for hyphens."""
    lines = [("Accept", line) for line in accept]
    lines += [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = httpx.Request("GET", url, headers=lines)
    return _client.send(request)


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and text of an error; its type is that of a bare message, or nothing (RET-07)."""
    kind = response.headers.get("content-type")
    assert kind == ("text/plain; charset=utf-8" if response.text else None)
    return response.status_code, response.text
