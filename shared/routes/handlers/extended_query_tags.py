"""`/extendedquerytags` and below (TAG-01 to TAG-14)."""

from typing import Any

import orjson
from starlette.responses import Response

from ...dicomweb.extended_query_tag_requests import requested_query_status, requested_tags, tag_path
from ...dicomweb.json_body import json_body, read_json
from ...dicomweb.operation_responses import error_json, operation_reference, operation_url, tag_json
from ...dicomweb.query_string import Page, query_pairs, requested_page
from ...services import extended_query_tags as service
from ...services.extended_query_tags import CountedTag, ReindexRunning
from ..call import Call

JSON = "application/json; charset=utf-8"

LARGEST_BODY = 1_000_000
"""Bytes; 128 tags take a tenth of that."""


async def add_extended_query_tags(call: Call) -> Response:
    """202 with the operation that reindexes what is stored (TAG-01)."""
    document = read_json(await json_body(call.request, LARGEST_BODY))
    call.authorize()
    requested = requested_tags(document)
    try:
        operation = await service.add_tags(call.services, requested)
    except ReindexRunning as running:
        location = {"Location": operation_url(call.base_url, running.operation)}
        return Response(str(running), 409, location, media_type="text/plain")
    location = {"Location": operation_url(call.base_url, operation)}
    return _json(operation_reference(call.base_url, operation), 202, location)


async def list_extended_query_tags(call: Call) -> Response:
    """An array, also when there are none (TAG-09)."""
    tags = await service.list_tags(call.services, _page(call))
    return _json([_tag(call, tag) for tag in tags])


async def read_extended_query_tag(call: Call) -> Response:
    """One tag (TAG-02)."""
    return _json(_tag(call, await service.get_tag(call.services, tag_path(call.path["tag"]))))


async def switch_extended_query_tag(call: Call) -> Response:
    """Searching by the tag on or off; the whole tag as it is then (TAG-11)."""
    document = read_json(await json_body(call.request, LARGEST_BODY))
    call.authorize()
    path = tag_path(call.path["tag"])
    enabled = requested_query_status(document)
    return _json(_tag(call, await service.switch_tag(call.services, path, enabled=enabled)))


async def delete_extended_query_tag(call: Call) -> Response:
    """204 (TAG-13)."""
    await service.remove_tag(call.services, tag_path(call.path["tag"]))
    return Response(status_code=204)


async def list_extended_query_tag_errors(call: Call) -> Response:
    """An array, oldest first (TAG-14)."""
    page = _page(call)
    errors = await service.tag_errors(call.services, tag_path(call.path["tag"]), page)
    return _json([error_json(error) for error in errors])


def _page(call: Call) -> Page:
    return requested_page(query_pairs(call.request.scope["query_string"]))


def _tag(call: Call, tag: CountedTag) -> dict[str, Any]:
    return tag_json(tag.tag, tag.errors, call.base_url)


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers, JSON)
