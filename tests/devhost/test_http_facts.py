"""How the host finds the function of a request, and what it refuses by itself. One test for each row of the facts."""

import os

import azure.functions as func
import pytest

from shared.devhost.functions import HostedFunction, in_host_order
from shared.web_extension import Request, Response
from tests.devhost.conftest import StartHost, add_route, new_app

pytestmark = pytest.mark.integration


def named(name: str) -> HostedFunction:
    return HostedFunction(name, {"type": "httpTrigger", "name": "req", "route": name}, print)


def test_function_order() -> None:
    """PLT-113"""
    names = ["zz", "Beta", "alpha", "_first", "a_b", "aB", "a1"]
    assert [function.name for function in in_host_order(map(named, names))] == [
        "a1", "aB", "alpha", "a_b", "Beta", "zz", "_first",
    ]  # fmt: skip


async def test_first_route_that_fits(start: StartHost) -> None:
    """PLT-113: a placeholder of an earlier name swallows a literal of a later one."""
    app = new_app()
    add_route(app, "b_literal", "studies/all")
    add_route(app, "a_placeholder", "studies/{study}")
    add_route(app, "c_catch_all", "{*path}")
    host = await start(app)
    assert (await host.request("/studies/all")).text == 'a_placeholder{"study": "all"}'
    assert (await host.request("/studies/all/1")).text == 'c_catch_all{"path": "studies/all/1"}'


async def test_methods_are_part_of_the_route(start: StartHost) -> None:
    app = new_app()
    add_route(app, "a_reads", "things", ["GET", "HEAD"])
    add_route(app, "b_writes", "{anything}", ["POST"])
    add_route(app, "c_all", "every/{anything}")
    host = await start(app)
    assert (await host.request("/things")).text.startswith("a_reads")
    assert (await host.request("/things", "POST")).text.startswith("b_writes")
    assert (await host.request("/things", "DELETE")).status == 404
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert (await host.request("/every/1", method)).text.startswith("c_all")


async def test_route_prefix(start: StartHost) -> None:
    """PLT-11"""
    app = new_app()
    add_route(app, "things", "things")
    host = await start(app, host_json={})
    assert (await host.request("/api/things")).status == 200
    assert (await host.request("/things")).status == 404


async def test_route_of_the_name(start: StartHost) -> None:
    app = new_app()
    add_route(app, "things", None)
    host = await start(app)
    assert (await host.request("/things")).status == 200


async def test_literals_without_case(start: StartHost) -> None:
    """PLT-07"""
    app = new_app()
    add_route(app, "things", "{version}/Studies/{*rest}")
    host = await start(app)
    answer = await host.request("/V2/sTUDIES/Ab/cD")
    assert answer.text == 'things{"version": "V2", "rest": "Ab/cD"}'
    assert (await host.request("/v2/%73tudies")).text == 'things{"version": "v2", "rest": ""}'
    assert (await host.request("/v2/%C5%BFtudies")).status == 404


async def test_empty_segments(start: StartHost) -> None:
    app = new_app()
    add_route(app, "a", "{version}/studies/{*rest}")
    add_route(app, "z", "{*path}")
    host = await start(app)
    assert (await host.request("/v2/studies/")).text == 'a{"version": "v2", "rest": ""}'
    assert (await host.request("/v2/studies/1//2")).text == 'a{"version": "v2", "rest": "1//2"}'
    assert (await host.request("/v2/studies//2")).text == 'z{"path": "v2/studies//2"}'
    assert (await host.request("/v2//studies")).text == 'z{"path": "v2//studies"}'
    assert (await host.request("//v2/studies")).status == 404


async def test_catch_all_of_nothing(start: StartHost) -> None:
    app = new_app()
    add_route(app, "a", "{version}/studies/{*rest}")
    add_route(app, "z", "{*path}")
    host = await start(app)
    assert (await host.request("/v2/studies")).text == 'a{"version": "v2", "rest": ""}'
    assert (await host.request("/v2")).text == 'z{"path": "v2"}'


async def test_encoded_slash(start: StartHost) -> None:
    """PLT-117"""
    app = new_app()
    add_route(app, "a", "{version}/studies/{study}")
    add_route(app, "z", "{*path}")
    host = await start(app)
    assert (await host.request("/v2/studies/1%2F2")).text.startswith("a")
    assert (await host.request("/v2/studies%2F1")).text.startswith("z")
    assert (await host.request("/v2/studies/1/2")).text.startswith("z")


async def test_root_path(start: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-11"""
    bare, caught = new_app(), new_app()
    add_route(bare, "things", "things")
    add_route(caught, "z", "{*path}")
    host = await start(bare)
    assert (await host.request("/")).headers["content-type"].startswith("text/html")
    monkeypatch.setenv("AzureWebJobsDisableHomepage", "true")
    host = await start(bare_copy())
    assert (await host.request("/")).status == 204
    host = await start(caught)
    assert (await host.request("/")).text == 'z{"path": ""}'


def bare_copy() -> func.FunctionApp:
    app = new_app()
    add_route(app, "things", "things")
    return app


async def test_paths_of_the_host(start: StartHost) -> None:
    """PLT-11"""
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    for path in ("/admin", "/admin/host/status", "/Admin/x", "/runtime/webhooks/x"):
        answer = await host.request(path)
        assert (answer.status, answer.body) == (404, b"")
    assert (await host.request("/administration")).status == 200


async def test_function_keys(start: StartHost) -> None:
    """PLT-11"""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    add_route(app, "a_default", "a")
    add_route(app, "b_open", "b", auth_level=func.AuthLevel.ANONYMOUS)
    host = await start(app)
    assert (await host.request("/a")).status == 401
    assert (await host.request("/b")).status == 200


def counting_app() -> func.FunctionApp:
    app = new_app()

    @app.route(route="count")
    async def count(req: Request) -> Response:
        return Response(str(sum([len(piece) async for piece in req.stream()])))

    return app


def chunked(body: bytes, pieces: int) -> bytes:
    size = len(body) // pieces
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def test_body_limit(start: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-115"""
    monkeypatch.setenv("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "1000")
    host = await start(counting_app())
    for size, status in ((1000, 200), (1001, 413)):
        body = os.urandom(size)
        answer = await host.request("/count", "POST", f"Content-Length: {size}\r\n", body)
        assert answer.status == status
        answer = await host.request("/count", "POST", "Transfer-Encoding: chunked\r\n", chunked(body, 10))
        assert answer.status == status
        assert answer.body == (b"1000" if status == 200 else b"")


async def test_request_line_limit(start: StartHost) -> None:
    """PLT-115"""
    host = await start(counting_app())
    longest = 8192 - len("GET /count? HTTP/1.1\r\n")
    assert (await host.request("/count?" + "x" * longest)).status == 200
    assert (await host.request("/count?" + "x" * (longest + 1))).status == 414


async def test_header_limits(start: StartHost) -> None:
    """PLT-115"""
    host = await start(counting_app())
    assert (await host.request("/count", headers=f"A: {'x' * 32_000}\r\n")).status == 200
    assert (await host.request("/count", headers=f"A: {'x' * 33_000}\r\n")).status == 431
    assert (await host.request("/count", headers="A: 1\r\n" * 98)).status == 200
    assert (await host.request("/count", headers="A: 1\r\n" * 99)).status == 431
