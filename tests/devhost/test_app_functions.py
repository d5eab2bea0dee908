"""What is served does not depend on the names of the functions (PLT-113)."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import httpx
import pytest

from shared.app import app
from shared.azurite import ROOT, free_ports
from shared.devhost.functions import HTTP, HostedFunction, described, in_host_order
from tests.devhost.renamed_app import LAST
from tests.support.processes import LocalHost, host_environment

pytestmark = pytest.mark.integration

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


def http_functions() -> list[HostedFunction]:
    functions = (described(builder._function) for builder in app._function_builders)
    return in_host_order(function for function in functions if function.kind == HTTP)


def test_the_catch_all_is_the_last_function() -> None:
    """PLT-113"""
    last = http_functions()[-1]
    assert (last.name, last.route) == (LAST, "{*path}")


def test_every_group_takes_every_method_and_no_key() -> None:
    """PLT-11, PLT-113"""
    for function in http_functions():
        assert set(function.methods) == METHODS, function.name
        assert function.trigger["authLevel"] == "ANONYMOUS", function.name


def test_every_group_has_a_literal_and_a_rest() -> None:
    """PLT-113: no two templates are equal, and none takes a single segment by a placeholder alone."""
    routes = [function.route for function in http_functions()[:-1]]
    assert len(set(routes)) == len(routes)
    for route in routes:
        *head, literal, rest = route.split("/")
        assert head in ([], ["{version}"])
        assert literal.strip("{}") == literal
        assert rest == "{*rest}"


@pytest.fixture(scope="module")
def renamed(azurite: str) -> Iterator[str]:
    """The base URL of the app under the other names."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "shared.stop_with_parent", "shared.devhost", "tests.devhost.renamed_app:app"]
    environment = {**host_environment(), "AzureWebJobsStorage": azurite}
    host = subprocess.Popen(
        [*command, "--port", str(port)], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(url + "/health")
                break
            assert host.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield url
    finally:
        host.terminate()
        host.communicate(timeout=20)


REQUESTS = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/v2"),
    ("GET", "/v2/studies?PatientID=nobody-has-this"),
    ("GET", "/V2/Studies/?PatientID=nobody-has-this"),
    ("GET", "/v1/series?PatientID=nobody-has-this"),
    ("GET", "/v2/instances?PatientID=nobody-has-this"),
    ("GET", "/v2/studies/1.2.3"),
    ("GET", "/v2/studies/1.2.3/metadata"),
    ("GET", "/v2/studies/1%2F2"),
    ("GET", "/v2/studies//1"),
    ("GET", "//v2/studies"),
    ("GET", "/v3/studies"),
    ("GET", "/v3/changefeed"),
    ("GET", "/v2/partitions"),
    ("GET", "/v2/partitions/x/studies"),
    ("GET", "/v2/nothing"),
    ("GET", "/health/studies"),
    ("GET", "/_emulator/studies"),
    ("GET", "/_emulator/changefeed/latest"),
    ("GET", "/studies/changefeed"),
    ("GET", "/admin/host/status"),
    ("PUT", "/v2/changefeed"),
    ("DELETE", "/v2/studies"),
    ("DELETE", "/v2/studies/1.2.3"),
    ("PATCH", "/v2/series"),
    ("POST", "/v2/studies"),
    ("HEAD", "/health"),
    ("OPTIONS", "/v2/studies"),
    ("GET", "/v2/studies?x=%3C"),
]


def answer(base: str, method: str, target: str) -> tuple[int, Mapping[str, str], bytes]:
    url = httpx.URL(base)
    raw = url.copy_with(raw_path=target.encode())
    response = httpx.request(method, raw, headers={"Host": "dicom.example"})
    changing = {"date", "x-correlation-id"}
    return (
        response.status_code,
        {name: value for name, value in response.headers.items() if name not in changing},
        response.content,
    )


@pytest.mark.parametrize(("method", "target"), REQUESTS)
def test_the_order_of_names_changes_no_answer(server: LocalHost, renamed: str, method: str, target: str) -> None:
    """PLT-113"""
    assert answer(renamed, method, target) == answer(server.url, method, target)
