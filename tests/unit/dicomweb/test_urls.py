"""Absolute URLs, from what the request, proxies and settings say."""

import pytest
from starlette.requests import Request

from shared.dicomweb.urls import api_url, host_name, origin, request_url

pytestmark = pytest.mark.unit


def made(
    *headers: tuple[str, str], scheme: str = "http", server: tuple[str, int] | None = ("127.0.0.1", 8080)
) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "scheme": scheme, "server": server, "path": "/v2/studies/ä", "headers": raw}
    return Request(scope)


HOST = ("Host", "dicom.example:8443")
PROTO = ("X-Forwarded-Proto", "https, http")
FORWARDED = ("X-Forwarded-Host", "outer.example, inner")


@pytest.mark.parametrize(
    ("headers", "public_url", "expected"),
    [
        ([HOST], "", "http://dicom.example:8443"),
        ([HOST, PROTO], "", "https://dicom.example:8443"),
        ([HOST, PROTO, FORWARDED], "", "https://outer.example"),
        ([HOST, FORWARDED], "", "http://outer.example"),
        ([HOST, PROTO, FORWARDED], "https://public.example:1/", "https://public.example:1"),
        ([], "", "http://127.0.0.1:8080"),
    ],
)
def test_origin(headers: list[tuple[str, str]], public_url: str, expected: str) -> None:
    """PLT-10"""
    assert origin(made(*headers), public_url) == expected


@pytest.mark.parametrize(
    ("host", "scheme", "server", "expected"),
    [
        ("localhost", "http", ("127.0.0.1", 8080), "http://localhost:8080"),
        ("127.0.0.1", "http", ("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        ("[::1]", "http", ("::1", 8080), "http://[::1]:8080"),
        ("localhost", "https", ("127.0.0.1", 8443), "https://localhost:8443"),
        ("localhost:9000", "http", ("127.0.0.1", 8080), "http://localhost:9000"),
        ("localhost", "http", ("127.0.0.1", 80), "http://localhost"),
        ("localhost", "https", ("127.0.0.1", 443), "https://localhost"),
        ("localhost", "http", ("172.17.0.2", 8080), "http://localhost"),
        ("dicom.example", "http", ("127.0.0.1", 8080), "http://dicom.example"),
        ("localhost", "http", None, "http://localhost"),
    ],
)
def test_hosts_without_a_port(host: str, scheme: str, server: tuple[str, int] | None, expected: str) -> None:
    """PLT-10: a client on this machine that leaves the port out still gets URLs that lead here."""
    assert origin(made(("Host", host), scheme=scheme, server=server), "") == expected


def test_behind_the_functions_host() -> None:
    """PLT-10: there the port of the connection is not one that clients know."""
    request = made(("Host", "localhost"), ("x-ms-invocation-id", "1"))
    assert origin(request, "") == "http://localhost"


def test_base_urls() -> None:
    """PLT-10: with the version as it was asked for, and the partition as a value."""
    request = made(HOST)
    assert api_url(request, "v2", None, "") == "http://dicom.example:8443/v2"
    assert api_url(request, "V1.0", "a b", "") == "http://dicom.example:8443/V1.0/partitions/a%20b"
    assert api_url(made(HOST, ("X-Forwarded-Prefix", "/dicom/")), "v2", None, "") == "http://dicom.example:8443/dicom"
    assert request_url(request, "https://public.example") == "https://public.example/v2/studies/%C3%A4"


@pytest.mark.parametrize(
    ("headers", "name"),
    [([HOST], "dicom.example"), ([FORWARDED, HOST], "outer.example"), ([("Host", "[::1]:80")], "[::1]")],
)
def test_host_name(headers: list[tuple[str, str]], name: str) -> None:
    """UPS-06: for the Warning header."""
    assert host_name(made(*headers)) == name
