"""One line in the log for each request.

Of the URL only the path is written: queries may hold transaction UIDs and tokens.
"""

import logging
import time

import orjson
from starlette.requests import Request

from ..settings import Settings
from .log_lines import write_soon

logger = logging.getLogger("dicom.requests")


def log_request(settings: Settings, request: Request, status: int, began: float, correlation_id: str) -> None:
    """Writes the line; `began` is the reading of `time.perf_counter` at the start."""
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    write_soon(_write, settings, request, status, milliseconds, correlation_id)


def _write(settings: Settings, request: Request, status: int, milliseconds: float, correlation_id: str) -> None:
    path = raw_path(request).decode("ascii", "backslashreplace")
    if settings.log_format == "json":
        line = orjson.dumps(
            {
                "method": request.method,
                "path": path,
                "status": status,
                "milliseconds": milliseconds,
                "correlationId": correlation_id,
            }
        ).decode()
    else:
        line = f"{request.method} {path} {status} {milliseconds} ms {correlation_id}"
    logger.log(logging.WARNING if status >= 500 else logging.INFO, "%s", line)


def raw_path(request: Request) -> bytes:
    """The path as it came, percent-encoded."""
    raw: bytes | None = request.scope.get("raw_path")
    return request.scope["path"].encode() if raw is None else raw.partition(b"?")[0]
