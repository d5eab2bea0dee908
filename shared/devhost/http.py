"""HTTP triggers: from a request to a function and back, with the limits of the real host."""

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope

from .configuration import HostConfiguration
from .functions import RESERVED, HostedFunction
from .routing import RouteTable, path_segments

logger = logging.getLogger(__name__)

MOST_REQUEST_LINE = 8_192
MOST_HEADER_BYTES = 32_768
MOST_HEADERS = 100

HOMEPAGE = "<!DOCTYPE html><title>Function app</title><p>Your function app is up and running.</p>"

Handler = Callable[[Request], Awaitable[Response]]


def http_handler(table: RouteTable, configuration: HostConfiguration) -> Handler:
    """The handler of every request: it finds the one function that the host would call, and calls it."""

    async def handle(request: Request) -> Response:
        scope = request.scope
        refused = over_limits(scope)
        if refused:
            return Response(status_code=refused)
        path = path_segments(scope["raw_path"])
        if path and path[0].lower() in RESERVED:
            return Response(status_code=404)
        found = table.find(scope["method"], path)
        if found is None:
            return homepage(configuration) if not path else Response(status_code=404)
        function, scope["path_params"] = found
        if not function.anonymous:
            return Response(status_code=401)
        return await with_body_limit(function, request, configuration.body_limit)

    return handle


def over_limits(scope: Scope) -> int:
    """414 or 431 for a request line or headers that the host does not read, else 0."""
    query = scope["query_string"]
    line = len(scope["method"]) + len(scope["raw_path"]) + len("  HTTP/1.1\r\n") + (len(query) + 1 if query else 0)
    if line > MOST_REQUEST_LINE:
        return 414
    headers = scope["headers"]
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) + 4 for name, value in headers) > MOST_HEADER_BYTES:
        return 431
    return 0


def homepage(configuration: HostConfiguration) -> Response:
    """What `/` shows when no function takes it."""
    return HTMLResponse(HOMEPAGE) if configuration.homepage else Response(status_code=204)


async def with_body_limit(function: HostedFunction, request: Request, limit: int) -> Response:
    """Call the function; a body above `limit` bytes gives 413, whether its length is declared or not."""
    length = request.headers.get("content-length")
    if length is not None:
        # Python refuses to read thousands of digits, and zeros in front of a number may be as many.
        if length.isdigit() and int(length.lstrip("0") or 0) > limit:
            return Response(status_code=413)
        return await answered(function, request)
    if "transfer-encoding" not in request.headers:
        return await answered(function, request)
    body = LimitedBody(request.receive, limit)
    try:
        response = await answered(function, type(request)(request.scope, body.receive))
    except Exception:
        if body.exceeded:
            return Response(status_code=413)
        raise
    return Response(status_code=413) if body.exceeded else response


async def answered(function: HostedFunction, request: Request) -> Response:
    """The answer of a function; anything but a response is an error of the app."""
    response = await function.invoke(request)
    if not isinstance(response, Response):
        raise TypeError(f"{function.name} returned {type(response).__name__}, no response.")
    return response


class LimitedBody:
    """A request body of unknown length: above the limit, the function sees the client go away."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.exceeded = False

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self.exceeded = self._left < 0
        return {"type": "http.disconnect"} if self.exceeded else message
