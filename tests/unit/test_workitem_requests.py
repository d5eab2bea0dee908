"""UIDs of workitems and transactions: where requests name them, and which pass."""

import pytest
from starlette.datastructures import Headers

from shared.dicomweb.workitem_messages import names_json, warning
from shared.dicomweb.workitem_requests import named_uid, transaction_uid, uid_to_create, workitem_uid
from shared.errors import InvalidIdentifier, InvalidRequest
from tests.support.worklist import text

pytestmark = pytest.mark.unit

INVALID = "DICOM Identifier is invalid"


@pytest.mark.parametrize("uid", ["1.2.3", "0", "1.02..3", "1" * 64, "1.2 "])
def test_ups_07_uids(uid: str) -> None:
    assert workitem_uid(uid, strict=True) == uid.rstrip()
    assert workitem_uid(uid, strict=False) == uid.rstrip()


@pytest.mark.parametrize("uid", ["1.2.3.workitem1", "1.2.", "1_a-B", "1" + "x" * 63])
def test_ups_07_readable_uids(uid: str) -> None:
    """UPS-07, UPS-08"""
    assert workitem_uid(uid, strict=False) == uid
    with pytest.raises(InvalidIdentifier, match=INVALID):
        workitem_uid(uid, strict=True)


@pytest.mark.parametrize(
    "uid",
    ["", " ", "1" * 65, "1" + "x" * 64, "1 2", " 1.2", "a1", "1/2", "1|2", "1\n", "1.2\0", "é1", "1é", "1%2", "*"],
)
def test_ups_07_what_is_no_uid(uid: str) -> None:
    for strict in (False, True):
        with pytest.raises(InvalidIdentifier, match=INVALID):
            workitem_uid(uid, strict=strict)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (b"", ""),
        (b"1.2.3", "1.2.3"),
        (b"1.2.3=", "1.2.3"),
        (b"1.2.3=x&4.5", "1.2.3"),
        (b"&1.2.3", "1.2.3"),
        (b"1.2%2E3", "1.2.3"),
        (b"workitem=1.2.3", "1.2.3"),
        (b"Workitem=1.2.3", "1.2.3"),
        (b"workitem=", ""),
        (b"workitem", ""),
        (b"limit=5", "limit"),
        (b"%ff", "\ufffd"),
    ],
)
def test_ups_12_named_in_the_query(query: bytes, named: str) -> None:
    assert named_uid(query) == named


@pytest.mark.parametrize(
    ("named", "stated", "uid"),
    [
        ("1.2", None, "1.2"),
        ("", "1.2", "1.2"),
        ("1.2", "1.2", "1.2"),
        ("1.2 ", "1.2\0", "1.2"),
        ("1.2", "", "1.2"),
        ("", "", ""),
    ],
)
def test_ups_12_ups_13_uid_to_create(named: str, stated: str | None, uid: str) -> None:
    dataset = {} if stated is None else {"00080018": text("UI", stated)}
    assert uid_to_create(named, dataset, strict=True) == uid


def test_ups_12_ups_13_refused() -> None:
    """UPS-07, UPS-12, UPS-13"""
    assert uid_to_create("", {"00080018": text("UI")}, strict=False) == ""
    for stated in ("1.3", "1.2.0", 5):
        with pytest.raises(InvalidRequest, match="does not match the workitem query parameter"):
            uid_to_create("1.2", {"00080018": text("UI", stated)}, strict=False)
    for stated in ("abc", "1 2", "1" * 65):
        with pytest.raises(InvalidIdentifier):
            uid_to_create("", {"00080018": text("UI", stated)}, strict=False)
    with pytest.raises(InvalidIdentifier):
        uid_to_create("", {"00080018": text("UI", "1.2.workitem")}, strict=True)


@pytest.mark.parametrize(
    ("query", "header", "uid"),
    [
        (b"", None, None),
        (b"", "", None),
        (b"", "1.2.3 ", "1.2.3"),
        (b"1.2.3", None, "1.2.3"),
        (b"1.2.3=", "4.5", "1.2.3"),
        (b"transaction-uid=1.2.3", "4.5", "1.2.3"),
        (b"Transaction-UID=1.2.3", None, "1.2.3"),
        (b"4.5&TRANSACTION-UID=1.2.3", None, "1.2.3"),
        (b"transaction-uid=", "4.5", "4.5"),
        (b"transaction-uid", None, None),
    ],
)
def test_ups_30_transaction_uid(query: bytes, header: str | None, uid: str | None) -> None:
    headers = Headers({} if header is None else {"transaction-uid": header})
    assert transaction_uid(query, headers, strict=True) == uid


@pytest.mark.parametrize(
    ("query", "header"), [(b"abc", ""), (b"transaction-uid=x y", ""), (b"", "1" * 65), (b"1.x", "")]
)
def test_ups_07_bad_transaction_uid(query: bytes, header: str) -> None:
    """The message does not repeat it."""
    with pytest.raises(InvalidIdentifier, match=INVALID) as refused:
        transaction_uid(query, Headers({"Transaction-UID": header}), strict=True)
    assert "TransactionUid" in str(refused.value)
    assert (query.decode() or header).rpartition("=")[2] not in str(refused.value)


@pytest.mark.parametrize(
    ("accept", "quoted"),
    [
        (["application/dicom+json"], True),
        (["text/html, application/JSON;q=0.1"], True),
        (["text/html", "application/dicom+json; charset=utf-8"], True),
        (["*/*"], False),
        (["application/*"], False),
        ([""], False),
        ([], False),
    ],
)
def test_ups_05_quoted_or_bare(accept: list[str], quoted: bool) -> None:
    assert names_json(accept) is quoted


def test_ups_06_warning() -> None:
    assert warning("127.0.0.1", "The UPS is.") == '299 127.0.0.1: "The UPS is."'
