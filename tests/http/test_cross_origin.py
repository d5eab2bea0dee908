"""CORS as it is configured; what holds by default is in test_routing.py."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.processes import LocalHost, local_host

pytestmark = pytest.mark.integration

ALLOWED, OTHER = "https://viewer.example", "https://other.example"


@pytest.fixture(scope="module")
def configured(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    settings = {
        **store_settings,
        "DICOM_CORS_ORIGINS": f"{ALLOWED}/, http://localhost:3000",
        "DICOM_CORS_HEADERS": "Accept, Authorization",
        "DICOM_CORS_METHODS": "GET,POST",
        "DICOM_CORS_MAX_AGE": "600",
        "DICOM_CORS_CREDENTIALS": "TRUE",
    }
    log = tmp_path_factory.mktemp("cors") / "host.log"
    with local_host(settings, log=log, under_func=under_func) as host:
        yield host.url


def access_control(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/v2/changefeed?limit=1", "/v2/nope", "/v2/studies?limit=0", "/health"])
@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_allowed_origins(configured: str, path: str, origin: str) -> None:
    """PLT-26, PLT-27: the origin itself, on errors too."""
    response = httpx.get(configured + path, headers={"Origin": origin})
    told = access_control(response)
    exposed = told.pop("access-control-expose-headers").lower()
    assert told == {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
    assert {"location", "etag", "warning", "content-location", "api-supported-versions"} <= set(exposed.split(", "))
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.parametrize("origin", [OTHER, "null", f"{ALLOWED}.evil", "http://viewer.example", ""])
def test_other_origins(configured: str, origin: str) -> None:
    """PLT-27: served, without a word about it."""
    response = httpx.get(f"{configured}/v2/changefeed?limit=1", headers={"Origin": origin})
    assert response.status_code == 200
    assert access_control(response) == {}
    assert "origin" in response.headers["vary"].lower()


def test_preflight(configured: str) -> None:
    """PLT-28: the lists as they are configured."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-other"}
    response = httpx.options(f"{configured}/v2/studies", headers={"Origin": ALLOWED, **asked})
    assert (response.status_code, response.content) == (204, b"")
    told = access_control(response)
    assert told["access-control-allow-methods"] == "GET, POST"
    assert told["access-control-allow-headers"] == "Accept, Authorization"
    assert told["access-control-max-age"] == "600"
    assert told["access-control-allow-origin"] == ALLOWED
    refused = httpx.options(f"{configured}/v2/studies", headers={"Origin": OTHER, **asked})
    assert (refused.status_code, access_control(refused)) == (204, {})


def test_nobody(start_host: Callable[..., LocalHost]) -> None:
    """PLT-26: as the service is before it is configured."""
    url = start_host({"DICOM_CORS_ORIGINS": ""}).url
    response = httpx.get(f"{url}/v2/changefeed?limit=1", headers={"Origin": ALLOWED})
    assert (response.status_code, access_control(response)) == (200, {})
