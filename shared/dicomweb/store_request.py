"""What a store request says, in the order in which STO-5 checks it, and the files in its body (PS3.18 10.5.1)."""

import re
from collections.abc import AsyncGenerator, AsyncIterable

from starlette.datastructures import Headers

from ..clock import Ticks
from ..errors import InvalidRequest, NotAcceptable, TooLarge, UnsupportedMediaType
from .accept import covers_dicom_json
from .change_feed_parameters import LATEST
from .content_type import ContentType, parse_content_type
from .multipart import PartStart, read_multipart
from .spool import Spool

DICOM = "application/dicom"
RELATED = "multipart/related"

PART_TYPES = frozenset({DICOM, "application/octet-stream"})
"""curl sends the second when it is told nothing about the file (STO-24)."""

EXPIRY_TIME = "msdicom-expiry-time-milliseconds"
EXPIRY_OPTION = "msdicom-expiry-option"
EXPIRY_LEVEL = "msdicom-expiry-level"

TICKS_A_MILLISECOND = 10_000

_POSITIVE = re.compile(r"0*([1-9][0-9]{0,18})")


def offered_type(headers: Headers) -> ContentType | None:
    """The Content-Type, `None` without one; raises `UnsupportedMediaType` for any that a store cannot take (STO-13)."""
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType
    value = headers.get("content-type", "")
    if not value.strip():
        return None
    content_type = parse_content_type(value)
    if content_type is None or content_type.type not in (DICOM, RELATED):
        raise UnsupportedMediaType
    return content_type


def require_dicom_json(headers: Headers) -> None:
    """Raises `NotAcceptable` unless the answer's type is wanted (STO-10)."""
    if not covers_dicom_json(headers.getlist("accept")):
        raise NotAcceptable


def require_type(content_type: ContentType | None) -> ContentType:
    """A body has to say what it is; raises `UnsupportedMediaType`."""
    if content_type is None:
        raise _unsupported("")
    return content_type


def expiry(headers: Headers, now: Ticks) -> Ticks | None:
    """When the studies of the request expire, if it says so; raises `InvalidRequest` (STO-120, STO-122)."""
    milliseconds = headers.get(EXPIRY_TIME)
    if milliseconds is None:
        return None
    for name, value in ((EXPIRY_OPTION, "RelativeToNow"), (EXPIRY_LEVEL, "Study")):
        if headers.get(name, value).strip().lower() != value.lower():
            raise InvalidRequest(f"The value of the header '{name}' is invalid. The only supported value is '{value}'.")
    match = _POSITIVE.fullmatch(milliseconds.strip())
    if match is None:
        raise InvalidRequest(f"The value of the header '{EXPIRY_TIME}' is invalid. It must be a positive integer.")
    expires = now + int(match[1]) * TICKS_A_MILLISECOND
    if expires > LATEST:
        raise InvalidRequest(f"The value of the header '{EXPIRY_TIME}' is invalid. It is too large.")
    return expires


def boundary(content_type: ContentType, header: str) -> bytes | None:
    """The boundary of a body in parts, `None` for a single file; `header` is the Content-Type as it came.

    Raises `UnsupportedMediaType` without a boundary and `InvalidRequest` for a `start` parameter (STO-15, STO-16).
    """
    if content_type.type != RELATED:
        return None
    if not content_type.parameters.get("boundary"):
        raise UnsupportedMediaType(f"The content type '{header}' is either not multipart or is missing boundary.")
    if "start" in content_type.parameters:
        raise InvalidRequest("The start parameter in multipart/related request is not supported.")
    return content_type.parameters["boundary"].encode("latin-1")


async def single_file(body: AsyncIterable[bytes], length: str | None, limit: int) -> AsyncGenerator[Spool]:
    """The whole body as one file; `length` is the Content-Length, if there is one. Raises `TooLarge`.

    Whoever takes a spool closes it.
    """
    if length is not None and length.isdigit() and int(length.lstrip("0") or 0) > limit:
        raise TooLarge(limit)
    spool = Spool(limit)
    try:
        async for data in body:
            await spool.write(data)
        await spool.finish()
    except BaseException:
        spool.close()
        raise
    yield spool


async def files_in_parts(
    body: AsyncIterable[bytes], boundary: bytes, default_type: str | None, limit: int
) -> AsyncGenerator[Spool]:
    """Each file of a multipart body as soon as it is complete; `default_type` stands for a type that the first lacks.

    Whoever takes a spool closes it. Raises `UnsupportedMediaType` (STO-23), `TooLarge` (STO-31), `MultipartError`.
    """
    spool: Spool | None = None
    try:
        async for event in read_multipart(body, boundary):
            if isinstance(event, PartStart):
                _check_part(event.headers.get("content-type", default_type or ""))
                default_type = None
                spool = Spool(limit)
            elif spool is not None and isinstance(event, bytes):
                await spool.write(event)
            elif spool is not None:
                await spool.finish()
                complete, spool = spool, None
                yield complete
    finally:
        if spool is not None:
            spool.close()


def _check_part(value: str) -> None:
    content_type = parse_content_type(value)
    if content_type is None or content_type.type not in PART_TYPES:
        raise _unsupported(value)


def _unsupported(value: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(f"The specified content type '{value}' is not supported.")
