"""What each failure becomes on the wire (PLT-12 to PLT-16): the one place that turns exceptions into answers."""

import orjson
from starlette.responses import Response

from ..errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

INTERNAL_ERROR = (
    "The server encountered an internal error. Please retry the request. If the issue persists, please contact support."
)
STORAGE_UNAVAILABLE = "The service is unavailable. Please try again later."

RETRY_AFTER = "2"
"""Seconds after which a client may try again when storage did not answer."""

_STATUS = {
    InvalidRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    Conflict: 409,
    TooLarge: 413,
    UnsupportedMediaType: 415,
}


def error_response(error: Exception) -> Response:
    """The answer for `error`: its bare text, or none if it has no text; a 500 never shows what happened."""
    if isinstance(error, Unavailable):
        return text_response(503, str(error) or STORAGE_UNAVAILABLE, {"Retry-After": RETRY_AFTER})
    for family, status in _STATUS.items():
        if isinstance(error, family):
            return text_response(status, str(error), _headers(error))
    return text_response(500, INTERNAL_ERROR)


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    return {"WWW-Authenticate": error.challenge} if isinstance(error, Unauthenticated) else {}


def text_response(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """A bare message as `text/plain`; without text an empty body without a type."""
    return Response(text or None, status, headers, media_type="text/plain" if text else None)


def unsupported_version(url: str) -> Response:
    """PLT-03: one of the few errors that are JSON."""
    message = f"The HTTP resource that matches the request URI '{url}' is not supported."
    body = orjson.dumps({"error": {"code": "UnsupportedApiVersion", "message": message}})
    return Response(body, 400, media_type="application/json; charset=utf-8")
