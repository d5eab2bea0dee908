"""`/operations/{operation}` (OPS-01 to OPS-06)."""

import re

import orjson
from starlette.responses import Response

from ...dicomweb.operation_responses import operation_json, operation_url, tag_url
from ...errors import NotFound
from ...services.operations import get_operation
from ..call import Call

JSON = "application/json; charset=utf-8"

_GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def read_operation(call: Call) -> Response:
    """202 with its own URL while it runs, then 200 (OPS-02)."""
    given = call.path["operation"]
    if not _GUID.fullmatch(given):
        raise NotFound
    state = await get_operation(call.services, given.replace("-", "").lower())
    operation = state.operation
    document = operation_json(
        operation,
        (tag_url(call.base_url, path) for path in state.tags),
        state.results,
        version_1=not call.rules.succeeded,
    )
    if operation.status.finished:
        return Response(orjson.dumps(document), media_type=JSON)
    location = {"Location": operation_url(call.base_url, operation.id)}
    return Response(orjson.dumps(document), 202, location, JSON)
