"""Workitems by URL: conventions of all requests, create, retrieve, subscriptions."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.made_files import new_uid
from tests.support.processes import local_host
from tests.support.worklist import (
    DICOM_JSON,
    MODIFIED,
    STATE,
    TRANSACTION,
    Worklist,
    code,
    complete,
    message,
    name,
    short,
    text,
    warned,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def worklist(base_url: str) -> Worklist:
    return Worklist(f"{base_url}/v2")


@pytest.fixture(scope="module")
def strict(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worklist]:
    """The worklist of a host on the same store that is as strict as Azure."""
    settings = {**store_settings, "DICOM_WORKITEM_VALIDATION": "strict"}
    log = tmp_path_factory.mktemp("strict") / "host.log"
    with local_host(settings, log=log, under_func=under_func) as host:
        yield Worklist(f"{host.url}/v2")


# ---------------------------------------------------------------- every request


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "", {"GET", "POST"}),
        ("PUT", "", {"GET", "POST"}),
        ("DELETE", "/1.2.3", {"GET", "POST", "PUT"}),
        ("GET", "/1.2.3/state", {"PUT"}),
        ("PUT", "/1.2.3/cancelrequest", {"POST"}),
        ("POST", "/subscriptions", {"GET"}),
        ("GET", "/1.2.3/subscribers/AET", {"POST", "DELETE"}),
    ],
)
def test_ups_01_methods(worklist: Worklist, method: str, path: str, allowed: set[str]) -> None:
    """UPS-01, PLT-06: nothing deletes a workitem."""
    response = worklist.send(method, path)
    assert (response.status_code, response.content) == (405, b"")
    assert set(response.headers["allow"].split(", ")) == allowed


def test_ups_01_other_versions(base_url: str) -> None:
    """UPS-01, UPS-14, CHG-30: the same worklist in every version; letter case of literals does not matter."""
    first, uid = Worklist(f"{base_url}/v1"), new_uid()
    response = first.create(short(), uid)
    assert response.headers["location"] == f"{base_url}/v1/workitems/{uid}"
    for version in ("v2", "v1", "v1.0-prerelease", "V2"):
        response = httpx.get(f"{base_url}/{version}/WorkItems/{uid}/")
        assert response.status_code == 200
        assert response.headers["api-supported-versions"] == "1.0-prerelease, 1, 2"


def test_ups_02_both_forms_of_bodies(worklist: Worklist) -> None:
    """UPS-02: on every request that has a body."""
    for wrap in (lambda dataset: dataset, lambda dataset: [dataset, {"ignored": 1}]):
        uid, transaction = new_uid(), new_uid()
        assert worklist.create(wrap(short()), uid).status_code == 201
        state = wrap({STATE: text("CS", "IN PROGRESS"), TRANSACTION: text("UI", transaction)})
        assert worklist.send("PUT", f"/{uid}/state", state).status_code == 200
        assert worklist.update(uid, wrap({"00400400": text("LT", "x")}), transaction).status_code == 200
        assert worklist.dataset(uid)["00400400"] == text("LT", "x")
        other = worklist.new()
        assert worklist.cancel(other, wrap({"00741238": text("LT", "why")})).status_code == 202


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"5", b'{"PatientID":1}', b"\xff\xfe"])
def test_ups_02_malformed_bodies(worklist: Worklist, body: bytes) -> None:
    """UPS-02, UPS-05: bare text, although JSON would be taken."""
    uid = worklist.new()
    for method, path in (("POST", f"?{new_uid()}"), ("POST", f"/{uid}"), ("PUT", f"/{uid}"), ("PUT", f"/{uid}/state")):
        response = worklist.send(method, path, body, accept=DICOM_JSON)
        assert response.status_code == 400
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.text == "The syntax of the request body is invalid."
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("kind", [None, DICOM_JSON, "application/json"])
def test_ups_02_no_body(worklist: Worklist, kind: str | None) -> None:
    """UPS-02, UPS-03: what is not there has no wrong type."""
    uid = worklist.new()
    headers = {} if kind is None else {"Content_Type": kind}
    for method, path in (("POST", f"?{new_uid()}"), ("POST", f"/{uid}"), ("PUT", f"/{uid}"), ("PUT", f"/{uid}/state")):
        response = worklist.send(method, path, **headers)
        assert (response.status_code, response.text) == (400, "The syntax of the request body is invalid.")


def test_ups_02_comments_and_commas(worklist: Worklist) -> None:
    uid = new_uid()
    body = b'[{"00100020": {"vr": "LO", "Value": ["P1",],}, /* who */ "00100010": {"vr": "PN",},}] // end'
    assert worklist.create(body, uid).status_code == 201
    assert worklist.dataset(uid)["00100020"] == text("LO", "P1")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/dicom", "multipart/related", "", None])
def test_ups_03_content_type(worklist: Worklist, kind: str | None) -> None:
    uid, fresh = worklist.new(), new_uid()
    body = json.dumps(short()).encode()
    for method, path in (
        ("POST", f"?{fresh}"),
        ("POST", f"/{uid}"),
        ("PUT", f"/{uid}"),
        ("PUT", f"/{uid}/state"),
        ("POST", f"/{uid}/cancelrequest"),
    ):
        sent = httpx.Request(method, f"{worklist.url}/workitems{path}", content=body, headers={"Accept": "*/*"})
        if kind is not None:
            sent.headers["Content-Type"] = kind
        with httpx.Client() as client:
            response = client.send(sent)
        assert (response.status_code, response.content) == (415, b"")
    assert worklist.retrieve(fresh).status_code == 404
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("kind", ["application/dicom+json; charset=utf-8", "Application/DICOM+JSON", f"{DICOM_JSON};"])
def test_ups_03_parameters(worklist: Worklist, kind: str) -> None:
    assert worklist.create(short(), new_uid(), Content_Type=kind).status_code == 201


@pytest.mark.parametrize("accept", [None, "", "text/plain", "application/dicom", "application/dicom+xml", "nonsense"])
def test_ups_04_not_acceptable(worklist: Worklist, accept: str | None) -> None:
    uid, fresh = worklist.new(), new_uid()
    for response in (
        worklist.create(short(), fresh, accept=accept),
        worklist.retrieve(uid, accept=accept),
        worklist.search("limit=1", accept=accept),
    ):
        assert (response.status_code, response.content) == (406, b"")
    assert worklist.retrieve(fresh).status_code == 404
    assert worklist.change(uid, "IN PROGRESS", "1.2.3", accept=accept).status_code == 200
    assert worklist.update(uid, {"00400400": text("LT", "x")}, "1.2.3", accept=accept).status_code == 200
    assert worklist.cancel(worklist.new(), accept=accept).status_code == 202


@pytest.mark.parametrize(
    "accept",
    [DICOM_JSON, "application/json", "application/*", "*/*", "text/html, application/dicom+json; transfer-syntax=*"],
)
def test_ups_04_acceptable(worklist: Worklist, accept: str) -> None:
    uid = new_uid()
    assert worklist.create(short(), uid, accept=accept).status_code == 201
    assert worklist.retrieve(uid, accept=accept).headers["content-type"] == DICOM_JSON
    assert worklist.search("limit=1", accept=accept).status_code == 200


def test_ups_05_forms_of_messages(worklist: Worklist) -> None:
    """UPS-05: JSON strings from create, retrieve and cancel; from update and state where JSON is asked for by name."""
    uid = worklist.new()
    for response in (worklist.create(short(), uid), worklist.retrieve(new_uid()), worklist.cancel(new_uid())):
        assert response.headers["content-type"] == DICOM_JSON
        assert isinstance(response.json(), str)

    def refusals(accept: str | None) -> list[httpx.Response]:
        update = worklist.update(uid, {}, "1.2.3", accept=accept)
        return [update, worklist.change(uid, "COMPLETED", "1.2.3", accept=accept)]

    for accept, kind in (
        (DICOM_JSON, DICOM_JSON),
        ("text/html, application/json;q=0.5", DICOM_JSON),
        ("*/*", "text/plain; charset=utf-8"),
        ("application/*", "text/plain; charset=utf-8"),
        (None, "text/plain; charset=utf-8"),
    ):
        for response in refusals(accept):
            assert response.headers["content-type"] == kind
            assert message(response) == warned(response)
    for response in (worklist.search("x=1"), worklist.retrieve("abc"), worklist.create(short(), "abc")):
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


BAD_UIDS = ["abc", "1" * 65, "1%202", "1%00", "1%7C2", "%2e%2e", "1.2,3"]


@pytest.mark.parametrize("uid", BAD_UIDS)
def test_ups_07_bad_uids(worklist: Worklist, strict: Worklist, uid: str) -> None:
    """UPS-07, PLT-117"""
    for where in (worklist, strict):
        for response in (
            where.create(short(), uid),
            where.send("GET", f"/{uid}"),
            where.send("PUT", f"/{uid}", {}),
            where.send("POST", f"/{uid}", {}),
            where.send("PUT", f"/{uid}/state", {}),
            where.send("POST", f"/{uid}/cancelrequest"),
        ):
            assert response.status_code in (400, 404)
            if response.status_code == 400:
                assert "DICOM Identifier is invalid" in message(response)
        assert where.create(short(), uid).status_code == 400


def test_ups_07_bad_transaction_uids(worklist: Worklist) -> None:
    uid = worklist.new()
    for response in (
        worklist.send("POST", f"/{uid}?a.b", {}),
        worklist.send("PUT", f"/{uid}?transaction-uid=a.b", {}),
        worklist.update(uid, {}, "a.b"),
    ):
        assert response.status_code == 400
        assert "DICOM Identifier is invalid" in message(response)
        assert "a.b" not in response.text


def test_ups_07_ups_08_strict_uids(worklist: Worklist, strict: Worklist) -> None:
    """UPS-07, UPS-08: in the query and in the data set alone."""
    uid = f"{new_uid()}.workitem1"
    assert strict.create(complete(), uid).status_code == 400
    assert strict.create(complete() | {"00080018": text("UI", uid)}).status_code == 400
    assert strict.send("PUT", f"/{new_uid()}?1.2.txn", {}).status_code == 400
    assert worklist.create(short(), uid).status_code == 201
    assert strict.retrieve(uid).status_code == 400
    assert worklist.state(uid) == "SCHEDULED"


def test_ups_07_compared_by_character(worklist: Worklist) -> None:
    uid = new_uid() + ".a"
    assert worklist.create(short("lower"), uid).status_code == 201
    assert worklist.create(short("upper"), uid.upper()).status_code == 201
    assert worklist.dataset(uid)["00100020"] == text("LO", "lower")
    assert worklist.dataset(uid.upper())["00100020"] == text("LO", "upper")


def test_ups_09_form_of_answers(worklist: Worklist) -> None:
    """UPS-09: ascending, `vr` first, nothing in place of no value, numbers as numbers; the unknown as it was sent."""
    sent: dict[str, Any] = {
        "00741200": {"Value": ["HIGH"], "vr": "CS"},
        "00101030": {"vr": "DS", "Value": ["70.5"]},
        "001021c0": {"vr": "US", "Value": [4]},
        "00091001": {"vr": "LO", "Value": ["private"]},
        "00091002": {
            "vr": "SQ",
            "Value": [{"00091003": {"vr": "UN", "InlineBinary": "AAE="}, "00080100": {"vr": "SH"}}],
        },
        "00400400": {"vr": "LT", "Value": []},
        "00101002": {"vr": "SQ", "Value": []},
        "00100010": {"vr": "PN", "Value": [{"Ideographic": "山田^太郎", "Alphabetic": "Yamada^Tarou"}]},
    }
    uid = new_uid()
    assert worklist.create(sent, uid).status_code == 201
    body = worklist.retrieve(uid).text
    dataset = json.loads(body)
    assert list(dataset) == sorted(dataset)
    assert all(next(iter(element)) == "vr" for element in dataset.values())
    assert dataset["00101030"] == {"vr": "DS", "Value": [70.5]}
    assert dataset["001021C0"] == {"vr": "US", "Value": [4]}
    assert dataset["00091001"] == {"vr": "LO", "Value": ["private"]}
    item = {"00080100": {"vr": "SH"}, "00091003": {"vr": "UN", "InlineBinary": "AAE="}}
    assert json.dumps(dataset["00091002"]) == json.dumps({"vr": "SQ", "Value": [item]})
    assert dataset["00400400"] == {"vr": "LT"}
    assert dataset["00101002"] == {"vr": "SQ"}
    assert dataset["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]


def test_ups_11_not_in_the_change_feed(worklist: Worklist) -> None:
    """UPS-11"""
    uid = worklist.new()
    assert worklist.cancel(uid).status_code == 202
    latest = httpx.get(f"{worklist.url}/changefeed/latest")
    assert uid not in latest.text


# ---------------------------------------------------------------- create


def test_ups_12_ups_14_three_ways_to_name_a_workitem(worklist: Worklist) -> None:
    """UPS-12, UPS-13, UPS-14"""
    for query, stated in ((True, False), (False, True), (True, True)):
        uid = new_uid()
        dataset = short() | ({"00080018": text("UI", uid)} if stated else {})
        response = worklist.create(dataset, uid if query else "")
        assert (response.status_code, response.content) == (201, b"")
        assert response.headers["location"] == f"{worklist.url}/workitems/{uid}"
        assert response.headers["content-location"] == response.headers["location"]
        assert httpx.get(response.headers["location"]).json()["00080018"] == text("UI", uid)
    uid = new_uid()
    assert worklist.send("POST", f"?{uid}=", short()).status_code == 201
    assert worklist.send("POST", f"?workitem={new_uid()}", short()).status_code == 201
    assert worklist.state(uid) == "SCHEDULED"


def test_ups_12_no_uid(worklist: Worklist) -> None:
    for response in (
        worklist.create(short()),
        worklist.create(short() | {"00080018": text("UI")}),
        worklist.send("POST", "?workitem=", short()),
        worklist.send("POST", "?workitem", short()),
        worklist.send("POST", "?", short()),
    ):
        assert response.status_code == 400
        assert message(response) == "The required tag '(0008,0018)' is missing."
    assert worklist.retrieve("workitem").status_code == 400


def test_ups_13_two_uids(worklist: Worklist) -> None:
    """UPS-05, UPS-13: bare text."""
    first, second = new_uid(), new_uid()
    response = worklist.create(short() | {"00080018": text("UI", second)}, first, accept=DICOM_JSON)
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "SOPInstanceUID in the payload does not match the workitem query parameter."
    assert worklist.retrieve(first).status_code == worklist.retrieve(second).status_code == 404


def test_ups_14_behind_a_proxy(worklist: Worklist) -> None:
    """UPS-14, PLT-10"""
    uid = new_uid()
    response = worklist.create(short(), uid, X_Forwarded_Proto="https", X_Forwarded_Host="dicom.example:8443")
    assert response.headers["location"] == f"https://dicom.example:8443/v2/workitems/{uid}"
    assert response.headers["warning"].startswith("299 dicom.example: ")


def test_ups_15_what_the_server_sets(worklist: Worklist) -> None:
    ours = {
        "00080016": text("UI", "1.2.3"),
        STATE: text("CS", "COMPLETED"),
        "00741202": text("LO", "mine"),
        MODIFIED: text("DT", "19700101"),
    }
    for sent in (short(), short() | ours):
        uid = new_uid()
        before = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        assert worklist.create(sent, uid).status_code == 201
        after = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        dataset = worklist.dataset(uid)
        assert dataset["00080016"] == text("UI", "1.2.840.10008.5.1.4.34.6.1")
        assert dataset["00080018"] == text("UI", uid)
        assert dataset[STATE] == text("CS", "SCHEDULED")
        assert dataset["00741202"] == text("LO", "worklist")
        (modified,) = dataset[MODIFIED]["Value"]
        assert re.fullmatch(r"\d{14}(\.\d{1,6})?", modified)
        assert before <= modified[:14] <= after
        assert set(dataset) == set(sent) | {"00080016", "00080018", STATE, "00741202", MODIFIED}


def test_ups_16_twice(worklist: Worklist) -> None:
    """UPS-16: in whatever state; validation comes first."""
    uid, _ = worklist.claimed()
    canceled = worklist.new()
    worklist.cancel(canceled)
    for taken in (uid, canceled):
        before = worklist.retrieve(taken).text
        response = worklist.create(short("another"), taken)
        assert response.status_code == 409
        assert message(response) == "The workitem instance already exists. Try creating using a different UID."
        assert warned(response) is None
        assert worklist.create(short() | {"00741200": text("CS")}, taken).status_code == 400
        assert worklist.retrieve(taken).text == before


def test_ups_17_short_and_complete(worklist: Worklist, strict: Worklist) -> None:
    """UPS-06, UPS-08, UPS-17"""
    missing = "The required tag '(0008,1195)' is missing."
    response = worklist.create(short(), new_uid())
    assert (response.status_code, warned(response)) == (201, missing)
    uid = new_uid()
    response = strict.create(short(), uid)
    assert (response.status_code, message(response), warned(response)) == (400, missing, None)
    assert response.headers["content-type"] == DICOM_JSON
    for where in (worklist, strict):
        response = where.create(complete(), new_uid())
        assert (response.status_code, warned(response)) == (201, None)
    assert worklist.retrieve(uid).status_code == 404


@pytest.mark.parametrize(
    ("element", "defect"),
    [
        ({"00741200": text("CS")}, "The value for tag '(0074,1200)' is missing."),
        ({"00741200": text("CS", " ")}, "The attribute with tag '(0074,1200)' must not be empty."),
        ({TRANSACTION: text("UI", "1.2.3")}, "The attribute with tag '(0008,1195)' must be empty."),
        ({"00404018": text("SQ", {"00080100": text("SH", "x")})}, "The required tag '(0008,0104)' is missing."),
        (
            {"00741002": text("SQ", {"00741004": text("DS", 50)})},
            "The attribute with tag '(0074,1004)' cannot be present.",
        ),
    ],
)
def test_ups_18_ups_19_ups_20_defects(worklist: Worklist, element: dict[str, Any], defect: str) -> None:
    """UPS-18, UPS-19, UPS-20: nothing is left behind."""
    uid = new_uid()
    response = worklist.create(short() | element, uid)
    assert (response.status_code, message(response), warned(response)) == (400, defect, None)
    assert response.headers["content-type"] == DICOM_JSON
    assert worklist.retrieve(uid).status_code == 404
    assert worklist.create(short(), uid).status_code == 201


# ---------------------------------------------------------------- retrieve


def test_ups_22_one_object(worklist: Worklist) -> None:
    uid = worklist.new(complete())
    response = worklist.retrieve(uid)
    assert response.status_code == 200
    assert response.headers["content-type"] == DICOM_JSON
    assert "warning" not in response.headers
    assert isinstance(response.json(), dict)
    sent = complete()
    del sent[TRANSACTION]
    assert {tag: response.json()[tag] for tag in sent} == sent


def test_ups_23_never_a_transaction_uid(worklist: Worklist) -> None:
    """UPS-23, UPS-35: neither empty nor with a value, in any state, wherever it was sent."""
    item = text("SQ", code() | {TRANSACTION: text("UI", "1.2.3.4.5.6.7.8.9")})
    uid = worklist.new(complete() | {"00091001": item})
    seen = [worklist.retrieve(uid).text]
    transaction = new_uid()
    assert worklist.change(uid, "IN PROGRESS", transaction).status_code == 200
    seen.append(worklist.retrieve(uid).text)
    update = {TRANSACTION: text("UI", new_uid()), "00091001": item}
    assert worklist.update(uid, update, transaction).status_code == 200
    seen.append(worklist.retrieve(uid).text)
    for body in seen:
        assert TRANSACTION not in body
        assert "1.2.3.4.5.6.7.8.9" not in body
        assert transaction not in body
    assert worklist.dataset(uid)["00091001"] == text("SQ", code())


def test_ups_24_unknown(worklist: Worklist) -> None:
    response = worklist.retrieve(new_uid())
    assert (response.status_code, message(response)) == (404, "The workitem instance is not found.")
    assert "warning" not in response.headers


# ---------------------------------------------------------------- subscriptions


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/{uid}/subscribers/AET1"), ("DELETE", "/{uid}/subscribers/AET1"), ("GET", "/subscriptions")],
)
def test_ups_80_subscriptions(worklist: Worklist, method: str, path: str) -> None:
    """UPS-80, UPS-01: whatever else the request says."""
    known = worklist.new()
    for uid in (known, new_uid(), "no-uid"):
        for body, headers in ((None, {}), (b"{", {"Content_Type": "text/x"}), ({"a": 1}, {"accept": None})):
            response = worklist.send(method, path.format(uid=uid), body, **headers)
            assert response.status_code == 501
            assert "not implemented" in response.text.lower()
    assert worklist.send("POST", f"/{known}/subscribers/AET1?deletionlock=true").status_code == 501


def test_ups_11_partitions_are_off(base_url: str) -> None:
    """UPS-11: the twins below `/partitions` exist as soon as partitions do."""
    response = Worklist(f"{base_url}/v2/partitions/p1").create({"00100010": name("x")}, "1.2.3")
    assert (response.status_code, response.text) == (400, "Data partitions feature is disabled.")
