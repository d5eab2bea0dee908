"""Every route of the tables with everything about it wrong, one at a time, held to one table."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from shared.routes import documents, groups
from shared.routes.call import Route
from tests.support.processes import LocalHost, local_host

pytestmark = pytest.mark.integration

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PLACES = {
    "study": "1.2.3",
    "series": "1.2.4",
    "instance": "1.2.5",
    "frames": "1",
    "frame": "1",
    "workitem": "1.2.6",
    "operation": "0" * 32,
    "tag": "PatientAge",
    "partition": "Microsoft.Default",
    "tenant": "common",
    "aet": "SCP",
    "file": "swagger-ui.css",
    "api_version": "v2",
}
BAD_UIDS = ("1..x", "1.2.", "a" * 65, "1 2")

DICOM_JSON = "application/dicom+json"
UID_TEXT = (
    "Dicom element '{}' failed validation for VR 'UI': DICOM Identifier is invalid. Value length should not exceed "
    "the maximum length of 64 characters. Value should contain characters in '0'-'9' and '.'. Each component must "
    "start with non-zero number."
)
UID_NAMES = {"study": "StudyInstanceUid", "series": "SeriesInstanceUid", "instance": "SopInstanceUid"}

NOT_ACCEPTABLE = {
    "store": (406, ""),
    "query": (406, ""),
    "retrieve": (406, "The request headers are not acceptable"),
    "retrieve-metadata": (406, ""),
    "retrieve-rendered": (406, "The request headers are not acceptable"),
    "add-workitem": (406, ""),
    "retrieve-workitem": (406, ""),
    "query-workitem": (406, ""),
}
"""By audit name: what an Accept header gets that names nothing servable. Other actions do not look at it."""

NEEDS = {
    "store": {"Content-Type": "application/dicom", "Accept": DICOM_JSON},
    "add-workitem": {"Content-Type": DICOM_JSON, "Accept": DICOM_JSON},
    "update-workitem": {"Content-Type": DICOM_JSON},
    "change-state-workitem": {"Content-Type": DICOM_JSON},
    "cancel-workitem": {"Content-Type": DICOM_JSON},
    "update-study": {"Content-Type": "application/json"},
    "add-extended-query-tag": {"Content-Type": "application/json"},
    "update-extended-query-tag": {"Content-Type": "application/json"},
}
"""Actions with a body, and what their requests have to say; each answers 415 to another Content-Type."""

UNSUPPORTED = (415, "")


@pytest.fixture(scope="module")
def host(new_store: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store of its own: requests of this walk may delete and reset."""
    log = tmp_path_factory.mktemp("walk") / "host.log"
    with local_host(new_store(), log=log) as running:
        yield check_output(running)


def check_output(running: LocalHost) -> str:
    assert "Traceback" not in running.output()
    return running.url


def routes() -> list[tuple[bool, Route]]:
    """All routes, and whether they stand below a version."""
    return [(group.versioned, route) for group in (*groups.GROUPS, documents.GROUP) for route in group.routes]


def target(versioned: bool, route: Route, **places: str) -> str:
    path = re.sub(r"\{(\w+)\}", lambda match: {**PLACES, **places}[match[1]], route.path)
    return f"/v2{path}" if versioned else path


def name(case: tuple[bool, Route]) -> str:
    return f"{case[1].method} {case[1].path}"


def cases(*chosen: tuple[bool, Route]) -> list[Any]:
    return [pytest.param(*case, id=name(case)) for case in chosen]


ALL = cases(*routes())
BELOW_A_VERSION = cases(*(case for case in routes() if case[0]))
TWINS = cases(*(case for case in routes() if "/partitions/" in case[1].path))
API = cases(*(case for case in routes() if case[1].audit and "/partitions" not in case[1].path))


def ask(host: str, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    request = httpx.Request(method, host + path, headers=headers)
    if not any(header.lower() == "accept" for header in headers or {}):
        request.headers.pop("accept", None)
    with httpx.Client(timeout=60) as client:
        client.headers.clear()
        response = client.send(request)
    assert response.status_code < 500 or response.status_code == 501, (method, path, response.text)
    assert response.headers["x-content-type-options"] == "nosniff"
    if response.status_code >= 400 and not response.content:
        assert "content-type" not in response.headers
    elif response.status_code >= 400 and response.headers["content-type"] != DICOM_JSON:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
    return response


@pytest.mark.parametrize(("versioned", "route"), ALL)
def test_methods(host: str, versioned: bool, route: Route) -> None:
    """PLT-06, PLT-13: 405, empty, with exactly the methods of the path."""
    path = target(versioned, route)
    allowed = {other.method for below, other in routes() if (below, other.path) == (versioned, route.path)}
    for method in METHODS:
        if method in allowed:
            continue
        response = ask(host, method, path)
        assert (response.status_code, response.content) == (405, b""), method
        assert set(response.headers["allow"].split(", ")) == allowed
        assert ("api-supported-versions" in response.headers) == versioned


@pytest.mark.parametrize(("versioned", "route"), BELOW_A_VERSION)
def test_versions(host: str, versioned: bool, route: Route) -> None:
    """PLT-01 to PLT-04: unknown versions are 400 in JSON, what is none 404."""
    path = target(versioned, route)
    response = ask_json(host, route.method, path.replace("/v2/", "/v7/", 1))
    assert response.status_code == 400
    assert response.headers["api-supported-versions"] == "1.0-prerelease, 1, 2"
    assert response.json()["error"]["code"] == "UnsupportedApiVersion"
    for other in (path.replace("/v2/", "/vx/", 1), path.replace("/v2/", "/", 1)):
        missing = ask(host, route.method, other)
        assert (missing.status_code, missing.content) in ((404, b""), (405, b"")), other


def ask_json(host: str, method: str, path: str) -> httpx.Response:
    return httpx.request(method, host + path)


@pytest.mark.parametrize(("versioned", "route"), ALL)
def test_angle_brackets(host: str, versioned: bool, route: Route) -> None:
    """PLT-08: before everything else."""
    response = ask(host, route.method, target(versioned, route) + "?PatientName=a%3Cb")
    assert (response.status_code, response.text) == (400, "The query string included invalid characters.")


@pytest.mark.parametrize(("versioned", "route"), API)
def test_uids(host: str, versioned: bool, route: Route) -> None:
    """PLT-15, PLT-17: 400 that names the element, for each UID of the path."""
    headers = {"Accept": "image/png" if route.audit == "retrieve-rendered" else "*/*", **NEEDS.get(route.audit, {})}
    for level, element in UID_NAMES.items():
        if f"{{{level}}}" not in route.path:
            continue
        for bad in BAD_UIDS:
            response = ask(host, route.method, target(versioned, route, **{level: bad.replace(" ", "%20")}), headers)
            assert (response.status_code, response.text) == (400, UID_TEXT.format(element)), bad


@pytest.mark.parametrize(("versioned", "route"), API)
def test_accept(host: str, versioned: bool, route: Route) -> None:
    """PLT-13, PLT-15: 406 from those who negotiate."""
    headers = {**NEEDS.get(route.audit, {}), "Accept": "application/x-unknown"}
    response = ask(host, route.method, target(versioned, route), headers)
    if route.audit in NOT_ACCEPTABLE:
        assert (response.status_code, response.text) == NOT_ACCEPTABLE[route.audit]
    else:
        assert response.status_code != 406


@pytest.mark.parametrize(("versioned", "route"), API)
def test_content_types(host: str, versioned: bool, route: Route) -> None:
    """PLT-13, PLT-15: 415, empty, from those who read a body."""
    headers = {**NEEDS.get(route.audit, {}), "Content-Type": "text/html"}
    if route.audit not in NEEDS:
        headers["Accept"] = "*/*"
    with httpx.Client(timeout=60) as client:
        response = client.request(route.method, host + target(versioned, route), headers=headers, content=b"[{}]")
    if route.audit in NEEDS:
        assert (response.status_code, response.text) == UNSUPPORTED
    else:
        assert response.status_code != 415


@pytest.mark.parametrize(("versioned", "route"), TWINS)
def test_partitions_while_they_are_off(host: str, versioned: bool, route: Route) -> None:
    """PLT-48: said first, whatever else is wrong."""
    for places in ({}, {"partition": "%20", "study": "bad"}):
        response = ask(host, route.method, target(versioned, route, **places), {"Accept": "text/html"})
        assert (response.status_code, response.text) == (400, "Data partitions feature is disabled.")


@pytest.mark.one_store("no app is asked")
def test_the_tables_know_every_action() -> None:
    """An action that is new has to find its place in the tables above."""
    audits = {route.audit for _, route in routes() if route.audit}
    assert set(NOT_ACCEPTABLE) | set(NEEDS) <= audits
