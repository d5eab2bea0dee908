"""The HTTP connections of Azure Storage's engine, against servers that answer in every way HTTP/1.1 allows, and in some
that it does not. What a real Azurite answers is in the other modules here."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from shared.azurite import free_ports
from shared.storage import azure_connections
from shared.storage.azure_connections import Connections, Limits, NotAnswered, NotSent, Origin, Response

pytestmark = pytest.mark.integration

LIMITS = Limits(connect=5, idle=5, total=20)
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: W/"1"\r\n\r\nok'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Exchange = Callable[..., Awaitable[Response]]


@dataclass
class Server:
    """Answers the requests of all its connections with `answers`, one after the other; None: with nothing."""

    answers: list[list[bytes] | None]
    connections: int = 0
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    early: bool = False
    """It answers before it has read the body, and closes."""
    between: float = 0.0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                body = b"" if self.early or not length else await reader.readexactly(int(length[1]))
                self.requests.append((head, body))
                answer = self.answers.pop(0)
                for piece in answer or []:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(self.between)
                if answer is None:
                    await reader.read()
                if self.early or answer == []:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server([])
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections()
    yield connections
    await connections.close()


@pytest.fixture
def origin(server: Server, connections: Connections) -> Origin:
    return connections.origin(f"http://127.0.0.1:{server.port}/account")


@pytest.fixture
def exchange(connections: Connections, origin: Origin) -> Exchange:
    async def exchange(method: str = "GET", content: bytes | None = None, limits: Limits = LIMITS) -> Response:
        return await connections.exchange(origin, method, "/t?q=%20", {"X-One": "1"}, content, limits)

    return exchange


async def test_requests_follow_each_other_on_one_connection(server: Server, exchange: Exchange) -> None:
    server.answers = [[OK], [OK], [OK]]
    for content in (None, b"", b"abc"):
        response = await exchange("PUT", content)
        assert (response.status_code, response.content, response.headers["etag"]) == (200, b"ok", 'W/"1"')
    host = b"PUT /t?q=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-One: 1\r\n" % server.port
    assert server.requests == [
        (host + b"\r\n", b""),
        (host + b"Content-Length: 0\r\n\r\n", b""),
        (host + b"Content-Length: 3\r\n\r\n", b"abc"),
    ]
    assert server.connections == 1


async def test_requests_at_once_have_connections_of_their_own(server: Server, exchange: Exchange) -> None:
    server.answers = [[OK] for _ in range(6)]
    for _ in range(2):
        await asyncio.gather(*(exchange() for _ in range(3)))
    assert server.connections == 3


@pytest.mark.parametrize(
    ("pieces", "status", "content"),
    [
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"],
            200,
            b"abcde",
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, b"ok"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], 404, b""),
        ([OK[:5], OK[5:40], OK[40:-1], OK[-1:]], 200, b"ok"),
    ],
)
async def test_forms_of_answers(
    server: Server, exchange: Exchange, pieces: list[bytes], status: int, content: bytes
) -> None:
    server.answers = [pieces, [OK]]
    server.between = 0.01
    response = await exchange()
    assert (response.status_code, response.content) == (status, content)
    assert (await exchange()).content == b"ok"
    assert server.connections == 1


async def test_an_answer_to_head_has_no_body(server: Server, exchange: Exchange) -> None:
    server.answers = [[OK[:-2]], [OK]]
    response = await exchange("HEAD")
    assert (response.content, response.headers["content-length"]) == (b"", "2")
    assert (await exchange()).content == b"ok"


async def test_large_bodies_both_ways(server: Server, exchange: Exchange, origin: Origin) -> None:
    """The connection, at rest, holds nothing of them."""
    content = bytes(range(256)) * 20_000
    server.answers = [[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content), content]]
    response = await exchange("PUT", content)
    assert response.content == content
    assert server.requests[0][1] == content
    (resting,) = origin.idle
    assert resting._body == []


async def test_an_answer_before_all_of_the_body_was_sent(server: Server, exchange: Exchange) -> None:
    server.answers = [[b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]]
    server.early = True
    with contextlib.suppress(NotAnswered):  # the reset may come first, and take the answer with it
        assert (await exchange("PUT", bytes(30_000_000))).status_code == 413
    server.answers, server.early = [[OK]], False
    assert (await exchange()).content == b"ok"


async def test_connections_that_end_are_not_used_again(server: Server, exchange: Exchange) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    server.answers = [[closing], [OK], [OK + b"HTTP/1.1 200 OK\r\n"], [OK], []]
    for _ in range(4):
        assert (await exchange()).content == b"ok"
        await asyncio.sleep(0.05)  # what comes unasked has come
    assert server.connections == 3


async def test_a_connection_rests_for_a_while_only(
    server: Server, exchange: Exchange, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_connections, "KEEP_ALIVE_SECONDS", 0.05)
    server.answers = [[OK], [OK]]
    await exchange()
    assert len(origin.idle) == 1
    while origin.idle:
        await asyncio.sleep(0.01)
    await exchange()
    assert server.connections == 2


async def test_a_rest_that_was_too_long_for_a_busy_loop(
    server: Server, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [[OK], [OK]]
    await exchange()
    monkeypatch.setattr(azure_connections, "KEEP_ALIVE_SECONDS", 0.0)  # the timer, set before, has not run
    await exchange()
    assert server.connections == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [OK[:30]],
        [OK[:-1]],
        [CHUNKED + b"3\r\nab"],
        [b"HTTP/1.1 200 OK\r\n\r\nof no length that anybody could check"],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
    ],
)
async def test_no_whole_answer_is_none(server: Server, exchange: Exchange, pieces: list[bytes]) -> None:
    server.answers = [pieces]
    with pytest.raises(NotAnswered) as failure:
        await exchange()
    assert "127.0.0.1" not in str(failure.value)
    assert len(server.requests) == 1


async def test_an_answer_that_stalls(server: Server, exchange: Exchange) -> None:
    """Signs of life keep a request going, silence ends it."""
    server.between = 0.1
    server.answers = [[OK[at : at + 6] for at in range(0, len(OK), 6)], None]
    assert (await exchange(limits=Limits(5, 0.5, 60))).content == b"ok"
    with pytest.raises(NotAnswered, match="TimeoutError"):
        await exchange(limits=Limits(5, 0.2, 60))


async def test_an_answer_that_takes_too_long_in_all(server: Server, exchange: Exchange) -> None:
    server.between = 0.05
    server.answers = [[OK[at : at + 1] for at in range(len(OK))]]
    with pytest.raises(NotAnswered, match="TimeoutError"):
        await exchange(limits=Limits(5, 5, 0.3))


async def test_a_body_that_nobody_reads(connections: Connections) -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    async with await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1) as listening:
        origin = connections.origin(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(NotAnswered, match="TimeoutError"):
            await connections.exchange(origin, "PUT", "/", {}, bytes(50_000_000), Limits(5, 0.3, 20))
        gone.set()


async def test_who_gives_up_leaves_no_answer_to_others(server: Server, exchange: Exchange) -> None:
    server.answers = [None, [OK]]
    waiting = asyncio.ensure_future(exchange())
    while not server.requests:
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await exchange()).content == b"ok"
    assert server.connections == 2


async def test_where_nobody_listens(connections: Connections) -> None:
    origin = connections.origin(f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(NotSent) as failure:
        await connections.exchange(origin, "GET", "/", {}, None, LIMITS)
    assert str(failure.value) == "ConnectionRefusedError"


async def test_a_server_without_a_certificate(server: Server, connections: Connections) -> None:
    origin = connections.origin(f"https://127.0.0.1:{server.port}")
    server.answers = [[OK]]
    with pytest.raises(NotSent):
        await connections.exchange(origin, "GET", "/", {}, None, Limits(1, 1, 1))
    assert server.requests == []


async def test_after_closing_nothing_is_kept(server: Server, exchange: Exchange, connections: Connections) -> None:
    server.answers = [[OK], [OK]]
    await exchange()
    await connections.close()
    assert (await exchange()).content == b"ok"
    assert server.connections == 2
