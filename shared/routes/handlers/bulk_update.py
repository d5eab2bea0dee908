"""POST of `/studies/$bulkUpdate` (PLT-59 to PLT-69)."""

import orjson
from starlette.responses import Response

from ...dicomweb.bulk_update_request import RefusedChanges, checked_update, requested_update
from ...dicomweb.json_body import json_body, read_json
from ...dicomweb.operation_responses import operation_reference, operation_url
from ...errors import InvalidRequest
from ...services.bulk_update import start_update
from ...settings import settings
from ..call import Call

JSON = "application/json; charset=utf-8"

LARGEST_BODY = 500_000
"""Bytes; a row of the operation, of which a table takes 1 MB, holds all of it."""


async def update_studies(call: Call) -> Response:
    """202 with the operation that updates the studies (PLT-61)."""
    if settings().disable_operations:
        raise InvalidRequest("Asynchronous operations are temporarily disabled. Please try again later.")
    requested = requested_update(read_json(await json_body(call.request, LARGEST_BODY)))
    call.authorize()
    try:
        update = checked_update(requested)
    except RefusedChanges as refused:
        return Response(refused.body, 400, media_type=JSON)
    call.services.table_file.refuse_if_full()
    operation = await start_update(call.services, call.partition, update)
    location = {"Location": operation_url(call.base_url, operation)}
    return Response(orjson.dumps(operation_reference(call.base_url, operation)), 202, location, JSON)
