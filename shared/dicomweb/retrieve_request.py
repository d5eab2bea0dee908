"""Frame numbers, quality and version that requests ask for (RET-40, RET-41, RET-81, RET-82, RET-110)."""

import re

from ..errors import InvalidParameter, InvalidRequest
from .query_string import first_value, query_pairs

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_INT32 = range(-(2**31), 2**31)
_QUALITIES = range(1, 101)


def frame_list(text: str) -> list[int]:
    """The numbers of a comma separated list; raises `InvalidParameter` for an item that is no 32-bit integer.

    Zero and negative numbers pass: `require_positive` refuses them, after other checks.
    """
    frames = []
    for item in text.split(","):
        number = _integer(item)
        if number is None:
            raise InvalidParameter("frames", f"Unable to parse value '{item}' as Int32.")
        frames.append(number)
    return frames


def frame_number(text: str) -> int:
    """One frame number; raises `InvalidParameter` for a list and anything else that is no 32-bit integer."""
    number = _integer(text)
    if number is None:
        raise InvalidParameter("frame", f"The value '{text}' is not valid.")
    return number


def require_positive(frames: list[int]) -> None:
    """Raises `InvalidRequest` if a frame number is below 1 (RET-41)."""
    if min(frames) < 1:
        raise InvalidRequest(
            "The specified frames value is not valid. At least one frame must be present, and all requested frames "
            "must have value greater than 0."
        )


def requested_quality(query: bytes) -> int:
    """The JPEG quality that a query string asks for, or 100; raises `InvalidParameter` if it is no integer.

    Its range is checked by `require_quality`, after other checks.
    """
    text = first_value(query_pairs(query), "quality")
    if text is None:
        return _QUALITIES[-1]
    number = _integer(text)
    if number is None:
        raise InvalidParameter("quality", f"The value '{text}' is not valid.")
    return number


def require_quality(quality: int) -> None:
    """Raises `InvalidRequest` outside 1 to 100 (RET-81)."""
    if quality not in _QUALITIES:
        raise InvalidRequest("Image quality must be between 1 and 100 inclusive")


def wants_original(header: str | None) -> bool:
    """Whether the value of `msdicom-request-original` asks for the version that was stored (RET-110)."""
    return header is not None and header.strip().lower() == "true"


def _integer(text: str) -> int | None:
    text = text.strip(" ")
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and number in _INT32 else None
