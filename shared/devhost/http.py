"""HTTP triggers: from a request to a function and back, in the order of the real host."""

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from .routing import RouteTable, path_segments

logger = logging.getLogger(__name__)

RESERVED = ("admin", "runtime")


def http_handler(table: RouteTable) -> Callable[[Request], Awaitable[Response]]:
    """The handler of every request."""

    async def handle(request: Request) -> Response:
        scope = request.scope
        path = path_segments(scope["raw_path"])
        if path and path[0].lower() in RESERVED:
            return Response(status_code=404)
        found = table.find(scope["method"], path)
        if found is None:
            return Response(status_code=404)
        function, values = found
        scope["path_params"] = values
        response: Response = await function.call(**{function.parameter: request})
        return response

    return handle
