"""Credentials of the Azure SDK, unmodified, get their tokens from the emulator and call the API with them, over HTTPS:
the recipe of docs/authentication.md, with `start --https`."""

import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ClientSecretCredential, EnvironmentCredential, ManagedIdentityCredential

from shared.azurite import ROOT, free_ports
from shared.certificate import certificate_files, wanted_names
from shared.cli import CERTIFICATE
from tests.support.processes import clean_environment

pytestmark = [pytest.mark.integration, pytest.mark.one_store("tokens are judged before a store is asked")]

AUDIENCE = "https://dicom.healthcareapis.azure.com"
SCOPE = f"{AUDIENCE}/.default"
TENANT = "11111111-2222-3333-4444-555555555555"
"""Any but `common`, of which the client library warns."""


@dataclass(frozen=True)
class Emulator:
    url: str
    certificate: str
    output: Path


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    directory = tmp_path_factory.mktemp("https")
    port = free_ports(1)[0]
    command = [sys.executable, "-P", "-m", "shared.cli", "start", "--https", "--port", str(port)]
    command += ["--store", "embedded", "--data", str(directory / "data")]
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT), "DICOM_AUTH_MODE": "mock"}
    environment["DICOM_AUTH_ROLE_ASSIGNMENTS"] = '{"a-reader": ["DICOM Data Reader"]}'
    output = directory / "output.log"
    with output.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    found = Emulator(f"https://localhost:{port}", str(CERTIFICATE / "localhost.pem"), output)
    try:
        wait_until_healthy(found, process)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(emulator: Emulator, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            trust = ssl.create_default_context(cafile=emulator.certificate)
            if httpx.get(f"{emulator.url}/health", verify=trust).status_code == 200:
                return
        except (httpx.TransportError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError(emulator.output.read_text())


def call(emulator: Emulator, credential: TokenCredential, method: str, path: str) -> int:
    """One request as clients of Azure send it: they refuse to send a token over plain HTTP."""
    policy = BearerTokenCredentialPolicy(credential, SCOPE)
    client: PipelineClient[HttpRequest, HttpResponse]
    client = PipelineClient(emulator.url, policies=[policy], connection_verify=emulator.certificate)
    with client:
        return client.send_request(HttpRequest(method, emulator.url + path)).status_code


def client_secret(emulator: Emulator, client: str = "any-client") -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant_id=TENANT,
        client_id=client,
        client_secret="any secret",
        authority=emulator.url,
        disable_instance_discovery=True,
        connection_verify=emulator.certificate,
    )


def test_client_secret(emulator: Emulator) -> None:
    """PLT-39, PLT-40"""
    with client_secret(emulator) as credential:
        assert call(emulator, credential, "GET", "/v2/changefeed") == 200
        assert call(emulator, credential, "DELETE", "/v2/studies/1.2.3") == 404


def test_roles_of_clients(emulator: Emulator) -> None:
    """PLT-31, PLT-40: roles that are assigned to a client are in its tokens."""
    with client_secret(emulator, "a-reader") as credential:
        assert call(emulator, credential, "GET", "/v2/changefeed") == 200
        assert call(emulator, credential, "DELETE", "/v2/studies/1.2.3") == 403


def test_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-40: what DefaultAzureCredential tries first."""
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.url)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", "any-client")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "any secret")
    trust = {"connection_verify": emulator.certificate}
    with EnvironmentCredential(disable_instance_discovery=True, **trust) as credential:
        assert call(emulator, credential, "GET", "/v2/changefeed") == 200


def test_managed_identity(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-40: in the form of the App Service."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{emulator.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "any")
    with ManagedIdentityCredential(connection_verify=emulator.certificate) as credential:
        token = credential.get_token(SCOPE)
        assert token.expires_on - time.time() > 3000
        assert call(emulator, credential, "GET", "/v2/changefeed") == 200


def test_urls_are_https(emulator: Emulator) -> None:
    """PLT-10, PLT-39: the host's own HTTPS sends no forwarded header; plain HTTP is not answered there."""
    trust = ssl.create_default_context(cafile=emulator.certificate)
    document = httpx.get(f"{emulator.url}/openapi.json", verify=trust).json()
    assert document["servers"] == [{"url": emulator.url}]
    assert f"Base URL: {emulator.url}" in emulator.output.read_text()
    assert str(CERTIFICATE) in emulator.output.read_text()
    with pytest.raises(httpx.TransportError):
        httpx.get(emulator.url.replace("https", "http") + "/health")


def test_nobody_else_is_trusted(emulator: Emulator) -> None:
    """PLT-39: without being told to, clients refuse the certificate."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{emulator.url}/health")


def test_the_certificate_is_kept(tmp_path: Path) -> None:
    """PLT-39: made once, for more names when it has to be; the key is nobody else's to read."""
    certificate, key = certificate_files(tmp_path, "localhost")
    first = certificate.read_bytes()
    assert certificate_files(tmp_path, "localhost") == (certificate, key)
    assert certificate.read_bytes() == first
    if sys.platform != "win32":
        assert key.stat().st_mode & 0o077 == 0
    certificate_files(tmp_path, "192.0.2.7")
    assert certificate.read_bytes() != first
    certificate.write_text("no certificate")
    certificate_files(tmp_path, "localhost")
    assert certificate.read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert wanted_names("localhost") == ("localhost", "127.0.0.1", "::1")
    assert len(wanted_names("0.0.0.0")) == 4
