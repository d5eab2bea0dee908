"""Entity group transactions as text: a multipart request with one change set, and the answer to it."""

import re
import secrets
from collections.abc import Sequence

import orjson

from ..errors import DicomServiceError, Unavailable
from .azure_odata import MINIMAL, entity_path, to_json
from .primitives import (
    Delete,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    TransactionRefused,
    Unanswered,
)

_ETAG = re.compile(r"^etag:[ \t]*([^\r\n]+?)\s*$", re.IGNORECASE | re.MULTILINE)
_PART_HEAD = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
_HEADERS = f"Accept: {MINIMAL}\r\nDataServiceVersion: 3.0\r\n"


def verb(operation: Operation) -> str:
    """The method that carries the operation out, in a transaction as alone."""
    if isinstance(operation, Insert):
        return "POST"
    if isinstance(operation, Merge):
        return "PATCH"
    return "DELETE" if isinstance(operation, Delete) else "PUT"


def guard(operation: Operation) -> str:
    """The ETag that the operation demands; empty if none."""
    return operation.etag if isinstance(operation, Replace | Merge | Delete) else ""


def path(table: str, operation: Operation) -> str:
    if isinstance(operation, Insert):
        return f"/{table}"
    if isinstance(operation, Delete):
        return entity_path(table, operation.partition, operation.row)
    return entity_path(table, operation.entity.partition, operation.entity.row)


def write_batch(address: str, table: str, operations: Sequence[Operation]) -> tuple[bytes, str]:
    """The body and its Content-Type; `address` is the service's, for the absolute addresses of the parts."""
    mark = secrets.token_hex(8)
    batch, changes = f"batch_{mark}", f"changeset_{mark}"
    pieces = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()]
    for operation in operations:
        head = f"--{changes}\r\n{_PART_HEAD}{verb(operation)} {address}{path(table, operation)} HTTP/1.1\r\n{_HEADERS}"
        if etag := guard(operation):
            head += f"If-Match: {etag}\r\n"
        if isinstance(operation, Delete):
            pieces.append(f"{head}\r\n\r\n".encode())
            continue
        if isinstance(operation, Insert):
            head += "Prefer: return-no-content\r\n"
        pieces += [f"{head}Content-Type: application/json\r\n\r\n".encode(), to_json(operation.entity), b"\r\n"]
    pieces.append(f"--{changes}--\r\n--{batch}--\r\n".encode())
    return b"".join(pieces), f"multipart/mixed; boundary={batch}"


class TableMissing(DicomServiceError):
    """The transaction was refused because its table is not there."""


def read_batch(body: bytes, count: int) -> list[str]:
    """The new ETags, in order; raises `TransactionRefused`, or `Unanswered` if the answer says so little.

    The answer to a refused transaction has one part, whose message begins with the number of the operation.
    """
    parts = body.decode().split("HTTP/1.1 ")[1:]
    for part in parts:
        status = int(part[:3])
        if status >= 400:
            raise _refusal(status, part, count)
    if len(parts) != count:
        raise Unanswered("The storage of the service gave half an answer. Please try again later.")
    return [found[1] if (found := _ETAG.search(part)) else "" for part in parts]


def _refusal(status: int, part: str, count: int) -> DicomServiceError:
    try:
        error = orjson.loads(part[part.index("{") : part.rindex("}") + 1])["odata.error"]
        code, message = str(error["code"]), str(error["message"]["value"])
    except (ValueError, KeyError, TypeError):
        code, message = "", ""
    if status >= 500:
        return Unanswered("The storage of the service failed. Please try again later.")
    if code == "TableNotFound":
        return TableMissing(code)
    cause = cause_of(status, code)
    if cause is None:
        if code.endswith("BeingDeleted"):
            return Unavailable("The storage of the service is being emptied. Please try again later.")
        return DicomServiceError(f"table service: transaction refused, {status} {code}")
    number, colon, _ = message.partition(":")
    return TransactionRefused(int(number) if colon and number.isdecimal() else count - 1, cause)


def cause_of(status: int, code: str) -> EntityExists | EntityMissing | EntityChanged | None:
    """What the refusal of one operation means; None if it is none of the three that callers expect."""
    if status == 409 and code in ("EntityAlreadyExists", ""):
        return EntityExists()
    if status == 404 and code in ("ResourceNotFound", "EntityNotFound", ""):
        return EntityMissing()
    return EntityChanged() if status == 412 else None
