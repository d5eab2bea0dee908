"""The one mapping of failures to answers."""

import json

import pytest

from shared.dicomweb.error_responses import INTERNAL_ERROR, error_response, unsupported_version
from shared.errors import (
    Conflict,
    DicomServiceError,
    Forbidden,
    InvalidIdentifier,
    InvalidParameter,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from shared.storage.primitives import BlobMissing, Unanswered

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InvalidRequest("why"), 400, "why"),
        (InvalidParameter("Limit", "Why."), 400, "The query parameter 'Limit' is invalid. Why."),
        (InvalidIdentifier("StudyInstanceUid"), 400, str(InvalidIdentifier("StudyInstanceUid"))),
        (Unauthenticated("Bearer"), 401, ""),
        (Forbidden(), 403, "Authorization failed."),
        (NotFound.resource("study"), 404, "The specified study cannot be found."),
        (NotFound.resource("series"), 404, "The specified series cannot be found."),
        (NotFound.resource("instance"), 404, "The specified instance cannot be found."),
        (NotFound.resource("frame"), 404, "The specified frame cannot be found."),
        (NotFound(), 404, ""),
        (MethodNotAllowed(["GET"]), 405, ""),
        (NotAcceptable(), 406, ""),
        (Conflict("why"), 409, "why"),
        (TooLarge(7), 413, "The request exceeded the allowed limit of 7 bytes."),
        (UnsupportedMediaType(), 415, ""),
        (UnsupportedMediaType("why"), 415, "why"),
        (Unavailable("why"), 503, "why"),
    ],
)
def test_status_and_text(error: Exception, status: int, text: str) -> None:
    """PLT-12, PLT-13, PLT-15: bare text, or nothing at all."""
    response = error_response(error)
    assert (response.status_code, bytes(response.body).decode()) == (status, text)
    assert response.headers.get("content-type") == ("text/plain; charset=utf-8" if text else None)
    assert response.headers["content-length"] == str(len(text))


@pytest.mark.parametrize(
    "error", [ValueError("secret"), DicomServiceError("secret"), BlobMissing("secret"), RecursionError(), KeyError("x")]
)
def test_the_unexpected_is_not_told(error: Exception) -> None:
    """PLT-15, PLT-16: a 500 with the one text."""
    response = error_response(error)
    assert (response.status_code, bytes(response.body).decode()) == (500, INTERNAL_ERROR)


def test_when_to_come_back() -> None:
    """PLT-16: with 503, also without a reason."""
    for error in (Unavailable(), Unanswered()):
        response = error_response(error)
        assert response.status_code == 503
        assert response.headers["retry-after"].isdigit()
        assert response.body


def test_allowed_methods() -> None:
    """PLT-06"""
    assert error_response(MethodNotAllowed({"GET": 1, "POST": 2})).headers["allow"] == "GET, POST"


def test_challenge() -> None:
    """PLT-35"""
    assert error_response(Unauthenticated('Bearer realm="x"')).headers["www-authenticate"] == 'Bearer realm="x"'


def test_unsupported_version() -> None:
    """PLT-03, PLT-14: JSON; what the URL holds stays text."""
    response = unsupported_version('http://host/v3/"x"')
    assert response.status_code == 400
    message = "The HTTP resource that matches the request URI 'http://host/v3/\"x\"' is not supported."
    assert json.loads(bytes(response.body)) == {"error": {"code": "UnsupportedApiVersion", "message": message}}
