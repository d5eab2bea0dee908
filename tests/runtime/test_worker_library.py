"""The app in the real worker library: init, metadata, load, invocation, and HTTP through the port that it opens."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.app import app
from shared.devhost.functions import HTTP, QUEUE, TIMER
from tests.runtime.worker import RuntimeWorker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

OF_THE_WORKER = ("azure.functions",)
OF_THE_APP = ("dicom", "shared")

SECURITY_HEADERS = {"x-content-type-options", "x-frame-options", "content-security-policy", "x-correlation-id"}


def test_every_function_is_indexed_and_loaded(worker: RuntimeWorker) -> None:
    """PLT-113: as many functions as the app has, anonymous, every method."""
    assert set(worker.ids) == {str(builder._function.get_function_name()) for builder in app._function_builders}
    assert {function.kind for function in worker.functions} >= {HTTP, TIMER}
    for function in worker.functions:
        answer = worker.ask("load", function=worker.ids[function.name])
        assert answer["succeeded"], answer["error"]
        if function.kind == HTTP:
            assert function.anonymous
            assert set(function.methods) == {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


def test_http_is_streamed(worker: RuntimeWorker) -> None:
    """PLT-114: the library has taken our web extension, and asks the host for the values of routes."""
    assert worker.url.startswith("http://127.0.0.1:")
    assert worker.request("GET", "/health").json()["status"] == "healthy"


def test_no_page_of_its_own(worker: RuntimeWorker) -> None:
    """PLT-114: what the app does not know is unknown; its own pages come from the app; nothing answers before it."""
    unknown = worker.request("GET", "/no-such-page")
    redoc = worker.request("GET", "/redoc")
    assert (redoc.status_code, redoc.content) == (unknown.status_code, unknown.content) == (404, b"")
    for path in ("/docs", "/openapi.json", "/v2/api.yaml"):
        answer = worker.request("GET", path)
        assert answer.status_code == 200
        assert set(answer.headers) >= SECURITY_HEADERS
    bare = httpx.get(worker.url + "/docs")
    assert (bare.status_code, bare.content) == (500, b"")


def test_no_header_of_its_own(worker: RuntimeWorker) -> None:
    """PLT-09, PLT-114"""
    answer = worker.request("GET", "/health")
    assert set(answer.headers) == {"date", "content-length", "content-type", "vary", *SECURITY_HEADERS}
    assert len(answer.headers.get_list("date")) == 1


def test_no_log_line_of_its_own(worker: RuntimeWorker) -> None:
    """PLT-114: the lines are those of the library and those of the app for each request."""
    worker.ask("logged")
    with httpx.Client() as client:
        for number in range(5):
            worker.request("GET", f"/v2/studies/1.2.{number}?transaction=secret", client=client)
    lines = worker.ask("logged")["lines"]
    loggers = {name for name, _, _ in lines}
    assert all(name.split(".")[0] in OF_THE_APP or name.startswith(OF_THE_WORKER) for name in loggers), loggers
    assert len([name for name, _, _ in lines if name == "dicom.requests"]) == 5
    assert len([name for name, _, _ in lines if name == "dicom.audit"]) == 10
    assert not any("secret" in text for _, _, text in lines)
    assert worker.output.read_text() == ""


def test_no_secret_in_its_log(worker: RuntimeWorker) -> None:
    """PLT-45, PLT-114: tokens, signatures and transaction UIDs come in, and are in no line."""
    worker.ask("logged")
    headers = {"Authorization": "Bearer s3cr3t-token", "Accept": "*/*"}
    signature = "sig=s3cr3t-signature&access_token=s3cr3t-token"
    with httpx.Client() as client:
        for path in ("/v2/studies", "/v2/changefeed", "/v2/workitems", "/v2/workitems/1.2", "/nope", "/health"):
            for method in ("GET", "POST", "PUT"):
                worker.request(method, f"{path}?{signature}&1.2.4711.99", headers=headers, client=client)
    lines = worker.ask("logged")["lines"]
    assert len(lines) >= 18
    assert not any("s3cr3t" in text or "1.2.4711.99" in text for _, _, text in lines)
    assert worker.output.read_text() == ""


def test_nothing_is_left_behind(worker: RuntimeWorker) -> None:
    """PLT-114: thousands of requests later the worker holds no reference to any of them."""
    with httpx.Client() as client:

        def requests(count: int) -> None:
            for number in range(count):
                target = ("/", f"/v2/studies/{number}/nothing", "/v2/no-such-path")[number % 3]
                worker.request("GET", target, client=client)
            worker.ask("logged")

        requests(300)
        before = worker.ask("left_behind")
        requests(2000)
        after = worker.ask("left_behind")
    assert after["references"] == 0
    for kind in ("Request", "AsyncContextReference", "Response", "tasks"):
        assert after[kind] <= before[kind], (kind, before, after)
    assert after["objects"] - before["objects"] < 500, (before, after)


def test_timers_are_invoked(worker: RuntimeWorker) -> None:
    """STO-123"""
    timers = [function for function in worker.functions if function.kind == TIMER]
    now = datetime.now(UTC)
    status = {"Last": now.isoformat(), "Next": (now + timedelta(hours=1)).isoformat(), "LastUpdated": now.isoformat()}
    for past_due in (False, True):
        data = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        for function in timers:
            answer = worker.invoke(function, {"json": json.dumps(data)}).result(60)
            assert answer["succeeded"], answer["error"]
    assert timers


def test_queue_messages_are_invoked(worker: RuntimeWorker) -> None:
    """A message of no known kind must not stop a queue: it is handled, or refused with an exception of the app."""
    now = datetime.now(UTC).isoformat()
    trigger: dict[str, dict[str, object]] = {
        "Id": {"string": "1"},
        "PopReceipt": {"string": "2"},
        "DequeueCount": {"int": 1},
        "InsertionTime": {"json": json.dumps(now)},
        "ExpirationTime": {"json": json.dumps(now)},
        "NextVisibleTime": {"json": json.dumps(now)},
    }
    queues = [function for function in worker.functions if function.kind == QUEUE]
    for function in queues:
        answer = worker.invoke(function, {"string": json.dumps({"kind": "unknown"})}, trigger).result(60)
        assert "TypeError" not in answer["error"], answer["error"]
