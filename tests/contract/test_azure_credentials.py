"""Ways into a storage account other than its key: a shared access signature, a managed identity."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from shared.azurite import ROOT, Ports, _installed, free_azurite_ports
from shared.errors import Unavailable
from shared.storage import names
from shared.storage.azure import AzureStorage
from shared.storage.primitives import ANY, Delete, Entity, Insert, Merge
from tests.contract.conftest import azure_storage
from tests.support.tcp_proxy import Mishap, storage_proxies

pytestmark = pytest.mark.integration

ACCOUNT = "devstoreaccount1"


async def round_trip(storage: AzureStorage, key: str) -> None:
    """Something of everything."""
    await storage.prepare()
    await storage.ping()
    await storage.write(names.INDEX, Insert(Entity(key, "it's", {"n": 1})))
    await storage.transact(names.INDEX, [Merge(Entity(key, "it's", {"m": 1}), ANY), Insert(Entity(key, "b", {}))])
    assert [found.row async for found in storage.query(names.INDEX, key)] == ["b", "it's"]
    await storage.write(names.INDEX, Delete(key, "b", ANY))
    await storage.put_blob(names.DICOM, f"{key}/x", b"12345")
    await storage.put_blob(names.DICOM, f"{key}/large", bytes(5 * 1024 * 1024))
    assert await storage.get_blob(names.DICOM, f"{key}/x", 1, 2) == b"23"
    assert [item.size async for item in storage.list_blobs(names.DICOM, f"{key}/x")] == [5]
    await storage.copy_blob(names.DICOM, f"{key}/x", f"{key}/y")
    assert await storage.delete_blob(names.DICOM, f"{key}/y")
    await storage.send_message(names.EVENTS_QUEUE, key)
    for message in await storage.receive_messages(names.EVENTS_QUEUE, 32, 5):
        await storage.delete_message(names.EVENTS_QUEUE, message)


async def test_shared_access_signature(azurite: str, partition: str, caplog: pytest.LogCaptureFixture) -> None:
    """It opens everything, and is in no log line and no exception."""
    parts = dict(part.partition("=")[::2] for part in azurite.strip(";").split(";"))
    signature = generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(
            read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True
        ),
        expiry=datetime.now(UTC) + timedelta(hours=1),
        services="bqt",
    )
    secret = parse_qs(signature)["sig"][0]
    with storage_proxies(azurite) as proxies, caplog.at_level(logging.DEBUG):
        endpoints = ";".join(part for part in proxies.connection_string.split(";") if "Endpoint=" in part)
        storage = azure_storage(f"{endpoints};SharedAccessSignature={signature}")
        try:
            await round_trip(storage, partition)
            for mishap in (Mishap.DROP_ANSWER, Mishap.DROP_REQUEST, Mishap.BUSY):
                proxies.table.plan(mishap)
                with pytest.raises(Unavailable) as failure:
                    await storage.write(names.INDEX, Insert(Entity(partition, "x", {})))
                assert secret not in repr(failure.getrepr(chain=True))
        finally:
            await storage.close()
    assert secret not in caplog.text
    assert signature.split("sig=")[1] not in caplog.text


# -- identity


class _Identity(BaseHTTPRequestHandler):
    """Gives out tokens as App Service does for a managed identity."""

    asked: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append({**query, "header": [self.headers.get("X-IDENTITY-HEADER", "")]})
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/x/", "iat": now, "nbf": now - 60,
                  "exp": now + 3600}  # fmt: skip
        body = json.dumps(
            {
                "access_token": jwt.encode(claims, "k" * 32, algorithm="HS256"),
                "expires_on": str(now + 3600),
                "resource": "https://storage.azure.com",
                "token_type": "Bearer",
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def identity() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    asked: list[dict[str, list[str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Identity", (_Identity,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that nobody but this test trusts, and its key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def token_azurite(certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[Ports]:
    """An Azurite that takes tokens, which it does over https only."""
    ports = free_azurite_ports()
    command = [*_installed(), "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"]
    command += ["--blobPort", str(ports.blob), "--queuePort", str(ports.queue), "--tablePort", str(ports.table)]
    command += ["--oauth", "basic", "--cert", str(certificate[0]), "--key", str(certificate[1])]
    log = tmp_path / "azurite.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=tmp_path)
    assert process.stdin
    end = time.monotonic() + 30
    while b"Table service is successfully listening" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    yield ports
    process.stdin.close()
    process.terminate()
    process.wait(20)


def test_managed_identity(
    identity: tuple[str, list[dict[str, list[str]]]], certificate: tuple[Path, Path], token_azurite: Ports
) -> None:
    """In a process of its own: which certificates are trusted is settled at import."""
    endpoint, asked = identity
    addresses = {
        f"AzureWebJobsStorage__{service}ServiceUri": f"https://127.0.0.1:{getattr(token_azurite, service)}/{ACCOUNT}"
        for service in ("blob", "queue", "table")
    }
    environment = {
        **os.environ,
        **addresses,
        "AzureWebJobsStorage": "",
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": "1111-2222",
        "IDENTITY_ENDPOINT": endpoint,
        "IDENTITY_HEADER": "let me in",
        "SSL_CERT_FILE": str(certificate[0]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.contract.test_azure_credentials"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert [(query["resource"], query["client_id"], query["header"]) for query in asked] == [
        (["https://storage.azure.com"], ["1111-2222"], ["let me in"])
    ]


async def _with_identity() -> None:
    from shared.settings import Settings

    storage = AzureStorage(Settings())
    try:
        await round_trip(storage, "identity")
    finally:
        await storage.close()
    print("done")


if __name__ == "__main__":
    asyncio.run(_with_identity())
