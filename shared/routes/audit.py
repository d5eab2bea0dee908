"""The audit log: one line when an action of the API begins and one when it ends (PLT-45 to PLT-47).

Lines are JSON on the logger `dicom.audit`. Tokens are never written; of the URL only what the API knows: values of
other query parameters may be secrets, and those of the worklist transaction UIDs.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import orjson
from starlette.requests import Request

from ..dicomweb.attribute_keys import attribute_tag
from ..dicomweb.query_string import query_pairs
from ..dicomweb.urls import request_url
from ..errors import InvalidRequest
from ..storage.operations import OperationStatus
from .log_lines import write_soon
from .request_log import raw_path

LONGEST_UNTOLD = 0.05
"""Seconds after which the log has the beginning of an action that has not ended. Sooner it would only hold up what the
action is about to ask of storage."""

AUDIT_HEADER = b"x-ms-azuredicom-audit-"
MOST_HEADERS = 10
LONGEST_VALUE = 2048

_OF_SEARCHES = ("limit", "offset", "fuzzymatching", "includefield", "quality")
_OF_THE_CHANGE_FEED = ("includemetadata", "starttime", "endtime", "sequence")
_PARAMETERS = frozenset((*_OF_SEARCHES, *_OF_THE_CHANGE_FEED))
"""Query parameters, in lower case, whose values may be known."""

_TRANSACTION_UID = "00081195"
_UID = re.compile(r"[0-9.\s]+")
_TRANSACTION = "transaction-uid"
_WORKITEMS = b"/workitems"

logger = logging.getLogger("dicom.audit")


@dataclass(slots=True)
class AuditEntry:
    """One action; `operation` is its name of PLT-46, `headers` are the caller's own."""

    operation: str
    request: Request
    public_url: str
    correlation_id: str
    claims: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    _about: dict[str, object] | None = None
    _began: datetime | None = None
    _telling: asyncio.TimerHandle | None = None

    def started(self) -> None:
        """Has the first of the two lines written: with the second one, unless that comes late."""
        self._began = datetime.now(UTC)
        self._telling = asyncio.get_running_loop().call_later(LONGEST_UNTOLD, self._tell_start)

    def ended(self, status: int) -> None:
        """Writes the second one. Whatever of a long body is still to be sent is not waited for."""
        if self._telling is not None:
            self._telling.cancel()
        write_soon(self._tell_end, datetime.now(UTC), status)

    def _tell_start(self) -> None:
        if self._began is not None:
            self._write(self._began, {"resultType": "Started"})
            self._began = None

    def _tell_end(self, time: datetime, status: int) -> None:
        self._tell_start()
        self._write(time, {"resultType": "Ended", "statusCode": status})

    def _write(self, time: datetime, result: dict[str, object]) -> None:
        if self._about is None:
            url = request_url(self.request, self.public_url)
            self._about = _about(
                audited_url(url, raw_path(self.request), self.request.scope["query_string"]),
                caller_address(self.request),
                self.correlation_id,
                self.claims,
                self.headers,
            )
        _write_line(time, self.operation, result, self._about)


def job_told(name: str, id_: str, status: OperationStatus) -> None:
    """A line about a job that begins or has ended; nobody has called it, and its id stands for all its steps."""
    result: dict[str, object] = {"resultType": "Started"}
    if status.finished:
        result = {"resultType": "Ended", "statusCode": 200 if status is OperationStatus.SUCCEEDED else 500}
    write_soon(_write_line, datetime.now(UTC), name, result, _about(f"/operations/{id_}", "", id_, {}, {}))


def _about(
    uri: str, caller: str, correlation_id: str, claims: Mapping[str, str], headers: Mapping[str, str]
) -> dict[str, object]:
    """What both lines of an action have."""
    return {
        "uri": uri,
        "callerIpAddress": caller,
        "correlationId": correlation_id,
        "identity": {"claims": dict(claims)},
        "customHeaders": dict(headers),
    }


def _write_line(time: datetime, operation: str, result: dict[str, object], about: dict[str, object]) -> None:
    line = {
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "category": "AuditLogs",
        "operationName": operation,
        **result,
        **about,
    }
    logger.info("%s", orjson.dumps(line).decode())


def custom_headers(request: Request) -> dict[str, str]:
    """The headers that the caller wants in the log; raises `InvalidRequest` for too many or too long ones (PLT-47)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        if not raw_name.startswith(AUDIT_HEADER):
            continue
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if len(value) > LONGEST_VALUE:
            raise InvalidRequest(
                f"The maximum length of a custom audit header value is {LONGEST_VALUE}. "
                f"The supplied custom audit header '{name}' has length of {len(value)}."
            )
        found[name] = f"{found[name]},{value}" if name in found else value
    if len(found) > MOST_HEADERS:
        raise InvalidRequest(
            f"The maximum number of custom audit headers allowed is {MOST_HEADERS}. "
            f"The number of custom audit headers supplied is {len(found)}."
        )
    return found


def caller_address(request: Request) -> str:
    """The client's address; behind proxies, and the Functions host is one, what they say it is."""
    forwarded = request.headers.get("x-forwarded-for", "").partition(",")[0].strip()
    if forwarded:
        return forwarded
    return request.client.host if request.client else ""


def audited_url(url: str, path: bytes, query: bytes) -> str:
    """A URL for the log: `url` is without the query."""
    if not query:
        return url
    plain = _WORKITEMS not in path.lower()
    kept = []
    for name, value in query_pairs(query):
        tag = attribute_tag(name)
        if (tag is None and _UID.fullmatch(name)) or not (plain or _means_something(name)):
            continue
        known = plain and (name.lower() in _PARAMETERS or tag not in (None, _TRANSACTION_UID))
        kept.append(f"{quote(name, safe='')}={quote(value, safe='*,:') if known else ''}")
    return f"{url}?{'&'.join(kept)}"


def _means_something(name: str) -> bool:
    """Whether a parameter of the worklist is one by name; any other name may be a transaction UID.

    Those begin with a digit, so that attributes are known by their keywords alone.
    """
    if name.lower() in (*_PARAMETERS, _TRANSACTION):
        return True
    return not name[:1].isdigit() and all(map(attribute_tag, name.split(".")))
