"""What worklist requests say beside their data set: media types, UIDs, the transaction UID (UPS-02 to UPS-07, 12, 30).

The transaction UID is a secret between the caller and the service: no message repeats it.
"""

import re
from collections.abc import AsyncIterable
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

from ..dicom.uids import checked_uid
from ..dicom.workitem_attributes import SOP_INSTANCE_UID
from ..errors import InvalidIdentifier, InvalidRequest, NotAcceptable, TooLarge, UnsupportedMediaType
from .accept import covers_dicom_json
from .content_type import parse_content_type
from .workitem_datasets import Dataset

DICOM_JSON = "application/dicom+json"

MOST_BODY = 64 * 1024 * 1024
"""Bytes of a body: it is held in memory as a whole. Workitems of 4 MB are the largest that are known."""

WORKITEM_UID = "WorkitemInstanceUid"
TRANSACTION_HEADER = "transaction-uid"

_READABLE = re.compile(r"[0-9][0-9A-Za-z._-]{0,63}")


def require_content_type(headers: Headers) -> None:
    """Raises `UnsupportedMediaType` unless the body, if there is one, is DICOM JSON (UPS-02, UPS-03)."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    content_type = parse_content_type(headers.get("content-type", ""))
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if content_type is None or content_type.type != DICOM_JSON or encoding not in ("", "identity"):
        raise UnsupportedMediaType


def require_accept(headers: Headers) -> None:
    """Raises `NotAcceptable` unless the answer's type is wanted (UPS-04)."""
    if not covers_dicom_json(headers.getlist("accept")):
        raise NotAcceptable


async def read_body(body: AsyncIterable[bytes]) -> bytes:
    """The whole body; raises `TooLarge`."""
    content = bytearray()
    async for data in body:
        content += data
        if len(content) > MOST_BODY:
            raise TooLarge(MOST_BODY)
    return bytes(content)


def workitem_uid(text: str, name: str = WORKITEM_UID, *, strict: bool) -> str:
    """A UID without padding; raises `InvalidIdentifier`.

    Unless `strict`, readable ones such as `1.2.3.workitem1` pass, too (UPS-07).
    """
    uid = text.rstrip(" ")
    if strict:
        return checked_uid(uid, name)
    if not _READABLE.fullmatch(uid):
        raise InvalidIdentifier(name)
    return uid


def named_uid(query: bytes) -> str:
    """The workitem UID in the query of a create: the name of the first parameter, or the value of one called
    `workitem`; empty if there is none (UPS-12)."""
    pairs = _pairs(query)
    if not pairs:
        return ""
    name, value = pairs[0]
    return value if name.lower() == "workitem" else name


def uid_to_create(named: str, dataset: Dataset, *, strict: bool) -> str:
    """The UID of a new workitem, from the query, the data set, or both; empty if neither has one (UPS-12, UPS-13).

    Raises `InvalidRequest`.
    """
    values = dataset.get(SOP_INSTANCE_UID, {}).get("Value") or [""]
    stated = values[0] if isinstance(values[0], str) else str(values[0] or "")
    stated = stated.rstrip(" \0")
    uid = named or stated
    if not uid:
        return ""
    uid = workitem_uid(uid, strict=strict)
    if stated and stated != uid:
        raise InvalidRequest("SOPInstanceUID in the payload does not match the workitem query parameter.")
    return uid


def transaction_uid(query: bytes, headers: Headers, *, strict: bool) -> str | None:
    """The transaction UID of an update, from the query or else from the header; None without one (UPS-30).

    Raises `InvalidIdentifier`.
    """
    pairs = _pairs(query)
    named = next((value for name, value in pairs if name.lower() == TRANSACTION_HEADER), None)
    if named is None:
        named = pairs[0][0] if pairs else ""
    text = named or headers.get(TRANSACTION_HEADER, "").strip()
    return workitem_uid(text, "TransactionUid", strict=strict) if text else None


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
