"""Headers of a store, each check by itself; their order is tested by URL."""

import pytest
from starlette.datastructures import Headers

from shared.clock import SECOND
from shared.dicomweb.store_request import boundary, expiry, offered_type, require_dicom_json, require_type
from shared.errors import InvalidRequest, NotAcceptable, UnsupportedMediaType

pytestmark = pytest.mark.unit

NOW = 17_000_000_000 * SECOND // 10
TIME = "msdicom-expiry-time-milliseconds"
OPTION = "msdicom-expiry-option"
LEVEL = "msdicom-expiry-level"


@pytest.mark.parametrize(
    "accept", ["application/dicom+json", "application/*", "*/*", "application/json;q=0", "a/b, */*"]
)
def test_acceptable(accept: str) -> None:
    """STO-11"""
    require_dicom_json(Headers({"accept": accept}))


@pytest.mark.parametrize("accept", ["application/dicom", "application/dicom+xml", "image/png", "", "application/data"])
def test_not_acceptable(accept: str) -> None:
    """STO-10"""
    with pytest.raises(NotAcceptable, match=r"^$"):
        require_dicom_json(Headers({"accept": accept}))
    with pytest.raises(NotAcceptable):
        require_dicom_json(Headers())


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "application/dicom+json",
        "application/octet-stream",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=b",
        "multipart/form",
        "nonsense",
    ],
)
def test_unsupported_types(value: str) -> None:
    """STO-13, STO-25, STO-6: refused without a text."""
    with pytest.raises(UnsupportedMediaType, match=r"^$"):
        offered_type(Headers({"content-type": value}))


def test_supported_types() -> None:
    """STO-13"""
    for value in ("application/dicom", "Application/DICOM; transfer-syntax=*", "multipart/related"):
        assert offered_type(Headers({"content-type": value})) is not None
    assert offered_type(Headers()) is None
    assert offered_type(Headers({"content-type": " "})) is None
    with pytest.raises(UnsupportedMediaType, match=r"^The specified content type '' is not supported\.$"):
        require_type(None)


def test_content_encoding() -> None:
    """STO-18"""
    offered_type(Headers({"content-type": "application/dicom", "content-encoding": "Identity"}))
    with pytest.raises(UnsupportedMediaType, match=r"^$"):
        offered_type(Headers({"content-type": "application/dicom", "content-encoding": "gzip"}))


@pytest.mark.parametrize("value", ["multipart/related", 'multipart/related; boundary=""', "multipart/related; x=y"])
def test_no_boundary(value: str) -> None:
    """STO-15"""
    content_type = offered_type(Headers({"content-type": value}))
    assert content_type is not None
    with pytest.raises(UnsupportedMediaType) as refused:
        boundary(content_type, value)
    assert str(refused.value) == f"The content type '{value}' is either not multipart or is missing boundary."


def test_boundary_and_start() -> None:
    """STO-16"""
    value = "multipart/related; boundary=b; Start=x"
    content_type = offered_type(Headers({"content-type": value}))
    assert content_type is not None
    with pytest.raises(InvalidRequest, match="The start parameter in multipart/related request is not supported"):
        boundary(content_type, value)
    content_type = offered_type(Headers({"content-type": "multipart/related; boundary=b"}))
    assert content_type is not None
    assert boundary(content_type, "") == b"b"
    content_type = offered_type(Headers({"content-type": "application/dicom; boundary=b"}))
    assert content_type is not None
    assert boundary(content_type, "") is None


@pytest.mark.parametrize(
    "headers",
    [
        {TIME: "86400000"},
        {TIME: " 86400000 ", OPTION: "relativetonow", LEVEL: "STUDY"},
        {TIME: "0" * 5000 + "86400000"},
        {TIME.title(): "086400000", OPTION.upper(): "RelativeToNow"},
    ],
)
def test_expiry(headers: dict[str, str]) -> None:
    """STO-120"""
    assert expiry(Headers(headers), NOW) == NOW + 86400 * SECOND


def test_no_expiry() -> None:
    """STO-122: without the time header the others are ignored, whatever they say."""
    assert expiry(Headers({OPTION: "x", LEVEL: "y"}), NOW) is None


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({TIME: ""}, TIME),
        ({TIME: "0"}, TIME),
        ({TIME: "-1"}, TIME),
        ({TIME: "1.5"}, TIME),
        ({TIME: "1e3"}, TIME),
        ({TIME: "soon"}, TIME),
        ({TIME: "٣"}, TIME),
        ({TIME: "9" * 17}, TIME),
        ({TIME: "9" * 40}, TIME),
        ({TIME: "0" * 5000}, TIME),
        ({TIME: "1000", OPTION: "Absolute"}, OPTION),
        ({TIME: "1000", OPTION: ""}, OPTION),
        ({TIME: "1000", LEVEL: "Series"}, LEVEL),
    ],
)
def test_unusable_expiry(headers: dict[str, str], named: str) -> None:
    """STO-122: the text names the header."""
    raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
    with pytest.raises(InvalidRequest, match=named):
        expiry(Headers(raw=raw), NOW)
