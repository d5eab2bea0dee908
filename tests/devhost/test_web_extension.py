"""The web extension by itself: streaming in both directions, and nothing of its own (PLT-114)."""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import azure.functions as func
import pytest
from azurefunctions.extensions import base
from starlette.requests import Request as StarletteRequest

import shared.web_extension as extension
from shared.web_extension import Request, Response, StreamingResponse, WebApp, WebServer
from tests.devhost.conftest import StartHost, add_route, new_app

pytestmark = pytest.mark.integration


def test_the_worker_finds_it() -> None:
    """PLT-114"""
    assert base.ModuleTrackerMeta.get_module() == "shared.web_extension"
    assert base.HttpV2FeatureChecker.http_v2_enabled()
    assert base.RequestTrackerMeta.check_type(Request)
    assert base.ResponseTrackerMeta.check_type(Response)
    assert base.ResponseTrackerMeta.check_type(StreamingResponse)
    assert not base.ResponseTrackerMeta.check_type(str)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_first_request_may_come_before_the_server_runs(host: str) -> None:
    """PLT-114: the worker library tells the host the address before the server has had its turn."""
    app = WebApp()

    @app.route
    async def answered(_: Request) -> Response:
        return Response(b"waited")

    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as unused:
        port = unused.getsockname()[1]
    server = WebServer(host, port, app)
    server._server.takes_signals = False
    with pytest.raises(OSError, match="in use"):
        WebServer(host, port, app)
    early = socket.create_connection((host, port))
    early.sendall(b"GET / HTTP/1.1\r\nHost: early\r\nConnection: close\r\n\r\n")
    serving = asyncio.create_task(server.serve())
    reader, writer = await asyncio.open_connection(sock=early)
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"waited")
    writer.close()
    server.stop()
    await asyncio.wait_for(serving, 10)


def test_route_parameters_reach_the_request() -> None:
    request = Request({"type": "http", "headers": [], "path_params": {"old": "1"}})
    base.RequestTrackerMeta.get_synchronizer().sync_route_params(request, {"study": "1.2"})
    assert request.path_params == {"study": "1.2"}


def test_headers_are_those_of_starlette() -> None:
    """The same answers to every question, for headers that come twice or not at all, in any letter case."""
    raw = [(b"accept", b"a/b"), (b"x-n\xe9", b"\xfc"), (b"accept", b"c/d"), (b"x-empty", b"")]
    scope = {"type": "http", "headers": raw}
    ours, theirs = Request(dict(scope)).headers, StarletteRequest(dict(scope)).headers
    assert ours == theirs
    assert ours.items() == theirs.items()
    for name in ("accept", "Accept", "x-n\xe9", "x-empty", "missing"):
        assert ours.getlist(name) == theirs.getlist(name)
        assert (name in ours) is (name in theirs)
        assert ours.get(name) == theirs.get(name)
        assert ours.get(name, "default") == theirs.get(name, "default")
    assert ours["ACCEPT"] == "a/b"
    with pytest.raises(KeyError):
        ours["missing"]


async def test_no_pages_headers_or_lines_of_its_own(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """PLT-114"""
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    with caplog.at_level(logging.DEBUG):
        for path in ("/docs", "/redoc", "/openapi.json", "/favicon.ico"):
            answer = await host.request(path)
            assert answer.text == f'z{{"path": "{path[1:]}"}}'
            assert set(answer.headers) == {"date", "content-length", "connection"}
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_both_directions_stream(start: StartHost) -> None:
    """The first pieces of the answer arrive while the request is still being sent."""
    app = new_app()

    @app.route(route="echo", methods=["POST"])
    async def echo(req: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            async for piece in req.stream():
                yield piece.upper()

        return StreamingResponse(pieces())

    host = await start(app)
    async with host.connection() as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for text in (b"one", b"two", b"three"):
            writer.write(b"%x\r\n%s\r\n" % (len(text), text))
            async with asyncio.timeout(5):
                await reader.readuntil(text.upper())
        writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"0\r\n\r\n")


async def test_a_slow_reader_holds_the_function_back(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that nobody reads is not piled up in memory, and given up when the reader goes."""
    sent = 0
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        try:
            for _ in range(1000):
                sent += 1
                yield bytes(100_000)
        finally:
            closed.set()

    app = new_app()

    @app.route(route="large")
    async def large(req: Request) -> Response:
        return StreamingResponse(pieces())

    host = await start(app)
    async with host.connection() as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        assert sent < 200
        writer.transport.abort()
        async with asyncio.timeout(5):
            await closed.wait()
        assert sent < 200
    assert caplog.text == ""


async def test_an_answer_that_breaks_off(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """The client sees that the answer is not whole, and the log has the reason."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise OSError("no disk")

    app = new_app()

    @app.route(route="breaks")
    async def breaks(req: Request) -> Response:
        return StreamingResponse(pieces())

    host = await start(app)
    answer = await host.request("/breaks")
    assert answer.status == 200
    assert answer.body == b"3\r\none\r\n"
    assert "no disk" in caplog.text


async def test_a_function_that_fails(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """PLT-114: an empty 500, and the reason in the log alone."""
    app = new_app()

    @app.route(route="fails")
    async def fails(req: Request) -> Response:
        raise ValueError("secret")

    @app.route(route="odd")
    async def odd(req: Request) -> Response:
        return "text"  # type: ignore[return-value]

    host = await start(app)
    for path in ("/fails", "/odd"):
        answer = await host.request(path)
        assert (answer.status, answer.body) == (500, b"")
    assert "secret" in caplog.text


async def test_requests_that_are_no_http(start: StartHost) -> None:
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    async with host.connection() as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        answer = await host.request("/x", headers="Upgrade: websocket\r\n")
        assert answer.status == 200


def telling_app() -> func.FunctionApp:
    """Says of each request how it came."""
    app = new_app()

    @app.route(route="{*path}")
    async def tell(req: Request) -> Response:
        body, connection = await req.body(), req.headers.get("connection", "")
        return Response(f"{req.method} {req.url.path} {req.url.query} {connection.lower()} {body.decode()};")

    return app


JAVA = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\nUpgrade: h2c\r\n"
"""What Java's client adds to the first request of a connection."""


@pytest.mark.parametrize("upgrade", [JAVA, "Upgrade: websocket\r\nConnection: upgrade\r\n"])
@pytest.mark.parametrize(
    "framing", ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("size", [1, 40, 10_000])
async def test_requests_to_upgrade_keep_their_bodies(start: StartHost, upgrade: str, framing: str, size: int) -> None:
    """RFC 9110 7.8: such a wish is ignored, however the request comes in pieces, and so it is with those behind it."""
    host = await start(telling_app())
    request = f"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\n{upgrade}{framing}".encode()
    async with host.connection() as (reader, writer):
        data = request + request + b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n"
        for position in range(0, len(data), size):
            writer.write(data[position : position + size])
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            for _ in range(2):
                answer = await reader.readuntil(b";")
                assert b"\r\n\r\nPOST /a b c=d upgrade" in answer
                assert answer.endswith(b" body;")
            assert b"GET /last" in await reader.readuntil(b";")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_last_request_may_want_to_upgrade(start: StartHost, version: str) -> None:
    """RFC 9112 9.6: it says that the connection closes behind it."""
    host = await start(telling_app())
    async with host.connection() as (reader, writer):
        head = f"POST /x HTTP/{version}\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
        writer.write(f"{head}Content-Length: 4\r\n\r\nbody".encode())
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b" body;")


async def test_no_tunnels(start: StartHost) -> None:
    host = await start(telling_app())
    assert (await host.request("elsewhere:443", "CONNECT")).status == 400


async def test_zeros_in_front_of_a_length(start: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-115: more digits than Python reads as a number."""
    monkeypatch.setenv("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "1000")
    host = await start(telling_app())
    for size, status in ((0, 200), (1000, 200), (1001, 413)):
        length = f"{size:05000}"
        answer = await host.request("/x", "POST", f"Content-Length: {length}\r\n", bytes(size))
        assert answer.status == status


EXPECTANT = b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
async def test_a_body_that_is_not_wanted(start: StartHost, framing: bytes) -> None:
    """STO-18, RFC 9110 10.1.1: a client that is not told to go on may send its next request, which is no body."""
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    async with host.connection() as (reader, writer):
        writer.write(EXPECTANT + framing)
        async with asyncio.timeout(5):
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close" in head
    assert rest.startswith(b"z")


async def test_a_body_that_comes_unasked(start: StartHost) -> None:
    """STO-18: it is passed over, and the connection goes on; so it does behind one that was asked for."""
    app = telling_app()
    add_route(app, "deaf", "deaf/{*path}")
    host = await start(app)
    async with host.connection() as (reader, writer):
        async with asyncio.timeout(5):
            writer.write(EXPECTANT.replace(b"/x", b"/deaf/x") + b"Content-Length: 5\r\n\r\nhello")
            assert b"connection: close" not in await reader.readuntil(b"}")
            writer.write(EXPECTANT + b"Content-Length: 5\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            answer = await reader.readuntil(b";")
            assert b"connection: close" not in answer
            assert answer.endswith(b"hello;")
            writer.write(b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"GET /last" in await reader.readuntil(b";")


async def test_idle_connections_stay_open(start: StartHost) -> None:
    assert extension.KEEP_ALIVE_SECONDS == 65
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    async with host.connection() as (reader, writer):
        for pause in (0, 6):  # longer than the 5 s of uvicorn's default
            await asyncio.sleep(pause)
            writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                assert b"200" in await reader.readuntil(b"}")


async def test_an_idle_connection_does_not_hold_up_the_end(start: StartHost) -> None:
    app = new_app()
    add_route(app, "z", "{*path}")
    host = await start(app)
    async with host.connection() as (reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        began = time.monotonic()
        await host.stop()
        assert time.monotonic() - began < 5


async def test_invocations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-114: what the worker keeps of an invocation goes with the answer, whether it went well or not."""
    references = {"1": object(), "2": object(), "3": object()}
    coordinator = SimpleNamespace(_context_references=references)
    module = SimpleNamespace(http_coordinator=coordinator)
    monkeypatch.setitem(sys.modules, "azure_functions_runtime.http_v2", module)
    app = WebApp()

    async def handler(request: Request) -> Response:
        if request.headers["x-ms-invocation-id"] == "2":
            raise ValueError
        return Response()

    app.route(handler)

    async def send(message: object) -> None:
        pass

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    for invocation in (b"1", b"2"):
        headers = [(b"x-ms-invocation-id", invocation)]
        await app({"type": "http", "method": "GET", "path": "/", "headers": headers}, receive, send)
    assert list(references) == ["3"]


async def test_what_takes_too_long_at_the_end(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """After the grace the host ends, with an answer where none had begun, and without a traceback."""
    app = new_app()

    @app.route(route="never")
    async def never(req: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    @app.route(route="endless")
    async def endless(req: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.05)

        return StreamingResponse(pieces())

    host = await start(app, grace_seconds=1)
    async with host.connection() as (reader, writer), host.connection() as (other, other_writer):
        writer.write(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        other_writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await other.readuntil(b"x")
        began = time.monotonic()
        await host.stop()
        assert 0.9 < time.monotonic() - began < 10
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503")
        assert not (await other.read()).endswith(b"0\r\n\r\n")
    assert "Traceback" not in caplog.text
