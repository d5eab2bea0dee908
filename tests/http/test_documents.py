"""The API documents: valid, complete, the same in all forms, and shown without the internet."""

import re
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import validate
from starlette.responses import Response

from shared.app import app
from shared.devhost.functions import HTTP, described, in_host_order
from shared.devhost.routing import path_segments, route_table
from shared.routes import catch_all, documents, groups
from shared.routes.call import Route
from shared.routes.descriptions import DESCRIPTIONS
from tests.support.processes import LocalHost
from tests.support.tokens import bearer

pytestmark = pytest.mark.integration

VERSIONS = ("v2", "v1", "v1.0-prerelease")
PLACES = {"study": "1.2", "series": "1.3", "instance": "1.4", "frames": "1", "frame": "1"}


def read(base_url: str, version: str) -> Any:
    response = httpx.get(f"{base_url}/{version}/api.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    return response.json()


def operations(document: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """By method and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_valid(base_url: str, version: str) -> None:
    """PLT-24: OpenAPI 3, by the validator of others; every operation has a name of its own."""
    document = read(base_url, version)
    validate(document)
    assert document["openapi"].startswith("3.")
    assert document["info"]["version"] == version.removeprefix("v")
    assert document["servers"] == [{"url": base_url}]
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("version", VERSIONS)
def test_yaml_says_the_same(base_url: str, version: str) -> None:
    """PLT-24"""
    response = httpx.get(f"{base_url}/{version}/api.yaml")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(response.text) == read(base_url, version)


def test_the_current_version(base_url: str) -> None:
    """PLT-23, PLT-24: the document without a version; other versions have none."""
    response = httpx.get(f"{base_url}/openapi.json")
    assert response.json() == read(base_url, "v2")
    assert read(base_url, "V2.0") == read(base_url, "v2")
    for path in ("/v3/api.json", "/v3/api.yaml", "/vabc/api.yaml", "/api.json"):
        unknown = httpx.get(base_url + path)
        assert (unknown.status_code, unknown.content) == (404, b"")


def test_behind_a_proxy(base_url: str) -> None:
    """PLT-10"""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "dicom.example"}
    document = httpx.get(f"{base_url}/openapi.json", headers=forwarded).json()
    assert document["servers"] == [{"url": "https://dicom.example"}]


AT_LEAST = (
    "/studies",
    "/studies/{study}",
    "/studies/$bulkUpdate",
    "/studies/{study}/metadata",
    "/studies/{study}/series/{series}",
    "/studies/{study}/series/{series}/metadata",
    "/studies/{study}/series/{series}/instances/{instance}",
    "/studies/{study}/series/{series}/instances/{instance}/metadata",
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
    "/studies/{study}/series/{series}/instances/{instance}/rendered",
    "/series",
    "/instances",
    "/changefeed",
    "/changefeed/latest",
    "/extendedquerytags",
    "/operations/{operation}",
    "/workitems",
    "/partitions",
    "/partitions/{partition}/studies/{study}",
)


def test_every_path_is_listed(base_url: str) -> None:
    """PLT-25: what must be there, and all that the route tables have."""
    listed = operations(read(base_url, "v2"))
    assert {f"/v2{path}" for path in AT_LEAST} <= {path for _, path in listed}
    expected = set()
    for group in (*groups.GROUPS, documents.GROUP):
        for route in group.routes:
            path = f"/v2{route.path}" if group.versioned else route.path.replace(documents.VERSION, "/v2")
            expected.add((route.method, path))
    assert set(listed) == expected


def test_every_path_leads_to_a_function(base_url: str) -> None:
    """PLT-25, PLT-113: to one that is registered, whose table has the method."""
    functions = [described(builder._function) for builder in app._function_builders]
    table = route_table(in_host_order([one for one in functions if one.kind == HTTP]), "")
    tables = {module.GROUP.name: module.GROUP for module in groups.MODULES} | {"zz_catch_all": catch_all.EVERYTHING}
    registered = {function.name for function in functions if function.kind == HTTP}
    assert registered == set(tables)
    for method, path in operations(read(base_url, "v2")):
        concrete = re.sub(r"\{(\w+)\}", lambda match: PLACES.get(match[1], "x"), path)
        segments = path_segments(concrete.encode())
        found = table.find(method, segments)
        assert found is not None
        pattern = tables[found[0].name].find(segments)
        assert pattern is not None, path
        assert method in pattern[0].routes


@pytest.mark.one_store("no app is asked")
def test_no_description_without_a_route() -> None:
    """A description that fits no route is a mistake, or out of date."""
    from shared.routes import token_endpoints

    routes = [route for group in (*groups.GROUPS, documents.GROUP) for route in group.routes]
    routes += token_endpoints.ROUTES
    known = {f"{route.method} {route.path.removeprefix(documents.PARTITION)}" for route in routes}
    assert set(DESCRIPTIONS) - known == set()


@pytest.mark.one_store("no app is asked")
def test_a_route_that_nobody_has_described() -> None:
    """PLT-25: it is there all the same, in the words of its handler."""

    async def handler(call: Any) -> Response:
        """Does what it should (PLT-99)."""
        return Response()

    description = documents._description(Route("GET", "/new", handler, "query"))
    assert description.summary == "Does what it should"
    assert {"default", "401", "403"} <= set(description.answers)


def test_tokens_are_asked_for(start_host: Any, base_url: str) -> None:
    """PLT-25, PLT-37: the document says where; it needs none itself."""
    host: LocalHost = start_host({"DICOM_AUTH_MODE": "mock"})
    document = httpx.get(f"{host.url}/openapi.json").json()
    validate(document)
    asking = operations(document)
    assert asking["GET", "/v2/studies"]["security"] == [{"bearer": []}]
    assert "security" not in asking["GET", "/health"]
    assert ("POST", "/{tenant}/oauth2/v2.0/token") in asking
    plain = operations(read(base_url, "v2"))
    assert not any("security" in operation for operation in plain.values())
    assert httpx.get(f"{host.url}/v2/changefeed?limit=1", headers=bearer("x")).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/Docs"])
def test_the_page(base_url: str, path: str) -> None:
    """PLT-09, PLT-22: everything that it loads comes from here, and is there."""
    page = httpx.get(base_url + path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == "frame-src 'self';"
    assert "://" not in page.text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text) + re.findall(r'url: "([^"]+)"', page.text)
    types = []
    for reference in loaded:
        response = httpx.get(str(httpx.URL(base_url + path).join(reference)))
        assert response.status_code == 200, reference
        types.append(response.headers["content-type"].partition(";")[0])
    assert sorted(types) == ["application/json", "image/png", "text/css", "text/javascript"]


def test_no_other_files(base_url: str) -> None:
    """PLT-22: nothing else of the package, and nothing beside it."""
    for name in ("swagger-ui.js", "LICENSE", "..%2f..%2fsettings.py", "%2e%2e%2fflask_swagger_ui.py", "x"):
        assert httpx.get(f"{base_url}/docs/{name}").status_code == 404
