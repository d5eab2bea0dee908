"""Workitems by URL: update, change of state, request for cancellation."""

import http.client
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.made_files import new_uid
from tests.support.worklist import (
    DICOM_JSON,
    MODIFIED,
    PERFORMED,
    PROGRESS,
    STATE,
    TRANSACTION,
    Dataset,
    Worklist,
    code,
    complete,
    discontinued,
    message,
    name,
    performed,
    reference,
    short,
    text,
    warned,
)

pytestmark = pytest.mark.integration

NOT_FOUND = "The workitem instance is not found."
NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
WRONG_TRANSACTION = "Invalid TransactionUID for the specified Workitem Instance UID."
INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."
COMMENT = {"00400400": text("LT", "changed")}


@pytest.fixture
def worklist(base_url: str) -> Worklist:
    return Worklist(f"{base_url}/v2")


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and text of a refusal, which a warning has to repeat (UPS-06)."""
    assert warned(response) == message(response)
    return response.status_code, message(response)


def no_transition(target: str, number: str) -> tuple[int, str]:
    return 400, f"The workitem instance can not transition to '{target}' state: {number}."


# ---------------------------------------------------------------- update

Form = Callable[[Worklist, str, str, Any], httpx.Response]

FORMS: dict[str, Form] = {
    "PUT, header": lambda where, uid, txn, body: where.send("PUT", f"/{uid}", body, Transaction_UID=txn),
    "PUT, name in the query": lambda where, uid, txn, body: where.send("PUT", f"/{uid}?{txn}", body),
    "PUT, value in the query": lambda where, uid, txn, body: where.send("PUT", f"/{uid}?transaction-uid={txn}", body),
    "POST, name in the query": lambda where, uid, txn, body: where.send("POST", f"/{uid}?{txn}", body),
    "POST, value in the query": lambda where, uid, txn, body: where.send("POST", f"/{uid}?Transaction-UID={txn}", body),
    "POST, header": lambda where, uid, txn, body: where.send("POST", f"/{uid}", body, transaction_uid=txn),
    "query before header": lambda where, uid, txn, body: where.send(
        "PUT", f"/{uid}?{txn}", body, Transaction_UID="1.2"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_ups_30_ups_31_forms(worklist: Worklist, form: str) -> None:
    """UPS-30, UPS-31, UPS-06"""
    uid, transaction = worklist.claimed()
    response = FORMS[form](worklist, uid, transaction, COMMENT)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-location"] == f"{worklist.url}/workitems/{uid}"
    assert warned(response) is None
    assert worklist.dataset(uid)["00400400"] == text("LT", "changed")
    assert refused(FORMS[form](worklist, uid, new_uid(), COMMENT)) == (400, NOT_CLAIMED)


def test_ups_30_never_creates(worklist: Worklist) -> None:
    uid = new_uid()
    for method in ("POST", "PUT"):
        assert refused(worklist.send(method, f"/{uid}", short())) == (400, NOT_CLAIMED)
    assert worklist.retrieve(uid).status_code == 404


def test_ups_32_replaces_whole_attributes(worklist: Worklist) -> None:
    """UPS-32, UPS-34: sequences too; others stay; the time of modification is the server's."""
    uid, transaction = worklist.claimed(complete())
    before = worklist.dataset(uid)
    update: Dataset = {
        "00404025": text("SQ", code("S2"), code("S3")),
        "00404005": text("DT", "20250101"),
        "00400100": text("SQ", {"00400002": text("DA", "20260215")}),
        "00091001": text("LO", "private"),
        MODIFIED: text("DT", "19700101"),
    }
    time.sleep(0.01)
    assert worklist.update(uid, update, transaction).status_code == 200
    after = worklist.dataset(uid)
    assert after[MODIFIED]["Value"][0] > before[MODIFIED]["Value"][0]
    del update[MODIFIED], before[MODIFIED], after[MODIFIED]
    assert after == before | update
    assert list(after) == sorted(after)


def test_ups_33_lock_rules(worklist: Worklist) -> None:
    """UPS-33, UPS-36: in every state, and nothing changes."""
    transaction = new_uid()
    scheduled = worklist.new()
    claimed, _ = worklist.claimed(transaction=transaction)
    completed, _ = worklist.claimed(transaction=transaction)
    assert worklist.change(completed, "COMPLETED", transaction).status_code == 200
    canceled, _ = worklist.claimed(transaction=transaction)
    assert worklist.change(canceled, "CANCELED", transaction).status_code == 200
    on_request = worklist.new()
    assert worklist.cancel(on_request).status_code == 202
    already_completed = (400, f"{INCONSISTENT} The UPS is already COMPLETED.")
    already_canceled = (409, f"{INCONSISTENT} The UPS is already in the requested state of CANCELED.")
    for uid, answers in (
        (new_uid(), [(400, NOT_CLAIMED)] * 3),
        (scheduled, [None, (400, WRONG_TRANSACTION), (400, WRONG_TRANSACTION)]),
        (claimed, [(400, NOT_CLAIMED), None, (400, NOT_CLAIMED)]),
        (completed, [already_completed] * 3),
        (canceled, [already_canceled] * 3),
        (on_request, [already_canceled] * 3),
    ):
        for sent, answer in zip(("", transaction, new_uid()), answers, strict=True):
            before = worklist.retrieve(uid).text
            response = worklist.update(uid, COMMENT, sent)
            if answer is None:
                assert response.status_code == 200
                assert "changed" in worklist.retrieve(uid).text
            else:
                assert refused(response) == answer
                assert worklist.retrieve(uid).text == before


@pytest.mark.parametrize(
    ("update", "defect"),
    [
        ({"00100010": name("Other")}, "The attribute with tag '(0010,0010)' cannot be present."),
        ({STATE: text("CS", "COMPLETED")}, "The attribute with tag '(0074,1000)' cannot be present."),
        ({"00741200": text("CS")}, "The value for tag '(0074,1200)' is missing."),
        ({"00741200": text("CS", " ")}, "The attribute with tag '(0074,1200)' must not be empty."),
        ({"00404018": text("SQ", {})}, "The required tag '(0008,0104)' is missing."),
    ],
)
def test_ups_34_ups_36_attribute_rules(worklist: Worklist, update: Dataset, defect: str) -> None:
    """UPS-34, UPS-36: after the lock rules, whatever the kind of workitem."""
    for dataset in (short(), complete()):
        uid, transaction = worklist.claimed(dataset)
        before = worklist.retrieve(uid).text
        assert refused(worklist.update(uid, update | COMMENT, transaction)) == (400, defect)
        assert refused(worklist.update(uid, update)) == (400, NOT_CLAIMED)
        assert worklist.retrieve(uid).text == before


def test_ups_35_transaction_uid_in_the_payload(worklist: Worklist) -> None:
    uid, transaction = worklist.claimed()
    other = new_uid()
    response = worklist.update(uid, COMMENT | {TRANSACTION: text("UI", other)}, transaction)
    assert response.status_code == 200
    assert TRANSACTION not in worklist.dataset(uid)
    assert refused(worklist.update(uid, COMMENT, other)) == (400, NOT_CLAIMED)
    assert refused(worklist.update(uid, COMMENT | {TRANSACTION: text("UI", transaction)})) == (400, NOT_CLAIMED)
    assert worklist.update(uid, COMMENT, transaction).status_code == 200


def test_ups_33_scheduled_ones_are_open_to_all(worklist: Worklist) -> None:
    uid = worklist.new()
    for word in ("first", "second"):
        assert worklist.update(uid, {"00400400": text("LT", word)}).status_code == 200
        assert worklist.dataset(uid)["00400400"] == text("LT", word)
    assert worklist.state(uid) == "SCHEDULED"


# ---------------------------------------------------------------- state


def test_ups_40_the_payload_alone_counts(worklist: Worklist) -> None:
    """UPS-40: a header is ignored, and the UID may have any form."""
    uid = worklist.new()
    for form in ("no UID at all", "ä" * 500, "1.2.3"):
        uid = worklist.new()
        assert worklist.change(uid, "IN PROGRESS", form, Transaction_UID="9.9").status_code == 200
        assert refused(worklist.change(uid, "COMPLETED", "9.9", Transaction_UID=form.encode().hex())) == no_transition(
            "COMPLETED", "C301"
        )
        assert worklist.change(uid, "COMPLETED", form).status_code == 200


@pytest.mark.parametrize(
    ("payload", "defect"),
    [
        ({STATE: text("CS", "IN PROGRESS")}, "The required tag '(0008,1195)' is missing."),
        ({STATE: text("CS", "IN PROGRESS"), TRANSACTION: text("UI")}, "The value for tag '(0008,1195)' is missing."),
        ({TRANSACTION: text("UI", "1.2")}, "The required tag '(0074,1000)' is missing."),
        ({TRANSACTION: text("UI", "1.2"), STATE: text("CS")}, "The value for tag '(0074,1000)' is missing."),
        ({}, "The required tag '(0008,1195)' is missing."),
    ],
)
def test_ups_41_payload(worklist: Worklist, payload: Dataset, defect: str) -> None:
    for uid in (worklist.new(), new_uid()):
        response = worklist.send("PUT", f"/{uid}/state", payload, accept=DICOM_JSON)
        assert refused(response) == (400, defect)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("state", ["SCHEDULED", "in progress", "DONE", "IN_PROGRESS", "CANCELLED", " COMPLETED", 5])
def test_ups_41_states(worklist: Worklist, state: Any) -> None:
    for uid in (worklist.new(), new_uid()):
        status, words = refused(worklist.change(uid, state, "1.2.3"))
        assert status == 400
        assert words.startswith("Expected value '(0074,1000)' to be one of the following values: [")
    for blank in (" ", ""):
        assert refused(worklist.change(worklist.new(), "IN PROGRESS", blank))[0] == 400


def test_ups_41_unknown_workitem(worklist: Worklist) -> None:
    for state in ("IN PROGRESS", "COMPLETED", "CANCELED"):
        assert refused(worklist.change(new_uid(), state, "1.2.3")) == (404, NOT_FOUND)


OWN, OTHER = "own", "other"


@pytest.mark.parametrize(
    ("way", "asks", "answers"),
    [
        ([], OTHER, {"COMPLETED": "C301", "CANCELED": "C301"}),
        (["IN PROGRESS"], OWN, {"IN PROGRESS": "C302"}),
        (["IN PROGRESS"], OTHER, {"IN PROGRESS": "C301", "COMPLETED": "C301", "CANCELED": "C301"}),
        (["IN PROGRESS", "COMPLETED"], OWN, {"IN PROGRESS": "C300", "COMPLETED": "B306", "CANCELED": "C300"}),
        (["IN PROGRESS", "COMPLETED"], OTHER, {"IN PROGRESS": "C301", "COMPLETED": "C301", "CANCELED": "C301"}),
        (["IN PROGRESS", "CANCELED"], OWN, {"IN PROGRESS": "C300", "COMPLETED": "C300", "CANCELED": "B304"}),
        (["IN PROGRESS", "CANCELED"], OTHER, {"IN PROGRESS": "C301", "COMPLETED": "C301", "CANCELED": "C301"}),
        (["request"], OTHER, {"IN PROGRESS": "C300", "COMPLETED": "C301", "CANCELED": "C301"}),
    ],
)
def test_ups_42_ups_43_ups_44_transitions(
    worklist: Worklist, way: list[str], asks: str, answers: dict[str, str]
) -> None:
    """UPS-42, UPS-43, UPS-44: what is refused, or repeated, changes neither state nor lock nor time."""
    uid = worklist.new()
    modified = worklist.dataset(uid)[MODIFIED]
    transactions = {OWN: new_uid(), OTHER: new_uid()}
    for state in way:
        if state == "request":
            assert worklist.cancel(uid).status_code == 202
        else:
            response = worklist.change(uid, state, transactions[OWN])
            assert (response.status_code, response.content, warned(response)) == (200, b"", None)
            assert worklist.state(uid) == state
            assert uid in worklist.search(f"ProcedureStepState={state}&limit=200").text
    before = worklist.retrieve(uid).text
    for _ in range(2):
        for target, answer in answers.items():
            response = worklist.change(uid, target, transactions[asks])
            if answer.startswith("B"):
                assert (response.status_code, response.content) == (200, b"")
                expected = f"The workitem instance is already in the final state '{target}'. {answer}."
                assert warned(response) == expected
            else:
                assert refused(response) == no_transition(target, answer)
            assert worklist.retrieve(uid).text == before
    assert worklist.dataset(uid)[MODIFIED] == modified


def test_ups_45_completing_a_complete_one(worklist: Worklist) -> None:
    uid, transaction = worklist.claimed(complete())
    for update, defect in (
        ({}, "The value for tag '(0074,1216)' is missing."),
        ({PERFORMED: text("SQ", {"00404033": text("SQ", reference())})}, "The required tag '(0040,4028)' is missing."),
    ):
        if update:
            assert worklist.update(uid, update, transaction).status_code == 200
        assert refused(worklist.change(uid, "COMPLETED", transaction)) == (400, defect)
        assert worklist.state(uid) == "IN PROGRESS"
    assert refused(worklist.change(uid, "COMPLETED", new_uid())) == no_transition("COMPLETED", "C301")
    assert worklist.update(uid, performed(), transaction).status_code == 200
    assert worklist.change(uid, "COMPLETED", transaction).status_code == 200
    assert worklist.state(uid) == "COMPLETED"


def test_ups_46_canceling_a_complete_one(worklist: Worklist) -> None:
    uid, transaction = worklist.claimed(complete())
    assert refused(worklist.change(uid, "CANCELED", transaction)) == (
        400,
        "The value for tag '(0074,1002)' is missing.",
    )
    empty = {PROGRESS: text("SQ", {"00404052": text("DT", "2024")})}
    assert worklist.update(uid, empty, transaction).status_code == 200
    assert refused(worklist.change(uid, "CANCELED", transaction))[1] == "The required tag '(0074,100e)' is missing."
    assert worklist.update(uid, discontinued(), transaction).status_code == 200
    assert worklist.change(uid, "CANCELED", transaction).status_code == 200
    assert worklist.state(uid) == "CANCELED"


def test_ups_17_ups_47_the_kind_is_fixed_at_creation(worklist: Worklist) -> None:
    """UPS-17, UPS-47: a short one stays short, though updates bring all that it lacked."""
    for state in ("COMPLETED", "CANCELED"):
        uid, transaction = worklist.claimed()
        assert worklist.change(uid, state, transaction).status_code == 200
    uid, transaction = worklist.claimed()
    update = {tag: element for tag, element in complete().items() if tag in ("00741200", "00741204", "00404041")}
    assert worklist.update(uid, update, transaction).status_code == 200
    assert worklist.change(uid, "COMPLETED", transaction).status_code == 200


# ---------------------------------------------------------------- cancellation

BODILESS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "some type": {"Content_Type": "application/json"},
    "empty object": {"body": {}},
    "array of an empty object": {"body": [{}]},
}


@pytest.mark.parametrize("form", BODILESS)
def test_ups_50_ups_56_without_a_reason(worklist: Worklist, form: str) -> None:
    """UPS-05, UPS-50, UPS-52, UPS-56"""
    uid = worklist.new()
    before = worklist.dataset(uid)
    response = worklist.cancel(uid, **BODILESS[form])
    assert response.status_code == 202
    assert warned(response) is None
    assert message(response) == "The workitem instance has been cancelled."
    after = worklist.dataset(uid)
    moment = after["00404052"]
    assert len(moment["Value"][0]) >= 14
    reason = text("SQ", {"00741238": {"vr": "LT"}})
    contact = text("SQ", {"0074100A": {"vr": "UR"}, "0074100C": {"vr": "LO"}})
    assert after == before | {
        STATE: text("CS", "CANCELED"),
        "00404052": moment,
        "0074100E": reason,
        PROGRESS: text("SQ", {"00404052": moment, "00741008": contact, "0074100E": reason}),
    }


def test_ups_56_like_curl(base_url: str, worklist: Worklist) -> None:
    """UPS-56: neither a type nor a length nor a body."""
    uid = worklist.new()
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    try:
        connection.putrequest("POST", f"/v2/workitems/{uid}/cancelrequest")
        connection.endheaders()
        assert connection.getresponse().status == 202
    finally:
        connection.close()
    assert worklist.state(uid) == "CANCELED"


def test_ups_51_ups_52_with_a_reason(worklist: Worklist) -> None:
    """UPS-51, UPS-52: what else is sent is ignored."""
    uid = worklist.new(complete())
    before = worklist.dataset(uid)
    sent: Dataset = {
        "00741238": text("LT", "Patient left"),
        "0074100A": text("UR", "tel:+1"),
        "0074100C": text("LO", "Ward 5"),
        PERFORMED: text("SQ", {"00404033": text("SQ")}),
        "00100010": name("Other"),
        "00741200": text("CS", "HIGH"),
        STATE: text("CS", "COMPLETED"),
    }
    assert worklist.cancel(uid, [sent]).status_code == 202
    after = worklist.dataset(uid)
    moment = after["00404052"]
    reason = text("SQ", {"00741238": text("LT", "Patient left")})
    contact = text("SQ", {"0074100A": text("UR", "tel:+1"), "0074100C": text("LO", "Ward 5")})
    assert after == before | {
        STATE: text("CS", "CANCELED"),
        "00404052": moment,
        "0074100E": reason,
        PROGRESS: text("SQ", {"00404052": moment, "00741008": contact, "0074100E": reason}),
        PERFORMED: text("SQ", {"00404033": text("SQ")}),
    }
    assert uid in worklist.search("ProcedureStepState=canceled&limit=200").text


def test_ups_53_ups_54_other_states(worklist: Worklist) -> None:
    """UPS-06, UPS-53, UPS-54"""
    response = worklist.cancel(new_uid())
    assert (response.status_code, message(response), warned(response)) == (404, NOT_FOUND, None)
    claimed, transaction = worklist.claimed()
    completed, transaction_2 = worklist.claimed()
    assert worklist.change(completed, "COMPLETED", transaction_2).status_code == 200
    for uid, number in ((claimed, "C312"), (completed, "C311")):
        before = worklist.retrieve(uid).text
        response = worklist.cancel(uid)
        assert (response.status_code, message(response)) == no_transition("Canceled", number)
        assert warned(response) is None
        assert worklist.retrieve(uid).text == before
    assert worklist.change(claimed, "CANCELED", transaction).status_code == 200
    on_request = worklist.new()
    assert worklist.cancel(on_request).status_code == 202
    for uid in (claimed, on_request):
        before = worklist.retrieve(uid).text
        assert refused(worklist.cancel(uid, {"00741238": text("LT", "again")})) == (
            409,
            "The UPS is already in the requested state of CANCELED.",
        )
        assert worklist.retrieve(uid).text == before


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b" ", b"{}x"])
def test_ups_56_bad_bodies(worklist: Worklist, body: bytes) -> None:
    """UPS-02, UPS-56"""
    uid = worklist.new()
    response = worklist.cancel(uid, body)
    assert (response.status_code, response.text) == (400, "The syntax of the request body is invalid.")
    response = worklist.cancel(uid, b"{}", Content_Type="application/json")
    assert (response.status_code, response.content) == (415, b"")
    assert worklist.state(uid) == "SCHEDULED"
