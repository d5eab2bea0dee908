"""JSON bodies as the service reads them: trailing commas and comments are borne with (search-and-tags, conventions)."""

import re
from typing import Any

import orjson
from starlette.requests import Request

from ..errors import InvalidRequest, TooLarge, UnsupportedMediaType
from .content_type import parse_content_type

MALFORMED = "The syntax of the request body is invalid."

# What is not closed reaches to the end: each pattern goes over the text once, whatever it is.
_STRINGS_AND_COMMENTS = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_STRINGS_AND_TRAILING_COMMAS = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|,(?=\s*[\]}])', re.DOTALL)


async def json_body(request: Request, most: int) -> bytes:
    """The body of a request that has to be JSON (415 otherwise); raises `TooLarge` for more than `most` bytes."""
    content_type = parse_content_type(request.headers.get("content-type", ""))
    if content_type is None or content_type.type not in ("application/json", "text/json"):
        raise UnsupportedMediaType
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(most)
    return bytes(body)


def read_json(body: bytes) -> Any:
    """The document; raises `InvalidRequest` for anything that is none, an empty body too."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(_strict(body.decode("utf-8-sig")))
    except ValueError:
        raise InvalidRequest(MALFORMED) from None


def member(document: dict[str, Any], name: str) -> Any:
    """A property, whose name may be in any letter case; None if it is not there. An exact name goes first."""
    if name in document:
        return document[name]
    return next((value for key, value in document.items() if key.lower() == name.lower()), None)


def _strict(text: str) -> str:
    bare = _STRINGS_AND_COMMENTS.sub(lambda found: found[0] if found[0][0] == '"' else " ", text)
    return _STRINGS_AND_TRAILING_COMMAS.sub(lambda found: "" if found[0] == "," else found[0], bare)
