"""Versions, paths, methods, headers: what every request meets before its handler."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import StartHost
from tests.support.processes import LocalHost

pytestmark = pytest.mark.integration

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "frame-src 'self';",
}
VERSIONS = "1.0-prerelease, 1, 2"


def raw(base_url: str, method: str, target: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    """A request whose target goes out exactly as it is written."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


@pytest.mark.parametrize("version", ["v2", "v1", "v1.0-prerelease", "v1.0", "v2.0", "V2"])
def test_served_versions(base_url: str, version: str) -> None:
    """PLT-01, PLT-02, PLT-07"""
    response = httpx.get(f"{base_url}/{version}/changefeed?limit=1")
    assert response.status_code == 200
    assert response.headers["api-supported-versions"] == VERSIONS


@pytest.mark.parametrize("path", ["/v3/studies", "/v99/changefeed", "/v2.1/series", "/v3/studies/1.2/metadata"])
def test_version_that_is_not_served(base_url: str, path: str) -> None:
    """PLT-03: JSON, with the URL that was asked for."""
    if path.endswith("metadata"):
        path = "/v3/studies/1.2/series"
    response = httpx.get(base_url + path)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {
        "error": {
            "code": "UnsupportedApiVersion",
            "message": f"The HTTP resource that matches the request URI '{base_url}{path}' is not supported.",
        }
    }


@pytest.mark.parametrize(
    "path",
    ["/vabc/studies", "/studies", "/changefeed", "/v2/nope", "/v2", "/v3/nope", "/api/v2/studies", "/v2/studies/1/x"],
)
def test_unknown_paths(base_url: str, path: str) -> None:
    """PLT-04, PLT-05, PLT-11: 404 without a body, for every method."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response = httpx.request(method, base_url + path)
        assert (response.status_code, response.content) == (404, b"")
        assert SECURITY_HEADERS.items() <= dict(response.headers).items()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v2/studies", {"GET", "POST", "PUT"}),
        ("PATCH", "/v2/changefeed", {"GET"}),
        ("HEAD", "/v2/changefeed", {"GET"}),
        ("HEAD", "/health", {"GET"}),
        ("OPTIONS", "/v2/series", {"GET"}),
        ("POST", "/v2/instances", {"GET"}),
        ("GET", "/_emulator/reset", {"POST"}),
        ("DELETE", "/v2/partitions", {"GET"}),
        ("PUT", "/v2/partitions", {"GET"}),
    ],
)
def test_methods_that_a_path_does_not_have(base_url: str, method: str, path: str, allowed: set[str]) -> None:
    """PLT-06, PLT-53: 405 that names the methods there are; GET does not imply HEAD."""
    response = httpx.request(method, base_url + path)
    assert (response.status_code, response.content) == (405, b"")
    assert {method.strip() for method in response.headers["allow"].split(",")} == allowed


@pytest.mark.parametrize("path", ["/V2/ChangeFeed", "/v2/changefeed/", "/v2/CHANGEFEED/LATEST/", "/Health/"])
def test_letter_case_and_slash(base_url: str, path: str) -> None:
    """PLT-07: no redirect."""
    assert httpx.get(base_url + path).status_code in (200, 204)


def test_two_slashes_are_one_too_many(base_url: str) -> None:
    """PLT-07: only one slash at the end is ignored."""
    assert raw(base_url, "GET", "/v2/changefeed//")[0] == 404
    assert raw(base_url, "GET", "//v2/changefeed")[0] == 404


@pytest.mark.parametrize(
    "target",
    [
        "/v2/studies/1.2%2Fseries%2F1.3",
        "/v2/studies/1.2%2fseries%2f1.3/series/1.4",
        "/v2/studies/1.2%00",
        "/v2/studies/%ff%fe",
        "/v2/studies/%",
        "/v2/studies/%zz",
        "/v2/studies/..%2f1.2",
        "/v2/studies/%2e%2e",
    ],
)
def test_encoded_paths(base_url: str, target: str) -> None:
    """PLT-117: an encoded slash separates nothing; NUL and bytes that are no text are refused."""
    status, _, headers = raw(base_url, "DELETE", target)
    assert status in (400, 404)
    assert headers["x-correlation-id"]


@pytest.mark.parametrize(
    "path", ["/", "/health", "/v2/changefeed", "/v2/studies", "/nope", "/v3/studies", "/_emulator/reset"]
)
@pytest.mark.parametrize("query", ["a=<", "<", "PatientName=%3cscript%3e", "a=b%3C"])
def test_angle_bracket_in_the_query(base_url: str, path: str, query: str) -> None:
    """PLT-08: refused on every path and before anything else."""
    for method in ("GET", "POST", "OPTIONS"):
        status, body, headers = raw(base_url, method, f"{path}?{query}")
        assert (status, body) == (400, b"The query string included invalid characters.")
        assert headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/health", "/v2/changefeed", "/v2/changefeed?limit=0", "/nope", "/v3/studies"])
def test_headers_on_every_answer(base_url: str, path: str) -> None:
    """PLT-09: security headers and a correlation id, on errors as well."""
    response = httpx.get(base_url + path)
    assert SECURITY_HEADERS.items() <= dict(response.headers).items()
    assert len(response.headers["x-correlation-id"]) >= 16
    assert httpx.get(base_url + path).headers["x-correlation-id"] != response.headers["x-correlation-id"]
    assert "server" not in response.headers


def test_correlation_id_of_the_caller(base_url: str) -> None:
    """A usable id is taken over, another is replaced."""
    given = httpx.get(base_url + "/health", headers={"X-Correlation-Id": "trace-1.2_3"})
    assert given.headers["x-correlation-id"] == "trace-1.2_3"
    replaced = httpx.get(base_url + "/health", headers={"X-Correlation-Id": "a b" * 100})
    assert "a b" not in replaced.headers["x-correlation-id"]


def test_unversioned_paths_name_no_versions(base_url: str) -> None:
    """PLT-02"""
    for path in ("/", "/health", "/nope"):
        assert "api-supported-versions" not in httpx.get(base_url + path).headers


@pytest.mark.parametrize(
    "path", ["/v2/changefeed", "/v2/studies?x=y", "/v2/nope", "/v3/studies", "/v2/changefeed?a=%3c"]
)
def test_cross_origin_requests(base_url: str, path: str) -> None:
    """PLT-26, PLT-27: every origin may read every answer, errors included."""
    response = httpx.get(base_url + path, headers={"Origin": "http://viewer.example"})
    assert response.headers["access-control-allow-origin"] == "*"
    exposed = response.headers["access-control-expose-headers"].lower()
    assert all(
        name in exposed for name in ("location", "etag", "warning", "content-location", "api-supported-versions")
    )
    assert not [name for name in httpx.get(base_url + path).headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/v2/studies", "/v2/changefeed", "/health", "/v2/nope"])
def test_preflight(base_url: str, path: str) -> None:
    """PLT-28: the headers asked for are repeated, `authorization` among them."""
    asked = {
        "Origin": "http://viewer.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "accept,authorization,content-type",
        "Accept": "*/*",
    }
    response = httpx.options(base_url + path, headers=asked)
    assert (response.status_code, response.content) == (204, b"")
    assert "PUT" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "accept,authorization,content-type"
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-max-age" not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "/partitions",
        "/partitions/Microsoft.Default/studies",
        "/partitions/%20bad%20name%20/studies/1.2",
        "/partitions/x/series",
        "/partitions/x/instances",
        "/partitions/x/studies/not-a-uid/series/1.2/instances",
    ],
)
def test_partitions_are_disabled(base_url: str, path: str) -> None:
    """PLT-48: said to every partitioned path, whatever the name."""
    response = httpx.get(f"{base_url}/v2{path}")
    assert (response.status_code, response.text) == (400, "Data partitions feature is disabled.")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["api-supported-versions"] == VERSIONS


@pytest.mark.parametrize("path", ["/partitions/x", "/partitions/x/changefeed", "/partitions/x/nope"])
def test_paths_that_have_no_twin(base_url: str, path: str) -> None:
    """PLT-50"""
    response = httpx.get(f"{base_url}/v2{path}")
    assert (response.status_code, response.content) == (404, b"")


def test_partitioned_methods(base_url: str) -> None:
    """PLT-48: a method that the path does not have stays 405."""
    response = httpx.patch(f"{base_url}/v2/partitions/x/studies")
    assert response.status_code == 405
    for method in ("POST", "PUT"):
        assert httpx.request(method, f"{base_url}/v2/partitions/x/studies/1.2").status_code == 400
    assert httpx.delete(f"{base_url}/v2/partitions/x/studies/1.2").status_code == 400


def test_start_page(base_url: str) -> None:
    """PLT-11: a page of our own."""
    response = httpx.get(base_url + "/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert f"{base_url}/v2" in response.text
    assert 'href="health"' in response.text


def test_forwarded_hosts(base_url: str) -> None:
    """PLT-10: behind a proxy, URLs are those that its clients use."""
    headers = {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "dicom.example:8443, inner"}
    response = httpx.get(base_url + "/v3/studies", headers=headers)
    assert "'https://dicom.example:8443/v3/studies'" in response.json()["error"]["message"]


def test_reserved_prefixes(base_url: str) -> None:
    """PLT-11: these belong to the host."""
    for path in ("/admin/functions", "/runtime/webhooks"):
        assert httpx.get(base_url + path).status_code == 404


def test_log_lines_tell_no_query(base_url: str, server: LocalHost) -> None:
    """One line a request besides those of the audit; queries may hold secrets and are not written."""
    identifier = httpx.get(base_url + "/v2/changefeed?limit=1&secret=s3cr3t-value").headers["x-correlation-id"]
    (line,) = [line for line in server.lines_of(identifier) if "AuditLogs" not in line]
    assert "GET /v2/changefeed 200 " in line
    assert "s3cr3t" not in server.output()


def test_log_lines_as_json(start_host: StartHost) -> None:
    """`DICOM_LOG_FORMAT=json` gives one object a line."""
    host = start_host({"DICOM_LOG_FORMAT": "json"})
    identifier = httpx.get(host.url + "/v2/nope").headers["x-correlation-id"]
    (line,) = host.lines_of(identifier)
    record = json.loads(line[line.index("{") :])
    assert record["status"] == 404
    assert (record["method"], record["path"], record["correlationId"]) == ("GET", "/v2/nope", identifier)
    assert record["milliseconds"] >= 0


def test_garbage_on_the_line(base_url: str) -> None:
    """What is no HTTP does no harm to the next request."""
    address = urlsplit(base_url)
    for garbage in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /%%% HTTP/9.9\r\n\r\n", b"x" * 70_000):
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert httpx.get(base_url + "/health").status_code == 200
