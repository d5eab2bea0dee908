"""The way of every request: guards, version, route, handler, and back through errors and headers to one log line.

Nothing that is raised in here leaves the app: what the Functions worker makes of an exception would reach the client.
"""

import asyncio
import contextlib
import logging
import os
import re
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from .. import composition
from ..dicomweb.compression import compressed
from ..dicomweb.error_responses import error_response, unsupported_version
from ..dicomweb.urls import request_url
from ..errors import InvalidRequest, MethodNotAllowed, NotFound, Unauthenticated
from ..settings import settings
from ..storage.records import DEFAULT_PARTITION
from ..under_way import ANSWERING
from .audit import AuditEntry, custom_headers
from .authentication import identify
from .call import Call, Route
from .cors import cors_policy
from .request_log import log_request, raw_path
from .route_table import Pattern, RouteGroup, path_segments
from .versions import SUPPORTED, is_version, served_version

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""Every HTTP function takes them all, so that the app and not the host answers (PLT-06)."""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-src 'self';"),
)
"""On every answer (PLT-09)."""

VERSIONS_HEADER = (b"api-supported-versions", SUPPORTED.encode())

CORRELATION_HEADER = "x-correlation-id"

MOST_DRAINED = 64 * 1024 * 1024
"""Bytes of a body that are read and dropped after an early answer (STO-5)."""

LONGEST_DRAIN = 60.0
"""Seconds that this may take."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Exchange:
    """What is known of a request on its way: what its answer will carry in any case, and what is logged of it."""

    correlation_id: str
    versioned: bool = False
    audit: AuditEntry | None = None

    def complete(self, response: Response) -> None:
        """Adds the headers that no handler sets."""
        headers = response.raw_headers
        headers += SECURITY_HEADERS
        headers.append((CORRELATION_HEADER.encode(), self.correlation_id.encode()))
        if self.versioned:
            headers.append(VERSIONS_HEADER)


async def dispatch(group: RouteGroup, request: Request) -> Response:
    """Answers a request that the host gave to the function of `group`."""
    began = time.perf_counter()
    exchange = Exchange(_correlation_id(request))
    try:
        with ANSWERING:
            response = await compressed(request, await _answer(group, request, exchange))
        await _drain(request)
    except ClientDisconnect:
        response = Response(status_code=400)
    except Exception as error:
        response = error_response(error)
        if response.status_code == 500:
            logger.error("Request %s failed.", exchange.correlation_id, exc_info=error)
        await _drain(request)
    exchange.complete(response)
    cors_policy().apply(request, response)
    if exchange.audit is not None:
        exchange.audit.ended(response.status_code)
    log_request(settings(), request, response.status_code, began, exchange.correlation_id)
    return response


async def _answer(group: RouteGroup, request: Request, exchange: Exchange) -> Response:
    """Guards, finds the route and calls its handler."""
    query: bytes = request.scope["query_string"]
    if b"<" in query or b"%3c" in query.lower():
        raise InvalidRequest("The query string included invalid characters.")
    preflight = cors_policy().preflight(request)
    if preflight is not None:
        return preflight
    path = path_segments(raw_path(request))
    found = None if path is None else group.find(path)
    if found is None:
        raise NotFound
    pattern, values = found
    segment = values.pop("version", None)
    version = "" if segment is None else served_version(segment)
    if segment is not None:
        if version is None and not is_version(segment):
            raise NotFound
        exchange.versioned = True
        if version is None:
            return unsupported_version(request_url(request, settings().public_url))
    route = _route(pattern, request.method, version or "")
    call = Call(
        request=request,
        opened=None,
        version=version or "",
        segment=segment or "",
        path=values,
        partition=values.get("partition", DEFAULT_PARTITION),
        correlation_id=exchange.correlation_id,
        action=route.action,
    )
    await _admit(call, route, exchange)
    if not pattern.standalone:
        call.opened = await composition.services()
    return await route.handler(call)


def _route(pattern: Pattern, method: str, version: str) -> Route:
    """The route of a method; raises `MethodNotAllowed`, or `NotFound` for a path that this version does not have."""
    route = pattern.routes.get(method)
    if route is not None and route.served_in(version):
        return route
    allowed = [other for other, each in pattern.routes.items() if each.served_in(version)]
    raise MethodNotAllowed(allowed) if allowed else NotFound


async def _admit(call: Call, route: Route, exchange: Exchange) -> None:
    """Finds out who calls, and opens the audit of the action (PLT-38, PLT-45, PLT-47)."""
    if settings().audit_log and route.audit:
        exchange.audit = AuditEntry(route.audit, call.request, settings().public_url, call.correlation_id)
    if route.action:
        try:
            call.identity = await identify(call.request)
        except Unauthenticated:
            exchange.versioned = False
            raise
    headers = custom_headers(call.request)
    if exchange.audit is not None:
        exchange.audit.claims, exchange.audit.headers = call.identity.claims, headers
        exchange.audit.started()


def _correlation_id(request: Request) -> str:
    """The caller's own, if it sent a usable one; else a new one."""
    given = request.headers.get(CORRELATION_HEADER, "")
    return given if _CORRELATION_ID.fullmatch(given) else os.urandom(16).hex()


async def _drain(request: Request) -> None:
    """Reads on what is left of the body, within limits.

    A client that sends on while its connection is closed sees a reset instead of the answer (STO-5). One that waits
    for `100 Continue` has sent nothing and is answered at once.
    """
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        return
    if request.headers.get("expect", "").strip().lower() == "100-continue":
        return
    drained = 0
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(LONGEST_DRAIN):
            async for chunk in request.stream():
                drained += len(chunk)
                if drained > MOST_DRAINED:
                    return
