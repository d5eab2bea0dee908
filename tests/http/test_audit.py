"""The audit log as lines of JSON among the output of the server."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.processes import LocalHost, local_host
from tests.support.stow import new_triple, store
from tests.support.tokens import bearer, unsigned

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}
PREFIX = "X-MS-AZUREDICOM-AUDIT-"


@pytest.fixture(scope="module")
def host(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    log = tmp_path_factory.mktemp("audit") / "host.log"
    with local_host({**store_settings, "DICOM_AUTH_MODE": "mock"}, log=log, under_func=under_func) as running:
        yield running


def audited(host: LocalHost, response: httpx.Response) -> list[dict[str, Any]]:
    """The audit lines of a request."""
    lines = host.lines_of(response.headers["x-correlation-id"])
    return [json.loads(line[line.index("{") :]) for line in lines if "AuditLogs" in line]


def ask(host: LocalHost, method: str, path: str, token: str = "opaque", **told: Any) -> httpx.Response:
    headers = {**told.pop("headers", {}), **bearer(token)}
    return httpx.request(method, host.url + path, headers=headers, **told)


def test_two_lines_an_action(host: LocalHost) -> None:
    """PLT-45: when it begins and when it ends, with all that is asked for."""
    token = unsigned({"iss": "https://issuer.example", "oid": "an-object", "name": "Somebody"})
    path = "/v2/studies?PatientID=no-such-patient&limit=3"
    response = ask(host, "GET", path, token, headers={"Accept": "*/*", f"{PREFIX}Department": "radiology"})
    started, ended = audited(host, response)
    assert started.pop("time") <= ended.pop("time")
    assert (started.pop("resultType"), ended.pop("resultType")) == ("Started", "Ended")
    assert ended.pop("statusCode") == 204
    assert (
        started
        == ended
        == {
            "category": "AuditLogs",
            "operationName": "query",
            "uri": host.url + path,
            "callerIpAddress": "127.0.0.1",
            "correlationId": response.headers["x-correlation-id"],
            "identity": {"claims": {"iss": "https://issuer.example", "oid": "an-object"}},
            "customHeaders": {f"{PREFIX}Department".lower(): "radiology"},
        }
    )


INSTANCE = "/v2/studies/1.2/series/1.3/instances/1.4"
WORKITEM_JSON = {"Content-Type": "application/dicom+json"}


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("store", "POST", "/v2/studies"),
        ("store", "PUT", "/v2/studies/1.2"),
        ("retrieve", "GET", "/v2/studies/1.2"),
        ("retrieve", "GET", f"{INSTANCE}/frames/1"),
        ("retrieve-metadata", "GET", f"{INSTANCE}/metadata"),
        ("retrieve-rendered", "GET", f"{INSTANCE}/rendered"),
        ("query", "GET", "/v1/series"),
        ("delete", "DELETE", "/v2/studies/1.2.3"),
        ("update-study", "POST", "/v2/studies/$bulkUpdate"),
        ("change-feed", "GET", "/v2/changefeed"),
        ("partition", "GET", "/v2/partitions"),
        ("query", "GET", "/v2/partitions/x/studies"),
        ("operation", "GET", "/v2/operations/x"),
        ("add-workitem", "POST", "/v2/workitems"),
        ("query-workitem", "GET", "/v2/workitems"),
        ("retrieve-workitem", "GET", "/v2/workitems/1.2"),
        ("update-workitem", "POST", "/v2/workitems/1.2"),
        ("update-workitem", "PUT", "/v2/workitems/1.2"),
        ("change-state-workitem", "PUT", "/v2/workitems/1.2/state"),
        ("cancel-workitem", "POST", "/v2/workitems/1.2/cancelrequest"),
        ("add-extended-query-tag", "POST", "/v2/extendedquerytags"),
        ("get-all-extended-query-tag", "GET", "/v2/extendedquerytags"),
        ("get-extended-query-tag", "GET", "/v2/extendedquerytags/PatientAge"),
        ("update-extended-query-tag", "PATCH", "/v2/extendedquerytags/PatientAge"),
        ("remove-extended-query-tag", "DELETE", "/v2/extendedquerytags/PatientAge"),
        ("get-extended-query-tag-errors", "GET", "/v2/extendedquerytags/PatientAge/errors"),
    ],
)
def test_names_of_actions(host: LocalHost, operation: str, method: str, path: str) -> None:
    """PLT-46: also of requests that are refused."""
    response = ask(host, method, path)
    lines = audited(host, response)
    assert [line["operationName"] for line in lines] == [operation] * 2
    assert lines[-1]["statusCode"] == response.status_code


def test_jobs(host: LocalHost) -> None:
    """PLT-46: a bulk update begins and ends, under its id"""
    body = {"studyInstanceUids": ["1.2.3.99"], "changeDataset": {}}
    path = "/v2/operations/" + ask(host, "POST", "/v2/studies/$bulkUpdate", json=body).json()["id"]
    end = time.monotonic() + 30
    lines: list[str] = []
    while len(lines) < 2:
        assert time.monotonic() < end
        ask(host, "GET", path)
        lines = [line for line in host.output().splitlines() if '"operationName":"update-study-operation"' in line]
    started, ended = (json.loads(line[line.index("{") :]) for line in lines)
    assert (started["resultType"], ended["resultType"], ended["statusCode"]) == ("Started", "Ended", 200)
    assert started["uri"] == ended["uri"] == path.removeprefix("/v2")


def test_refused_callers(host: LocalHost) -> None:
    """PLT-45: 403 begins and ends; what is asked without a token ends without having begun."""
    forbidden = ask(host, "DELETE", "/v2/studies/1.2", unsigned({"roles": []}))
    assert [line.get("statusCode") for line in audited(host, forbidden)] == [None, 403]
    unknown = httpx.get(f"{host.url}/v2/changefeed")
    (ended,) = audited(host, unknown)
    assert (ended["resultType"], ended["statusCode"]) == ("Ended", 401)
    assert ended["identity"] == {"claims": {}}


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/v2/nope", "/v3/studies", "/"])
def test_what_is_no_action(host: LocalHost, path: str) -> None:
    """PLT-45"""
    assert audited(host, httpx.get(host.url + path)) == []


@pytest.mark.parametrize("path", ["/v2/changefeed", "/v2/partitions", "/v2/studies/not-a-uid/metadata"])
def test_headers_of_the_caller(host: LocalHost, path: str) -> None:
    """PLT-47: ten of 2048 characters are fine; in any letter case."""
    headers = {f"x-ms-AzureDicom-Audit-{number}": "v" * 2048 for number in range(10)}
    response = ask(host, "GET", path, headers=headers)
    assert "custom audit header" not in response.text
    assert audited(host, response)[1]["customHeaders"] == {name.lower(): value for name, value in headers.items()}


def test_too_many_and_too_long(host: LocalHost) -> None:
    """PLT-47: 400 before partition, body and 403."""
    many = {f"{PREFIX}{number}": "v" for number in range(11)}
    long = {f"{PREFIX}Long": "v" * 2049}
    for method, path in (("GET", "/v2/partitions/x/studies"), ("POST", "/v2/extendedquerytags")):
        response = ask(host, method, path, unsigned({"roles": []}), headers=many)
        assert (response.status_code, response.text) == (
            400,
            "The maximum number of custom audit headers allowed is 10. "
            "The number of custom audit headers supplied is 11.",
        )
        response = ask(host, method, path, headers=long)
        assert response.status_code == 400
        assert response.text.startswith("The maximum length of a custom audit header value is 2048. The supplied ")
        assert response.text.endswith("has length of 2049.")
        assert [line["statusCode"] for line in audited(host, response)] == [400]
    assert httpx.get(f"{host.url}/v2/changefeed", headers=many).status_code == 401
    assert httpx.get(f"{host.url}/v2/nope", headers=many).status_code == 404


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v2/workitems?1.2.3.4", "/v2/workitems?"),
        ("/v2/workitems?PatientID=s3cr3t&limit=5", "/v2/workitems?PatientID=&limit="),
        ("/v2/partitions/x/workitems?PatientID=s3cr3t", "/v2/partitions/x/workitems?PatientID="),
        ("/v2/studies?TransactionUID=1.2.3.4", "/v2/studies?TransactionUID="),
        ("/v2/studies?1.2.3.4&sig=s3cr3t", "/v2/studies?sig="),
        ("/v2/studies?access_token=s3cr3t&limit=5", "/v2/studies?access_token=&limit=5"),
        ("/v2/studies?00100020=A%26B", "/v2/studies?00100020=A%26B"),
        ("/v2/changefeed?startTime=2024-01-01T00:00:00Z", "/v2/changefeed?startTime=2024-01-01T00:00:00Z"),
    ],
)
def test_what_of_the_query_is_logged(host: LocalHost, path: str, logged: str) -> None:
    """PLT-45: no value on worklist paths, none that the API does not know."""
    lines = audited(host, ask(host, "GET", path))
    assert [line["uri"] for line in lines] == [host.url + logged] * 2


def test_caller_behind_a_proxy(host: LocalHost) -> None:
    """PLT-45: as the proxy names it."""
    response = ask(host, "GET", "/v2/changefeed?limit=1", headers={"X-Forwarded-For": "192.0.2.7:1234, 10.0.0.1"})
    assert {line["callerIpAddress"] for line in audited(host, response)} == {"192.0.2.7:1234"}


def test_no_dicom_content(host: LocalHost) -> None:
    """PLT-45: of a stored file nothing but the URL."""
    triple = new_triple()
    headers = {"Authorization": "Bearer s3cr3t-token"}
    assert store(host.url, triple.file(PatientName="Verhuelsdonk^Probe"), **headers).status == 200
    assert ask(host, "GET", f"/v2/studies/{triple.study}/metadata", headers={"Accept": "*/*"}).status_code == 200
    output = host.output_to_here()
    assert "Verhuelsdonk" not in output
    assert "s3cr3t-token" not in output


def test_switched_off(store_settings: dict[str, str], under_func: bool, tmp_path_factory: Any) -> None:
    """PLT-45: by a setting; headers are checked all the same."""
    log = tmp_path_factory.mktemp("quiet") / "host.log"
    with local_host({**store_settings, "DICOM_AUDIT_LOG": "False"}, log=log, under_func=under_func) as quiet:
        assert httpx.get(f"{quiet.url}/v2/changefeed?limit=1").status_code == 200
        assert httpx.get(f"{quiet.url}/v2/changefeed", headers={f"{PREFIX}a": "v" * 2049}).status_code == 400
        assert "AuditLogs" not in quiet.output_to_here()
