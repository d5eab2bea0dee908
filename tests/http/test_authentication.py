"""The modes off, mock and strict by URL: 401 and 403, in their place among the other checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import LocalHost, local_host
from tests.support.stow import Triple, new_triple, send
from tests.support.tokens import AUDIENCE, Authority, authority, bearer, claims, rsa_key, signed, unsigned

pytestmark = pytest.mark.integration

OWNER, READER, NOBODY = "DICOM Data Owner", "DICOM Data Reader", "Nobody"
REALM = f'resource_id="{AUDIENCE}", realm="{AUDIENCE}"'
FORBIDDEN = (403, "Authorization failed.")
WORKITEM = {"Content-Type": "application/dicom+json", "Accept": "*/*"}
DICOM = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}


def role(*roles: str) -> dict[str, str]:
    """Headers of a caller with these roles, as mode `mock` takes them."""
    return bearer(unsigned({"roles": list(roles)}))


@pytest.fixture(scope="module")
def mock(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    log = tmp_path_factory.mktemp("mock") / "host.log"
    with local_host({**store_settings, "DICOM_AUTH_MODE": "mock"}, log=log, under_func=under_func) as host:
        yield host


@pytest.fixture(scope="module")
def issuer() -> Iterator[Authority]:
    with authority() as running:
        yield running


@pytest.fixture(scope="module")
def strict(
    store_settings: dict[str, str], under_func: bool, issuer: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    log = tmp_path_factory.mktemp("strict") / "host.log"
    settings = {
        **store_settings,
        "DICOM_AUTH_MODE": "strict",
        "DICOM_AUTH_AUTHORITY": issuer.url,
        "DICOM_AUTH_ROLE_ASSIGNMENTS": f'{{"a-reader": ["{READER}"]}}',
        "DICOM_AUTH_DEFAULT_ROLE": "none",
    }
    with local_host(settings, log=log, under_func=under_func) as host:
        yield host


@pytest.mark.parametrize("header", [None, "Bearer x", "Basic eDp5", "Bearer", "Bearer None", "nonsense"])
def test_off_asks_for_nothing(base_url: str, header: str | None) -> None:
    """PLT-30: any scheme, any token, none."""
    headers = {} if header is None else {"Authorization": header}
    assert httpx.get(f"{base_url}/v2/changefeed?limit=1", headers=headers).status_code == 200
    assert httpx.post(f"{base_url}/common/oauth2/token").status_code == 404


@pytest.mark.parametrize("header", [None, "Bearer", "Basic eDp5", "nonsense"])
@pytest.mark.parametrize("path", ["/v2/changefeed", "/v2/studies", "/v1/studies/1.2/metadata", "/_emulator/reset"])
def test_without_a_token(mock: LocalHost, path: str, header: str | None) -> None:
    """PLT-02, PLT-13, PLT-35: 401, empty, with the way to a token, without versions."""
    method = "POST" if "reset" in path else "GET"
    response = httpx.request(method, mock.url + path, headers={} if header is None else {"Authorization": header})
    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["www-authenticate"] == f'Bearer authorization_uri="{mock.url}/common", {REALM}'
    assert "api-supported-versions" not in response.headers
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v3/studies", 400),
        ("GET", "/v2/nope", 404),
        ("GET", "/studies", 404),
        ("PATCH", "/v2/studies", 405),
        ("GET", "/v2/studies?a=%3C", 400),
        ("GET", "/v2/studies/not-a-uid", 401),
        ("GET", "/v2/studies?limit=0", 401),
        ("GET", "/v2/partitions", 401),
        ("POST", "/v2/extendedquerytags", 401),
    ],
)
def test_what_comes_before_401(mock: LocalHost, method: str, path: str, status: int) -> None:
    """PLT-38"""
    assert httpx.request(method, mock.url + path).status_code == status


def test_what_is_open_to_everybody(mock: LocalHost) -> None:
    """PLT-20 to PLT-24, PLT-28, PLT-37"""
    for path in ("/", "/health", "/health/check", "/docs", "/docs/swagger-ui.css", "/openapi.json", "/v2/api.yaml"):
        assert httpx.get(mock.url + path).status_code == 200, path
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    assert httpx.options(f"{mock.url}/v2/studies", headers=asked).status_code == 204
    challenged = httpx.get(f"{mock.url}/v2/studies", headers={"Origin": "http://a.example"})
    assert challenged.headers["access-control-allow-origin"] == "*"


def test_any_token_will_do(mock: LocalHost) -> None:
    """PLT-31: whoever signed it, whenever it ended; without roles it has the default role."""
    tokens = ["opaque", unsigned({"exp": 1}), signed(claims("anybody", exp=1, aud="x")), unsigned({"roles": OWNER})]
    for token in tokens:
        assert httpx.get(f"{mock.url}/v2/changefeed?limit=1", headers=bearer(token)).status_code == 200
        assert httpx.delete(f"{mock.url}/v2/studies/1.2.3", headers=bearer(token)).status_code == 404


REQUESTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("read", "GET", "/v2/studies?PatientID=no-such-patient", {"headers": {"Accept": "*/*"}}),
    ("read", "GET", "/v2/series", {}),
    ("read", "GET", "/v2/studies/1.2", {"headers": {"Accept": "*/*"}}),
    ("read", "GET", "/v2/studies/1.2/metadata", {"headers": {"Accept": "*/*"}}),
    ("read", "GET", "/v2/studies/1.2/series/1.3/instances/1.4/frames/1", {"headers": {"Accept": "*/*"}}),
    ("read", "GET", "/v2/studies/1.2/series/1.3/instances/1.4/rendered", {"headers": {"Accept": "image/jpeg"}}),
    ("read", "GET", "/v2/changefeed", {}),
    ("read", "GET", "/v2/changefeed/latest", {}),
    ("read", "GET", "/v2/extendedquerytags", {}),
    ("read", "GET", "/v2/extendedquerytags/PatientAge", {}),
    ("read", "GET", f"/v2/operations/{'0' * 32}", {}),
    ("read", "GET", "/v2/workitems", {"headers": {"Accept": "*/*"}}),
    ("read", "GET", "/v2/workitems/1.2", {"headers": {"Accept": "*/*"}}),
    ("write", "POST", "/v2/studies", {"headers": DICOM, "content": b"no file"}),
    ("write", "PUT", "/v2/studies/1.2", {"headers": DICOM, "content": b"no file"}),
    ("write", "POST", "/v2/studies/not-a-uid", {"headers": DICOM, "content": b"no file"}),
    ("write", "POST", "/v2/workitems?1.2", {"headers": WORKITEM, "content": b"[{}]"}),
    ("write", "POST", "/v2/workitems/not-a-uid", {"headers": WORKITEM, "content": b"[{}]"}),
    ("write", "PUT", "/v2/workitems/1.2", {"headers": WORKITEM, "content": b"[{}]"}),
    ("write", "PUT", "/v2/workitems/1.2/state", {"headers": WORKITEM, "content": b"[{}]"}),
    ("write", "POST", "/v2/workitems/1.2/cancelrequest", {"headers": WORKITEM, "content": b"[{}]"}),
    ("delete", "DELETE", "/v2/studies/1.2.3", {}),
    ("delete", "DELETE", "/v2/studies/not-a-uid", {}),
    ("delete", "DELETE", "/v2/studies/1.2.3/series/1.4/instances/1.5", {}),
    ("manageExtendedQueryTags", "POST", "/v2/extendedquerytags", {"json": []}),
    ("manageExtendedQueryTags", "PATCH", "/v2/extendedquerytags/PatientAge", {"json": {"queryStatus": "enabled"}}),
    ("manageExtendedQueryTags", "DELETE", "/v2/extendedquerytags/not-a-tag", {}),
    ("delete", "POST", "/_emulator/reset", {}),
]


@pytest.mark.parametrize(("action", "method", "path", "told"), REQUESTS)
def test_what_roles_allow(mock: LocalHost, action: str, method: str, path: str, told: dict[str, Any]) -> None:
    """PLT-41, PLT-42, PLT-43: 403 comes before any look at the data and before checks of meaning."""
    url, headers = mock.url + path, told.get("headers", {})

    def ask(*roles: str) -> tuple[int, str]:
        answer = httpx.request(method, url, **{**told, "headers": {**headers, **role(*roles)}})
        return answer.status_code, answer.text

    assert ask() == FORBIDDEN
    assert ask(NOBODY) == FORBIDDEN
    if action == "read":
        assert ask(READER)[0] not in (401, 403)
    else:
        assert ask(READER) == FORBIDDEN
    if path != "/_emulator/reset":
        assert ask(NOBODY, OWNER)[0] not in (401, 403)


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("GET", "/v2/studies?limit=0", {"headers": {"Accept": "*/*"}}, 400),
        ("GET", "/v2/studies", {"headers": {"Accept": "text/html"}}, 406),
        ("GET", "/v2/studies/1.2/metadata", {"headers": {"Accept": "text/html"}}, 406),
        ("GET", "/v2/studies/1.2/series/1.3/instances/1.4/frames/x", {"headers": {"Accept": "*/*"}}, 400),
        ("GET", "/v2/changefeed?limit=x", {}, 400),
        ("POST", "/v2/studies", {"headers": {"Content-Type": "text/html", "Accept": "*/*"}, "content": b"x"}, 415),
        ("POST", "/v2/studies", {"headers": {**DICOM, "Accept": "text/html"}, "content": b"x"}, 406),
        ("POST", "/v2/extendedquerytags", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/v2/extendedquerytags", {"content": b"[]", "headers": {"Content-Type": "text/html"}}, 415),
        ("GET", "/v2/partitions", {}, 400),
        ("POST", "/v2/workitems?1.2", {"headers": WORKITEM, "content": b"{"}, 400),
        ("POST", "/v2/workitems?1.2", {"headers": {**WORKITEM, "Accept": "text/html"}, "content": b"[{}]"}, 406),
        ("PUT", "/v2/workitems/1.2/state", {"headers": WORKITEM, "content": b"{"}, 400),
        ("PUT", "/v2/workitems/1.2", {"headers": WORKITEM, "content": b"{"}, 400),
        ("POST", "/v2/workitems/1.2/cancelrequest", {"headers": {"Content-Type": "text/html"}, "content": b"{}"}, 415),
    ],
)
def test_what_comes_before_403(mock: LocalHost, method: str, path: str, told: dict[str, Any], status: int) -> None:
    """PLT-43: what cannot be bound keeps its own status."""
    headers = {**told.get("headers", {}), **role(NOBODY)}
    answer = httpx.request(method, mock.url + path, **{**told, "headers": headers})
    assert answer.status_code == status


def test_a_reader_changes_nothing(mock: LocalHost) -> None:
    """PLT-43"""
    triple = new_triple()
    assert _store(mock, triple, role(READER)) == FORBIDDEN
    assert _metadata(mock, triple, role(READER)) == 404
    assert _store(mock, triple, role(OWNER))[0] == 200
    assert _metadata(mock, triple, role(READER)) == 200
    refused = httpx.delete(f"{mock.url}/v2/studies/{triple.study}", headers=role(READER))
    assert (refused.status_code, refused.text) == FORBIDDEN
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    assert _metadata(mock, triple, role(READER)) == 200
    assert httpx.delete(f"{mock.url}/v2/studies/{triple.study}", headers=role(OWNER)).status_code == 204


def _store(host: LocalHost, triple: Triple, headers: dict[str, str]) -> tuple[int, str]:
    answer = send("POST", f"{host.url}/v2/studies", triple.file(), {**DICOM, **headers})
    return answer.status, answer.text


def _metadata(host: LocalHost, triple: Triple, headers: dict[str, str]) -> int:
    url = f"{host.url}/v2/studies/{triple.study}/metadata"
    return httpx.get(url, headers={"Accept": "*/*", **headers}).status_code


def test_genuine_tokens(strict: LocalHost, issuer: Authority) -> None:
    """PLT-32 to PLT-34, PLT-44: those that hold are served, by the roles that they claim or have been given."""
    url = f"{strict.url}/v2/changefeed?limit=1"
    assert httpx.get(url, headers=bearer(issuer.token(roles=[READER]))).status_code == 200
    assert httpx.get(url, headers=bearer(issuer.token(oid="a-reader"))).status_code == 200
    assert httpx.get(url, headers=bearer(issuer.token(aud=f"{AUDIENCE}/", oid="a-reader"))).status_code == 200
    unassigned = httpx.get(url, headers=bearer(issuer.token()))
    assert (unassigned.status_code, unassigned.text) == FORBIDDEN
    assert "api-supported-versions" in unassigned.headers


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"aud": "x"}, "The audience 'x' is invalid"),
        ({"iss": "x"}, "The issuer 'x' is invalid"),
        ({"exp": 1683522090}, "The token expired at '05/08/2023 05:01:30'"),
    ],
)
def test_tokens_that_do_not_hold(strict: LocalHost, issuer: Authority, changes: dict[str, object], fault: str) -> None:
    """PLT-35, PLT-36"""
    response = httpx.get(f"{strict.url}/v2/studies", headers=bearer(issuer.token(**changes)))
    assert (response.status_code, response.content) == (401, b"")
    start = f'Bearer authorization_uri="{issuer.url}", {REALM}'
    expected = f'{start}, error="invalid_token", error_description="{fault}"'
    assert response.headers["www-authenticate"] == expected
    assert httpx.get(f"{strict.url}/v2/studies").headers["www-authenticate"] == start


def test_signatures(strict: LocalHost, issuer: Authority) -> None:
    """PLT-32, PLT-36: never unsigned, never by another's key."""
    told = claims(issuer.issuer)
    for token, fault in (
        (unsigned(told), "The signature is invalid"),
        (signed(told, key=rsa_key("forged")), "The signature is invalid"),
        (signed(told, identifier="unknown"), "The signature key was not found"),
        ("opaque", "The token is malformed"),
    ):
        response = httpx.get(f"{strict.url}/v2/studies", headers=bearer(token))
        assert response.status_code == 401
        assert f'error_description="{fault}"' in response.headers["www-authenticate"]
    assert issuer.requests.count("/keys") <= 2, "asked once, and once for the unknown key"


def test_local_tokens_are_for_mock_alone(strict: LocalHost) -> None:
    """PLT-40"""
    for path in ("/common/oauth2/v2.0/token", "/common/oauth2/token"):
        assert httpx.post(strict.url + path).status_code == 404
    assert httpx.get(f"{strict.url}/msi/token?resource=x").status_code == 404


def test_authority_that_is_away(store_settings: dict[str, str], under_func: bool, tmp_path: Path) -> None:
    """PLT-33: 503 and not 401, and service once it is there."""
    with authority() as gone:
        pass
    settings = {**store_settings, "DICOM_AUTH_MODE": "strict", "DICOM_AUTH_AUTHORITY": gone.url}
    with local_host(settings, log=tmp_path / "host.log", under_func=under_func) as host:
        response = httpx.get(f"{host.url}/v2/studies", headers=bearer(signed(claims(gone.issuer))))
        assert response.status_code == 503
        assert "authority" in response.text
        assert int(response.headers["retry-after"]) > 0
        assert httpx.get(f"{host.url}/v2/studies").status_code == 401
        assert httpx.get(f"{host.url}/health").status_code == 200


def test_token_endpoints(mock: LocalHost) -> None:
    """PLT-40: in the shapes of Entra ID, v1 and v2, and of a managed identity."""
    form = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s", "scope": f"{AUDIENCE}/.default"}
    for path in ("/common/oauth2/v2.0/token", "/a-tenant/oauth2/token"):
        answer = httpx.post(mock.url + path, data=form)
        assert answer.status_code == 200
        told = answer.json()
        assert set(told) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
        assert (told["token_type"], told["expires_in"], told["ext_expires_in"]) == ("Bearer", 3599, 3599)
        changes = httpx.get(f"{mock.url}/v2/changefeed?limit=1", headers=bearer(told["access_token"]))
        assert changes.status_code == 200
    identity = httpx.get(f"{mock.url}/msi/token?resource={AUDIENCE}&api-version=2019-08-01").json()
    assert (identity["resource"], identity["token_type"]) == (AUDIENCE, "Bearer")
    assert identity["expires_on"].isdigit()
    assert httpx.get(f"{mock.url}/msi/token").status_code == 400
    refused = httpx.post(f"{mock.url}/common/oauth2/token", data={"grant_type": "password"})
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")
    assert httpx.post(f"{mock.url}/common/oauth2/token", content=b"x" * 100_000).status_code == 413
    assert httpx.get(f"{mock.url}/common/oauth2/token").status_code == 405
    told = httpx.get(f"{mock.url}/common/v2.0/.well-known/openid-configuration").json()
    assert told["token_endpoint"] == f"{mock.url}/common/oauth2/v2.0/token"
    assert httpx.get(told["jwks_uri"]).json() == {"keys": []}
