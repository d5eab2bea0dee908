"""HTTP between the Functions worker and the app: the web extension, which streams requests and answers.

The worker library looks for classes made with the metaclasses of `azurefunctions-extensions-base`, builds `WebApp` and
`WebServer`, and hands every HTTP request of the host to the one route of the app (PLT-114). What the server does by
itself would reach clients before any function runs, so it does nothing: no pages, no access log, no `Server` header.

`Request` and `Response` are the types that the signatures of HTTP functions name; functions may return any subclass of
`Response`, streaming ones included.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import uvicorn
from azurefunctions.extensions import base
from starlette.datastructures import Headers
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

__all__ = ["Request", "Response", "StreamingResponse", "Tls", "WebApp", "WebServer", "at_stop"]

Handler = Callable[["Request"], Awaitable[Response]]

KEEP_ALIVE_SECONDS = 65
"""Longer than the 60 s for which usual proxies and client pools keep idle connections."""

MOST_HEADER_BYTES = 65_536
"""Above the 32 KiB that the host lets through; httptools has no limit of its own."""

INVOCATION_HEADER = "x-ms-invocation-id"
WORKER_MODULES = ("azure_functions_runtime.http_v2", "azure_functions_worker.http_v2")

logger = logging.getLogger(__name__)


_at_stop: list[Callable[[], Awaitable[None]]] = []


def at_stop(callback: Callable[[], Awaitable[None]]) -> None:
    """Have `callback` awaited when the server of this process has stopped, the last one added first."""
    _at_stop.append(callback)


async def called(callback: Callable[[], Awaitable[None]]) -> None:
    """Await a callback; its errors do not keep the next from being called."""
    try:
        await callback()
    except Exception:
        logger.exception("Something could not be closed.")


class RequestHeaders(Headers):
    """Headers by name: a request is asked for a dozen, and Starlette's go through all of them for each."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._by_name: dict[str, list[str]] = {}
        for name, value in self._list:
            self._by_name.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def getlist(self, key: str) -> list[str]:
        return self._by_name.get(key.lower(), [])

    def __getitem__(self, key: str) -> str:
        return self._by_name[key.lower()][0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._by_name

    def get(self, key: str, default: Any = None) -> Any:
        values = self._by_name.get(key.lower())
        return values[0] if values else default


class Request(StarletteRequest):
    """A request to a function."""

    @property
    def headers(self) -> Headers:
        if not hasattr(self, "_headers"):
            self._headers = RequestHeaders(self.scope)
        return self._headers


class RouteParameters(base.RequestSynchronizer):  # type: ignore[misc]
    """Carries the values of the route template from the host's invocation over to the request."""

    def sync_route_params(self, request: Request, path_params: dict[str, str]) -> None:
        """Called by the worker before a function runs."""
        request.scope["path_params"] = dict(path_params)


class RequestType(metaclass=base.RequestTrackerMeta):  # type: ignore[metaclass]
    """What an HTTP function may take."""

    request_type = Request
    synchronizer = RouteParameters()


class StandardResponseType(metaclass=base.ResponseTrackerMeta):  # type: ignore[metaclass]
    """What an HTTP function may return."""

    label = base.ResponseLabels.STANDARD
    response_type = Response


class StreamingResponseType(metaclass=base.ResponseTrackerMeta):  # type: ignore[metaclass]
    """What an HTTP function that streams may return."""

    label = base.ResponseLabels.STREAMING
    response_type = StreamingResponse


class WebApp(base.WebApp):  # type: ignore[misc]
    """The ASGI application of the worker: one handler for every path and method."""

    def __init__(self) -> None:
        self._handler: Handler | None = None

    def route(self, func: Handler) -> Handler:
        """Take `func` as the handler of every request."""
        self._handler = func
        return func

    def get_app(self) -> "WebApp":
        """The ASGI callable."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or self._handler is None:
            return
        try:
            response = await answer(self._handler, Request(scope, receive, send))
            if keeps_its_body(send):
                response.raw_headers.append((b"connection", b"close"))
            if type(response) is Response:
                await response(scope, receive, send)
            else:
                await deliver(response, scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and this has taken longer than it waits
            pass


async def answer(handler: Handler, request: Request) -> Response:
    """The answer to a request; one that fails is 500, one that is cut off by the end of the server 503."""
    try:
        return await handler(request)
    except asyncio.CancelledError:
        return Response(status_code=503)
    except Exception:
        logger.exception("A function failed without an answer.")
        return Response(status_code=500)
    finally:
        forget_invocation(request)


def keeps_its_body(send: Send) -> bool:
    """Whether a client waits for `100 Continue` in vain, since its body is not wanted.

    It may send the next request in its place, which would be read as that body; so the connection has to end
    (RFC 9110 10.1.1).
    """
    connection = getattr(send, "__self__", None)
    return getattr(connection, "waiting_for_100_continue", False) and not getattr(connection, "body", b"")


class ClientGone(Exception):
    """Nobody is there to read the rest of an answer."""


async def deliver(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer that may be long. Its body is read no further once the client has gone, and closed in any case."""
    connection = getattr(send, "__self__", None)

    async def send_while_there(message: Message) -> None:
        if getattr(connection, "disconnected", False):
            raise ClientGone
        await send(message)

    # Of a server of this version Starlette expects an error for a client that has gone; otherwise it would watch for
    # that by reading from the request, whose body the function may not have read yet.
    scope["asgi"] = {**scope["asgi"], "spec_version": "2.4"}
    try:
        await response(scope, receive, send_while_there)
    except ClientGone:
        pass
    finally:
        close = getattr(getattr(response, "body_iterator", None), "aclose", None)
        if close is not None:
            await close()


def forget_invocation(request: Request) -> None:
    """Drop what the worker would keep about the invocation for ever: some 2 KB for every request."""
    invocation = request.headers.get(INVOCATION_HEADER)
    if invocation is None:
        return
    for name in WORKER_MODULES:
        coordinator = getattr(sys.modules.get(name), "http_coordinator", None)
        references = getattr(coordinator, "_context_references", None)
        if isinstance(references, dict):
            references.pop(invocation, None)


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of an HTTPS server, as paths of PEM files."""

    certificate: str
    key: str
    password: str | None = None


class WebServer(base.WebServer):  # type: ignore[misc]
    """The HTTP server of a worker process.

    The worker library gives `hostname`, `port` and `web_app`, and tells the host the address before `serve` has run:
    so the port is listened to from the start, and the first requests wait instead of being refused. The local host also
    gives listening `sockets`, which may be shared with other processes, and stops the server itself with `stop`.
    """

    def __init__(
        self,
        hostname: str,
        port: int,
        web_app: WebApp,
        *,
        sockets: Sequence[socket.socket] | None = None,
        tls: Tls | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        super().__init__(hostname, port, web_app)
        config = server_config(web_app.get_app(), hostname, port, tls, grace_seconds)
        self._server = Server(config)
        self._sockets = [listener(config)] if sockets is None else list(sockets)
        self._server.takes_signals = sockets is None

    async def serve(self) -> None:
        """Serve until stopped; open requests are finished first."""
        try:
            await self._server.serve(self._sockets)
        finally:
            while _at_stop:
                await called(_at_stop.pop())

    def stop(self) -> None:
        """Take no further connection, finish what is open, and end `serve`."""
        self._server.should_exit = True

    @property
    def started(self) -> bool:
        """Whether connections are accepted."""
        return self._server.started


def listener(config: uvicorn.Config) -> socket.socket:
    """A socket that listens at the address of a server. Raises `OSError` when the port is taken."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    return socket.create_server((config.host, config.port), family=family, backlog=config.backlog)


class Server(uvicorn.Server):
    """uvicorn, which leaves signals alone where someone else takes them."""

    takes_signals = True

    def capture_signals(self) -> Any:
        """A context in which signals stop the server, if it takes them."""
        return super().capture_signals() if self.takes_signals else nullcontext()


def http_protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    """What parses HTTP: the quick one, if there is httptools for this Python."""
    if not find_spec("httptools"):
        return "h11"
    from .http_protocol import HttpProtocol

    return HttpProtocol


def server_config(app: Any, host: str, port: int, tls: Tls | None, grace_seconds: int | None) -> uvicorn.Config:
    """The server that adds nothing of its own; it trusts no forwarded header, the app reads them (PLT-10)."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http_protocol(),
        loop="auto",
        ws="none",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace_seconds,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_keyfile_password=tls.password if tls else None,
    )
