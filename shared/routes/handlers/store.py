"""POST and PUT of instances (STO-1 to STO-31, STO-110)."""

from collections.abc import AsyncGenerator

from starlette.responses import Response

from ...dicomweb import store_request
from ...dicomweb.spool import Spool
from ...dicomweb.store_response import MEDIA_TYPE, store_dataset, store_status
from ...dicomweb.urls import host_name
from ...services.store import StoreRequest, store_files
from ..call import Call


async def store_instances(call: Call) -> Response:
    """POST: stores what is not stored yet."""
    return await _store(call, replace=False)


async def upsert_instances(call: Call) -> Response:
    """PUT: stores, and replaces what is stored already."""
    return await _store(call, replace=True)


async def _store(call: Call, *, replace: bool) -> Response:
    request, files = _read(call, replace)
    services = call.services
    services.table_file.refuse_if_full()
    lenient, duplicates_warn = request.lenient, services.settings.duplicates == "warn"
    result = await store_files(services, request, files)
    status = store_status(result.instances, warnings_count=lenient, duplicates_warn=duplicates_warn)
    if status == 204:
        return Response(status_code=204)
    headers = {}
    if result.multiple_values:
        message = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
        headers["Warning"] = f'299 {host_name(call.request)}: "{message}"'
    body = store_dataset(result.instances, call.base_url, request.study, details=lenient)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def _read(call: Call, replace: bool) -> tuple[StoreRequest, AsyncGenerator[Spool]]:
    """Checks the request in the order of STO-5; then the files come out of its body."""
    headers = call.request.headers
    offered = store_request.offered_type(headers)
    store_request.require_dicom_json(headers)
    services = call.services
    study = call.uid("study") if "study" in call.path else None
    content_type = store_request.require_type(offered)
    began = services.clock()
    request = StoreRequest(
        partition=call.partition,
        study=study,
        replace=replace,
        lenient=call.rules.lenient_store,
        expires=store_request.expiry(headers, began),
        began=began,
    )
    boundary = store_request.boundary(content_type, headers["content-type"])
    body, limit = call.request.stream(), services.settings.max_file_bytes
    if boundary is None:
        return request, store_request.single_file(body, headers.get("content-length"), limit)
    return request, store_request.files_in_parts(body, boundary, content_type.parameters.get("type"), limit)
