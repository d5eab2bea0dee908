"""Extended query tags and operations as JSON (TAG-02, TAG-14, OPS-03), with their URLs."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..clock import Ticks, to_datetime
from ..storage.extended_query_tags import ExtendedQueryTag, TagError
from ..storage.operations import Operation, OperationStatus


def timestamp(ticks: Ticks) -> str:
    """UTC with milliseconds and `Z` (OPS-03)."""
    return to_datetime(ticks).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def operation_url(base_url: str, operation: str) -> str:
    """`base_url` is scheme, host and version, as in `Call`."""
    return f"{base_url}/operations/{operation}"


def tag_url(base_url: str, path: str) -> str:
    return f"{base_url}/extendedquerytags/{path}"


def operation_reference(base_url: str, operation: str) -> dict[str, str]:
    """What a request that starts an operation answers (TAG-01)."""
    return {"id": operation, "href": operation_url(base_url, operation)}


def tag_json(tag: ExtendedQueryTag, errors: int, base_url: str) -> dict[str, Any]:
    """One tag; what it does not have is left out."""
    document: dict[str, Any] = {"path": tag.path, "vr": tag.vr}
    if tag.creator:
        document["privateCreator"] = tag.creator
    document |= {"level": tag.level, "status": tag.status.value}
    if errors:
        document["errors"] = {"count": errors, "href": f"{tag_url(base_url, tag.path)}/errors"}
    document["queryStatus"] = "enabled" if tag.enabled else "disabled"
    if tag.operation:
        document["operation"] = operation_reference(base_url, tag.operation)
    return document


def error_json(error: TagError) -> dict[str, str]:
    """One instance that could not be indexed."""
    return {
        "studyInstanceUid": error.key.study,
        "seriesInstanceUid": error.key.series,
        "sopInstanceUid": error.key.instance,
        "partitionName": error.key.partition,
        "createdTime": timestamp(error.created),
        "errorMessage": error.message,
    }


def operation_json(
    operation: Operation, resources: Iterable[str], results: Mapping[str, Any] | None, *, version_1: bool
) -> dict[str, Any]:
    """One operation; `resources` are URLs. In version 1 of the API success has another name."""
    status = operation.status.value
    if version_1 and operation.status is OperationStatus.SUCCEEDED:
        status = "completed"
    document: dict[str, Any] = {
        "operationId": operation.id,
        "type": operation.type,
        "status": status,
        "percentComplete": operation.percent,
        "createdTime": timestamp(operation.created),
        "lastUpdatedTime": timestamp(operation.updated),
    }
    urls = list(resources)
    if urls:
        document["resources"] = urls
    if results:
        document["results"] = dict(results)
    return document
