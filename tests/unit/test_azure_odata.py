"""Entities and filters as the Table service writes them, and transactions; the answers are from its documentation."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import from_datetime
from shared.errors import DicomServiceError
from shared.storage.azure_batch import TableMissing, read_batch, write_batch
from shared.storage.azure_odata import cheapest_first, from_json, key_conditions, literal, render, split, to_json
from shared.storage.azure_pipeline import in_path
from shared.storage.conditions import matches
from shared.storage.primitives import (
    And,
    Compare,
    Condition,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Or,
    Replace,
    TransactionRefused,
    Unanswered,
    Upsert,
)

pytestmark = pytest.mark.unit


# -- entities


def test_every_type_is_named_where_json_does_not_say_it() -> None:
    entity = Entity("p", "r", {"s": "x", "yes": True, "n": 5, "f": 2.0, "b": b"\x00\xff", "inf": float("-inf")})
    assert json.loads(to_json(entity)) == {
        "PartitionKey": "p",
        "RowKey": "r",
        "s": "x",
        "yes": True,
        "n@odata.type": "Edm.Int64",
        "n": "5",
        "f@odata.type": "Edm.Double",
        "f": 2.0,
        "b@odata.type": "Edm.Binary",
        "b": "AP8=",
        "inf@odata.type": "Edm.Double",
        "inf": "-Infinity",
    }


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_ascii_on_one_line(text: str) -> None:
    """200 examples."""
    line = to_json(Entity("p", text, {"v": text}))
    assert line.isascii()
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line)["v"] == text


def test_answer_of_azurite() -> None:
    found = from_json(
        {
            "odata.metadata": "http://127.0.0.1/$metadata#index/@Element",
            "odata.etag": "W/\"datetime'2026-01-31T12%3A34%3A56.7891234Z'\"",
            "PartitionKey": "p",
            "RowKey": "r",
            "n@odata.type": "Edm.Int64",
            "n": "5",
            "b@odata.type": "Edm.Binary",
            "b": "AP8=",
            "f": 2.0,
            "Timestamp": "2026-01-31T12:34:56.7891234Z",
        }
    )
    assert found.values == {"n": 5, "b": b"\x00\xff", "f": 2.0}
    assert found.etag == "W/\"datetime'2026-01-31T12%3A34%3A56.7891234Z'\""
    assert found.timestamp == from_datetime(datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)) + 7891234


def test_answer_of_the_service() -> None:
    """As documented for minimal metadata: no ETag in the body, doubles perhaps without a point, nulls perhaps."""
    found = from_json(
        {
            "PartitionKey": "p",
            "RowKey": "r",
            "Timestamp": "2013-08-22T00:20:16.3134645Z",
            "whole": 3,
            "absent": None,
            "CustomerSince@odata.type": "Edm.DateTime",
            "CustomerSince": "2008-10-01T15:25:05.2852025Z",
        }
    )
    assert found.etag == "W/\"datetime'2013-08-22T00%3A20%3A16.3134645Z'\""
    assert found.values == {"whole": 3.0, "CustomerSince": "2008-10-01T15:25:05.2852025Z"}
    assert type(found.values["whole"]) is float


@pytest.mark.parametrize(("text", "fraction"), [("", 0), (".5", 5_000_000), (".31346", 3_134_600), (".0000001", 1)])
def test_timestamps_of_any_precision(text: str, fraction: int) -> None:
    found = from_json({"PartitionKey": "", "RowKey": "", "Timestamp": f"2020-02-29T23:59:59{text}Z"})
    assert found.timestamp == from_datetime(datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)) + fraction


# -- addresses


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_keys_in_a_path_are_escaped(text: str) -> None:
    """300 examples: the path is signed and sent as it stands here, in a line of ASCII, and means what was given."""
    path = in_path(text)
    assert re.fullmatch(r"[\w.~!$'()*,@:;=&%-]+", path, re.ASCII)
    assert unquote(path) == text


# -- filters


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "''"),
        ("it's", "'it''s'"),
        (True, "true"),
        (False, "false"),
        (0, "0L"),
        (-(2**63), "-9223372036854775808L"),
        (2.0, "2.0"),
        (-0.5, "-0.5"),
        (1e21, "1000000000000000000000.0"),
        (1.5e-7, "0.00000015"),
        (b"\x00\xab", "X'00ab'"),
    ],
)
def test_literals(value: str | int | float | bytes, expected: str) -> None:
    assert literal(value) == expected


def test_nested_conditions_are_in_parentheses() -> None:
    condition = And(
        (
            Compare("a", "eq", "x"),
            Or((Compare("b", "lt", 1), And((Compare("c", "ge", 2.5), Compare("d", "eq", True))))),
        )
    )
    assert render(condition) == "a eq 'x' and (b lt 1L or (c ge 2.5 and d eq true))"


@pytest.mark.parametrize(
    ("partitions", "rows", "expected"),
    [
        (None, None, ""),
        ("p", None, "PartitionKey eq 'p'"),
        (("a", "b"), None, "PartitionKey ge 'a' and PartitionKey lt 'b'"),
        (("a", None), ("", None), "PartitionKey ge 'a'"),
        ("p", ("r|", "r}"), "PartitionKey eq 'p' and RowKey ge 'r|' and RowKey lt 'r}'"),
        (("", "b"), ("", "s"), "PartitionKey lt 'b' and RowKey lt 's'"),
    ],
)
def test_keys(partitions: str | tuple[str, str | None] | None, rows: tuple[str, str | None], expected: str) -> None:
    assert render(And(tuple(key_conditions(partitions, rows)))) == expected


def ors(count: int) -> Condition:
    return Or(tuple(Compare("n", "eq", number) for number in range(count)))


def test_a_filter_has_fifteen_comparisons_at_most() -> None:
    small = ors(15)
    assert split(small, 15) == (small, None)
    assert split(ors(16), 15) == (None, ors(16))
    mixed = And((ors(16), Compare("a", "eq", 1), ors(14), Compare("b", "eq", 2)))
    assert split(mixed, 15) == (
        And((Compare("a", "eq", 1), ors(14))),
        And((ors(16), Compare("b", "eq", 2))),
    )


def test_what_decides_about_most_rows_comes_first() -> None:
    keys = key_conditions(("p|", "p}"), ("study|", "study}"))
    search = And((Compare("shown", "eq", True), And((Compare("q1", "ge", "a"), Compare("q2", "eq", "b")))))
    assert render(And(tuple(cheapest_first([*keys, search])))) == (
        "q2 eq 'b' and q1 ge 'a' and RowKey ge 'study|' and RowKey lt 'study}' and shown eq true"
        " and PartitionKey ge 'p|' and PartitionKey lt 'p}'"
    )
    keys = key_conditions("p", ("a", "b"))
    assert cheapest_first([Compare("q1", "eq", "a"), *keys])[0] == keys[0]
    assert cheapest_first([ors(2), *keys])[1] == ors(2)


def test_what_conditions_mean() -> None:
    assert matches(Compare("a", "lt", "\uffee"), {"a": "\U0001f600"})
    assert not matches(Compare("a", "lt", "x"), {})
    assert not matches(Compare("a", "eq", 1), {"a": True})
    assert not matches(Compare("a", "eq", 1), {"a": 1.0})
    assert matches(Or((Compare("a", "eq", 1), Compare("b", "ge", b"x"))), {"b": b"x"})
    assert not matches(And((Compare("a", "eq", 1), Compare("b", "ge", b"x"))), {"b": b"x"})


# -- transactions

ETAG = "W/\"datetime'2013-08-22T00%3A20%3A16.3134645Z'\""


def test_a_transaction_is_a_change_set() -> None:
    body, kind = write_batch(
        "http://host/acct",
        "index",
        [
            Insert(Entity("p", "a", {"s": "ü"})),
            Replace(Entity("p", "b", {}), ETAG),
            Merge(Entity("p", "c", {}), "*"),
            Upsert(Entity("p", "d", {})),
            Delete("p|1", "e'2", ETAG),
        ],
    )
    mark = kind.removeprefix("multipart/mixed; boundary=batch_")
    lines = body.decode("ascii").split("\r\n")
    assert lines[:2] == [f"--batch_{mark}", f"Content-Type: multipart/mixed; boundary=changeset_{mark}"]
    assert lines[-3:] == [f"--changeset_{mark}--", f"--batch_{mark}--", ""]
    assert lines.count(f"--changeset_{mark}") == 5
    assert [line for line in lines if line.endswith(" HTTP/1.1")] == [
        "POST http://host/acct/index HTTP/1.1",
        "PUT http://host/acct/index(PartitionKey='p',RowKey='b') HTTP/1.1",
        "PATCH http://host/acct/index(PartitionKey='p',RowKey='c') HTTP/1.1",
        "PUT http://host/acct/index(PartitionKey='p',RowKey='d') HTTP/1.1",
        "DELETE http://host/acct/index(PartitionKey='p%7C1',RowKey='e''2') HTTP/1.1",
    ]
    assert [line for line in lines if line.startswith("If-Match")] == [
        f"If-Match: {ETAG}",
        "If-Match: *",
        f"If-Match: {ETAG}",
    ]


def answer(*parts: str) -> bytes:
    inner = "".join(
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" + part
        for part in parts
    )
    return (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        f"{inner}--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    ).encode()


def done(etag: str = "", name: str = "ETag") -> str:
    head = "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n"
    return head + "DataServiceVersion: 1.0;\r\n" + (f"{name}: {etag}\r\n" if etag else "") + "\r\n\r\n"


def fault(status: int, code: str, message: str) -> str:
    text = json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}})
    return (
        f"HTTP/1.1 {status} Some Reason\r\nX-Content-Type-Options: nosniff\r\nDataServiceVersion: 3.0;\r\n"
        f"Content-Type: application/json;odata=minimalmetadata;streaming=true;charset=utf-8\r\n\r\n{text}\r\n"
    )


def test_etags_of_an_accepted_transaction() -> None:
    assert read_batch(answer(done(ETAG), done(), done(ETAG, "etag")), 3) == [ETAG, "", ETAG]


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (409, "EntityAlreadyExists", EntityExists),
        (404, "ResourceNotFound", EntityMissing),
        (412, "UpdateConditionNotSatisfied", EntityChanged),
    ],
)
def test_a_refused_transaction(status: int, code: str, cause: type[Exception]) -> None:
    message = "17:The specified entity is not so.\nRequestId:24e1\nTime:2013-08-22T00:20:16.3134645Z"
    with pytest.raises(TransactionRefused) as refusal:
        read_batch(answer(fault(status, code, message)), 20)
    assert (refusal.value.index, type(refusal.value.cause)) == (17, cause)


def test_a_refusal_that_names_no_operation() -> None:
    """Of two then, the one whose row is not the first: what it calls for is right for either."""
    with pytest.raises(TransactionRefused) as refusal:
        read_batch(answer(fault(412, "UpdateConditionNotSatisfied", "The update condition was not satisfied.")), 2)
    assert refusal.value.index == 1


def test_other_answers_to_transactions() -> None:
    with pytest.raises(TableMissing):
        read_batch(answer(fault(404, "TableNotFound", "0:The table specified does not exist.")), 2)
    with pytest.raises(Unanswered):
        read_batch(answer(fault(500, "OperationTimedOut", "0:Operation could not be completed.")), 2)
    with pytest.raises(Unanswered):
        read_batch(answer(done(ETAG)), 2)
    with pytest.raises(Unanswered):
        read_batch(b"", 1)
    with pytest.raises(DicomServiceError, match="400 InvalidDuplicateRow"):
        read_batch(answer(fault(400, "InvalidDuplicateRow", "1:A command with RowKey 'x' is already present.")), 2)
