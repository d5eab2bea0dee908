"""Messages of worklist answers: as JSON strings or bare, and once more as a warning (UPS-05, UPS-06)."""

from collections.abc import Iterable

import orjson
from starlette.responses import Response

from .accept import parse
from .error_responses import error_response
from .workitem_requests import DICOM_JSON

_QUOTING = frozenset({DICOM_JSON, "application/json"})


def names_json(accept: Iterable[str]) -> bool:
    """Whether an entry of the Accept header lines names a JSON type; a wildcard does not."""
    return any(entry.type in _QUOTING for entry in parse(accept))


def warning(host: str, message: str) -> str:
    """The value of a Warning header (RFC 7234 5.5, in the form of the service)."""
    return f'299 {host}: "{message}"'


def message_response(status: int, message: str) -> Response:
    """The message as a JSON string."""
    return Response(orjson.dumps(message), status, media_type=DICOM_JSON)


def refusal(error: Exception, *, quoted: bool, host: str | None = None) -> Response:
    """The answer for a failure that has a text; `host`, if given, is for a warning that repeats it."""
    response = error_response(error)
    if quoted:
        response = message_response(response.status_code, str(error))
    if host is not None:
        response.headers["Warning"] = warning(host, str(error))
    return response
