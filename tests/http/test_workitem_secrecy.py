"""The transaction UID never leaves the server: not in a body, not in a header, not in a line of the log."""

from typing import Any

import httpx
import pytest

from tests.conftest import StartHost
from tests.support.made_files import new_uid
from tests.support.worklist import (
    DICOM_JSON,
    STATE,
    TRANSACTION,
    Worklist,
    code,
    complete,
    discontinued,
    performed,
    short,
    text,
)

pytestmark = pytest.mark.integration

CLAIM = "IN PROGRESS"


class Listener(Worklist):
    """Keeps everything that was answered."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.heard: list[str] = []

    def send(self, *arguments: Any, **options: Any) -> httpx.Response:
        response = super().send(*arguments, **options)
        headers = "\n".join(f"{key}: {value}" for key, value in response.headers.multi_items())
        self.heard.append(f"{response.status_code} {response.reason_phrase}\n{headers}\n\n{response.text}")
        return response


def everything(worklist: Worklist, transaction: str) -> None:
    """Each transaction in each of its ways to succeed and to fail, with the UID wherever it may stand."""
    for dataset, final in ((short(), {}), (complete(), performed()), (complete(), discontinued())):
        uid = worklist.new(dataset)
        accept = DICOM_JSON if final else "*/*"
        worklist.update(uid, {}, transaction, accept=accept)
        worklist.change(uid, "COMPLETED", transaction, accept=accept)
        assert worklist.change(uid, CLAIM, transaction, accept=accept).status_code == 200
        worklist.change(uid, CLAIM, transaction, accept=accept)
        worklist.change(uid, CLAIM, new_uid(), accept=accept)
        worklist.change(uid, transaction, transaction, accept=accept)
        inside = {TRANSACTION: text("UI", transaction), "00091001": text("SQ", {TRANSACTION: text("UI", transaction)})}
        for path in (f"/{uid}?{transaction}", f"/{uid}?transaction-uid={transaction}"):
            for method in ("POST", "PUT"):
                assert worklist.send(method, path, inside, accept=accept).status_code == 200
                worklist.send(method, path, {"00100010": text("PN")}, accept=accept)
                worklist.send(method, path, b"{", accept=accept)
                worklist.send(method, path, {}, accept=accept, Content_Type="application/json")
        worklist.send("PUT", f"/{uid}?{transaction}%20x", {}, accept=accept)
        worklist.update(uid, {}, f"{transaction} x", accept=accept)
        worklist.update(new_uid(), {}, transaction, accept=accept)
        worklist.change(uid, "CANCELED", transaction, accept=accept)
        worklist.update(uid, final, transaction, accept=accept)
        worklist.change(uid, "COMPLETED", transaction, accept=accept)
        worklist.change(uid, "CANCELED", transaction, accept=accept)
        worklist.change(uid, "CANCELED", transaction, accept=accept)
        worklist.update(uid, {}, transaction, accept=accept)
        worklist.cancel(uid, {TRANSACTION: text("UI", transaction)})
        worklist.send("POST", f"/{uid}/cancelrequest?{transaction}", {})
        worklist.retrieve(uid)
        worklist.send("GET", f"/{uid}?{transaction}")
        worklist.create(complete() | {TRANSACTION: text("UI", transaction)}, new_uid())
        worklist.create(short() | {"00404025": text("SQ", code() | {TRANSACTION: text("UI", transaction)})}, new_uid())
        worklist.send("DELETE", f"/{uid}?{transaction}")
        worklist.send("PUT", f"/{uid}/state?{transaction}", {STATE: text("CS", CLAIM)})
        worklist.send("POST", f"/{uid}/subscribers/AET?{transaction}")
    for query in ("", "includefield=all", "includefield=TransactionUID", f"TransactionUID={transaction}"):
        worklist.search(f"limit=200&{query}")
    worklist.search(f"00081195={transaction}&PatientID=")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_ups_23_ups_71_the_transaction_uid_stays_inside(start_host: StartHost, log_format: str) -> None:
    """UPS-23, UPS-71, PLT-45: a hundred answers, and the log of a host under both formats of lines."""
    host = start_host({"DICOM_LOG_FORMAT": log_format})
    worklist = Listener(f"{host.url}/v2")
    transaction = f"{new_uid()}.{'7' if log_format == 'json' else 'txn7'}"
    everything(worklist, transaction)
    host.stop()
    log = host.output()
    assert len(worklist.heard) > 100
    assert log.count("/v2/workitems") >= len(worklist.heard), "the log tells of every request"
    for answer in worklist.heard:
        assert transaction not in answer
        assert '"00081195"' not in answer
    assert transaction not in log
