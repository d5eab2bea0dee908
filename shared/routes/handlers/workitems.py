"""The worklist: create, retrieve, update, change state, request cancellation, search (UPS-01 to UPS-94).

Bodies are read before anything is asked of the services, which refuse callers whose role does not suffice (PLT-43).
"""

from starlette.responses import Response

from ...dicomweb.error_responses import text_response
from ...dicomweb.query_string import query_pairs
from ...dicomweb.spooled_answer import SpooledArray
from ...dicomweb.urls import host_name
from ...dicomweb.workitem_datasets import Dataset, read_dataset
from ...dicomweb.workitem_messages import message_response, names_json, refusal, warning
from ...dicomweb.workitem_requests import (
    DICOM_JSON,
    named_uid,
    read_body,
    require_accept,
    require_content_type,
    transaction_uid,
    uid_to_create,
    workitem_uid,
)
from ...dicomweb.workitem_search_parameters import workitem_search
from ...errors import Conflict, InvalidRequest, NotFound
from ...services import workitems
from ...services.workitem_contents import off_the_loop
from ...services.workitem_search import search_workitems
from ..call import Call

REFUSALS = (InvalidRequest, NotFound, Conflict)
"""What a transaction says no with."""

CANCELED = "The workitem instance has been cancelled."
NOT_IMPLEMENTED = "Subscriptions to workitems are not implemented."


async def create_workitem(call: Call) -> Response:
    """POST of a new workitem (UPS-12 to UPS-20)."""
    require_content_type(call.request.headers)
    require_accept(call.request.headers)
    sent, size = await _sent(call)
    call.services.table_file.refuse_if_full()
    uid = uid_to_create(named_uid(call.request.scope["query_string"]), sent, strict=_strict(call))
    try:
        missing = await workitems.create_workitem(call.services, call.partition, uid, sent, size)
    except REFUSALS as error:
        return refusal(error, quoted=True)
    headers = {"Location": _url(call, uid), "Content-Location": _url(call, uid)}
    if missing is not None:
        headers["Warning"] = warning(host_name(call.request), missing)
    return Response(status_code=201, headers=headers)


async def retrieve_workitem(call: Call) -> Response:
    """GET of one workitem (UPS-22 to UPS-24)."""
    require_accept(call.request.headers)
    uid = _uid(call)
    try:
        dataset = await workitems.retrieve_workitem(call.services, call.partition, uid)
    except REFUSALS as error:
        return refusal(error, quoted=True)
    return Response(dataset, media_type=DICOM_JSON)


async def update_workitem(call: Call) -> Response:
    """PUT of attributes, or POST, which means the same (UPS-30 to UPS-36)."""
    headers = call.request.headers
    require_content_type(headers)
    quoted = False
    try:
        sent, size = await _sent(call)
        call.services.table_file.refuse_if_full()
        uid = _uid(call)
        transaction = transaction_uid(call.request.scope["query_string"], headers, strict=_strict(call))
        quoted = names_json(headers.getlist("accept"))
        await workitems.update_workitem(call.services, call.partition, uid, transaction, sent, size)
    except REFUSALS as error:
        return refusal(error, quoted=quoted, host=host_name(call.request))
    return Response(status_code=200, headers={"Content-Location": _url(call, uid)})


async def change_workitem_state(call: Call) -> Response:
    """PUT of another state (UPS-40 to UPS-47)."""
    headers = call.request.headers
    require_content_type(headers)
    quoted = False
    try:
        sent, _ = await _sent(call)
        uid = _uid(call)
        wanted = workitems.state_request(sent)
        quoted = names_json(headers.getlist("accept"))
        already = await workitems.change_workitem_state(call.services, call.partition, uid, wanted)
    except REFUSALS as error:
        return refusal(error, quoted=quoted, host=host_name(call.request))
    answer = Response(status_code=200)
    if already is not None:
        answer.headers["Warning"] = warning(host_name(call.request), already)
    return answer


async def request_workitem_cancellation(call: Call) -> Response:
    """POST of a request for cancellation, with or without a reason (UPS-50 to UPS-56)."""
    body = await read_body(call.request.stream())
    sent: Dataset = {}
    if body:
        require_content_type(call.request.headers)
        sent = await off_the_loop(len(body), lambda: read_dataset(body))
    uid = _uid(call)
    try:
        await workitems.request_cancellation(call.services, call.partition, uid, sent, len(body))
    except REFUSALS as error:
        host = host_name(call.request) if isinstance(error, Conflict) else None
        return refusal(error, quoted=True, host=host)
    return message_response(202, CANCELED)


async def search_for_workitems(call: Call) -> Response:
    """GET of those that match: 200 with an array, 204 without any, 206 without some (UPS-60 to UPS-71)."""
    require_accept(call.request.headers)
    search = workitem_search(query_pairs(call.request.scope["query_string"]))
    found, missing = SpooledArray(), False
    try:
        async for item in search_workitems(call.services, call.partition, search):
            if item is None:
                missing = True
            else:
                await found.add(item)
        if not found.items and not missing:
            found.close()
            return Response(status_code=204)
        return await found.response(206 if missing else 200, DICOM_JSON)
    except BaseException:
        found.close()
        raise


async def workitem_subscriptions(call: Call) -> Response:
    """UPS-80"""
    return text_response(501, NOT_IMPLEMENTED)


def _strict(call: Call) -> bool:
    return call.services.settings.workitem_validation == "strict"


def _uid(call: Call) -> str:
    """The UID of the path; raises `InvalidIdentifier` (UPS-07)."""
    return workitem_uid(call.path["workitem"], strict=_strict(call))


def _url(call: Call, uid: str) -> str:
    return f"{call.base_url}/workitems/{uid}"


async def _sent(call: Call) -> tuple[Dataset, int]:
    """The data set of the body, and the body's size in bytes; raises `InvalidRequest` (UPS-02)."""
    body = await read_body(call.request.stream())
    return await off_the_loop(len(body), lambda: read_dataset(body)), len(body)
