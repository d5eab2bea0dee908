"""What a store answers: the dataset of PS3.18 10.5.3 and PS3.3 as DICOM JSON, and its status (STO-41, STO-90)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MEDIA_TYPE = "application/dicom+json"
"""Bare: clients compare the whole value (STO-11)."""

CANNOT_UNDERSTAND = 43264
"""0xA900: unreadable, or a required attribute is missing or invalid."""

ALREADY_EXISTS = 45070
"""0xB00E: POST of an instance that is stored."""

PROCESSING_FAILURE = 272
"""0x0110: a fault of the service."""

Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that was stored; `warning` is its WarningReason, if it has one."""

    sop_class: str
    study: str
    series: str
    instance: str
    warning: int | None = None
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedInstance:
    """An instance that was not; class and UID as far as they could be read, `comments` only of failed validation."""

    reason: int
    sop_class: str | None = None
    instance: str | None = None
    comments: tuple[str, ...] = ()


InstanceResult = StoredInstance | FailedInstance


def store_status(results: Sequence[InstanceResult], *, warnings_count: bool, duplicates_warn: bool) -> int:
    """The status by the table of STO-41.

    Version 1 lets warnings pass (`warnings_count` false, STO-161); `duplicates_warn` is STO-170.
    """
    failed = [result for result in results if isinstance(result, FailedInstance)]
    if not results:
        return 204
    if len(failed) == len(results):
        only_duplicates = all(result.reason == ALREADY_EXISTS for result in failed)
        return 202 if duplicates_warn and only_duplicates else 409
    warned = any(isinstance(result, StoredInstance) and result.warning is not None for result in results)
    return 202 if failed or (warned and warnings_count) else 200


def store_dataset(results: Sequence[InstanceResult], base_url: str, study: str | None, *, details: bool) -> bytes:
    """The body: items in the order of the request, keys ascending.

    `study` is the UID of the path; `details` says whether stored items carry FailedAttributesSequence, as they always
    do from version 2 on (STO-90, STO-161).
    """
    stored = [result for result in results if isinstance(result, StoredInstance)]
    failed = [result for result in results if isinstance(result, FailedInstance)]
    dataset: dict[str, Element] = {}
    if study is not None and stored:
        dataset["00081190"] = _element("UR", f"{base_url}/studies/{study}")
    if failed:
        dataset["00081198"] = {"vr": "SQ", "Value": [_failed_item(result) for result in failed]}
    if stored:
        dataset["00081199"] = {"vr": "SQ", "Value": [_stored_item(result, base_url, details) for result in stored]}
    return orjson.dumps(dataset)


def _stored_item(result: StoredInstance, base_url: str, details: bool) -> dict[str, Element]:
    url = f"{base_url}/studies/{result.study}/series/{result.series}/instances/{result.instance}"
    item = {
        "00081150": _element("UI", result.sop_class),
        "00081155": _element("UI", result.instance),
        "00081190": _element("UR", url),
    }
    if result.warning is not None:
        item["00081196"] = _element("US", result.warning)
    if details:
        item["00741048"] = _comments(result.comments)
    return item


def _failed_item(result: FailedInstance) -> dict[str, Element]:
    item: dict[str, Element] = {}
    if result.sop_class:
        item["00081150"] = _element("UI", result.sop_class)
    if result.instance:
        item["00081155"] = _element("UI", result.instance)
    item["00081197"] = _element("US", result.reason)
    if result.comments:
        item["00741048"] = _comments(result.comments)
    return item


def _comments(comments: tuple[str, ...]) -> Element:
    """Clients of version 2 read the sequence unconditionally: without comments it is there, without items."""
    if not comments:
        return {"vr": "SQ"}
    return {"vr": "SQ", "Value": [{"00000902": _element("LO", comment)} for comment in comments]}


def _element(vr: str, value: str | int) -> Element:
    return {"vr": vr, "Value": [value]}
