"""Searches on the six resources of QIDO-RS (QRY-01), with their checks in the order of QRY-20."""

from starlette.responses import Response

from ...dicomweb import search_parameters as parameters
from ...dicomweb.accept import covers_dicom_json
from ...dicomweb.query_string import query_pairs, requested_fuzzy_matching, requested_page
from ...dicomweb.search_parameters import Resource, Search
from ...errors import NotAcceptable
from ...services.extended_query_tags import erroneous_keys, searchable_tags
from ...services.search import search_json
from ..call import Call

DICOM_JSON = "application/dicom+json"
ERRONEOUS = "erroneous-dicom-attributes"
"""Names the filters whose extended query tags have errors (TAG-31)."""


async def search_studies(call: Call) -> Response:
    """`/studies`"""
    return await _search(call, parameters.STUDIES)


async def search_series(call: Call) -> Response:
    """`/series`"""
    return await _search(call, parameters.SERIES)


async def search_instances(call: Call) -> Response:
    """`/instances`"""
    return await _search(call, parameters.INSTANCES)


async def search_study_series(call: Call) -> Response:
    """`/studies/{study}/series`"""
    return await _search(call, parameters.SERIES_OF_STUDY)


async def search_study_instances(call: Call) -> Response:
    """`/studies/{study}/instances`"""
    return await _search(call, parameters.INSTANCES_OF_STUDY)


async def search_series_instances(call: Call) -> Response:
    """`/studies/{study}/series/{series}/instances`"""
    return await _search(call, parameters.INSTANCES_OF_SERIES)


async def _search(call: Call, resource: Resource) -> Response:
    """200 with an array, or 204 without a body if nothing is found (QRY-04, QRY-05)."""
    search = await _requested(call, resource)
    found = await search_json(call.services, call.partition, search)
    headers = {}
    if any(each.column != each.tag for each in search.filters):
        keys = await erroneous_keys(call.services, search.filters)
        headers = {ERRONEOUS: ",".join(keys)} if keys else {}
    if not found:
        return Response(status_code=204, headers=headers)
    return Response(found, headers=headers, media_type=DICOM_JSON)


async def _requested(call: Call, resource: Resource) -> Search:
    pairs = query_pairs(call.request.scope["query_string"])
    page = requested_page(pairs)
    fuzzy = requested_fuzzy_matching(pairs)
    if not covers_dicom_json(call.request.headers.getlist("accept")):
        raise NotAcceptable
    parameters.refuse_repeated_keys(pairs)
    study = call.uid("study") if "study" in call.path else None
    series = call.uid("series") if "series" in call.path else None
    extended = await searchable_tags(call.services) if parameters.names_others(pairs) else {}
    filters = parameters.requested_filters(pairs, resource, fuzzy=fuzzy, extended=extended)
    return Search(
        resource=resource,
        page=page,
        filters=filters,
        fields=parameters.requested_fields(pairs),
        study=study,
        series=series,
        version_1=not call.rules.small_result_sets,
    )
