"""Nothing secret that a server gets comes out again: not in its log, not in an answer."""

import time
from pathlib import Path

import httpx
import pytest

from shared.azurite import free_azurite_ports
from tests.support.processes import LocalHost, local_host
from tests.support.stow import new_triple, store
from tests.support.tokens import Authority, authority, bearer, claims, rsa_key, signed, unsigned
from tests.support.worklist import Worklist, short

pytestmark = pytest.mark.integration

SECRETS = {
    "opaque token": "eyJvcGFxdWU-s3cr3t-0001",
    "signature": "s3cr3t%2Bsignature%3D0002",
    "key": "c2VjcmV0LWtleS0wMDAz",
    "transaction": "1.2.826.0.1.4711.0004",
    "client secret": "s3cr3t-0005",
    "assertion": "s3cr3t-0006",
}
SAS = f"sv=2024-01-01&se=2030-01-01&sr=c&sp=cw&sig={SECRETS['signature']}"
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=account;AccountKey={SECRETS['key']};"


def requests(url: str, tokens: list[str]) -> str:
    """Secrets wherever a client may put them; everything that was answered."""
    heard = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for token in [*tokens, SECRETS["opaque token"]]:
            for header in (f"Bearer {token}", f"bearer {token} x", f"Basic {token}", token):
                for path in ("/v2/changefeed", "/v2/studies/1.2", "/v3/studies", "/nope", "/health", "/v2/partitions"):
                    heard.append(client.get(path, headers={"Authorization": header}))
            for path in ("/v2/studies", "/v2/changefeed", "/v2/workitems", "/nope", "/docs"):
                heard.append(client.get(f"{path}?access_token={token}&{SAS}", headers=bearer(tokens[0])))
                heard.append(client.get(f"{path}?code={token}", headers={"Authorization": f"SharedKey {CONNECTION}"}))
        export = {
            "source": {"type": "identifiers", "settings": {"values": ["1.2"]}},
            "destination": {
                "type": "azureblob",
                "settings": {"connectionString": CONNECTION, "blobContainerUri": f"https://a/c?{SAS}"},
            },
        }
        heard.append(client.post("/v2/export", json=export, headers=bearer(tokens[0])))
        heard.append(client.post("/v2/extendedquerytags", json=export, headers=bearer(tokens[0])))
        heard.append(client.post("/v2/studies", json=export, headers=bearer(tokens[0])))
        form = {
            "grant_type": "client_credentials",
            "client_secret": SECRETS["client secret"],
            "client_assertion": SECRETS["assertion"],
        }
        heard.append(client.post("/a-tenant/oauth2/token", data=form | {"client_id": "x"}))
        heard.append(client.post("/a-tenant/oauth2/token", content=SECRETS["client secret"] * 5000))
    return "\n".join(f"{answer.status_code} {answer.headers} {answer.text}" for answer in heard)


def check(host: LocalHost, heard: str, secrets: list[str]) -> None:
    output = host.output_to_here()
    assert "AuditLogs" in output
    assert "Traceback" not in output
    for place in (output, heard):
        assert [secret for secret in secrets if secret in place] == []


def pieces(tokens: list[str]) -> list[str]:
    """What would give a token away: itself, its claims, its signature."""
    return [piece for token in tokens for piece in (token, *token.split(".")[1:]) if len(piece) > 10]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_mode_mock(store_settings: dict[str, str], under_func: bool, tmp_path: Path, log_format: str) -> None:
    """PLT-45, PLT-94, UPS-90: tokens, signatures, connection strings, client secrets, transaction UIDs."""
    tokens = [signed(claims("https://me.example")), unsigned({"roles": []}), unsigned({"roles": ["DICOM Data Owner"]})]
    settings = {**store_settings, "DICOM_AUTH_MODE": "mock", "DICOM_LOG_FORMAT": log_format}
    with local_host(settings, log=tmp_path / "host.log", under_func=under_func) as host:
        heard = requests(host.url, tokens)
        assert store(host.url, new_triple().file(), Authorization=f"Bearer {tokens[0]}").status == 200
        issued = httpx.post(f"{host.url}/a-tenant/oauth2/token", data={"client_id": "c"}).json()["access_token"]
        assert httpx.get(f"{host.url}/v2/changefeed", headers=bearer(issued)).status_code == 200
        check(host, heard, [*SECRETS.values(), *pieces([*tokens, issued])])


def test_mode_strict(store_settings: dict[str, str], under_func: bool, tmp_path: Path) -> None:
    """PLT-36, PLT-45: also of tokens that do not hold."""
    with authority() as issuer:
        tokens = strict_tokens(issuer)
        settings = {**store_settings, "DICOM_AUTH_MODE": "strict", "DICOM_AUTH_AUTHORITY": issuer.url}
        with local_host(settings, log=tmp_path / "host.log", under_func=under_func) as host:
            heard = requests(host.url, tokens)
            check(host, heard, [*SECRETS.values(), *pieces(tokens)])


def strict_tokens(issuer: Authority) -> list[str]:
    told = claims(issuer.issuer)
    forged = signed(told, key=rsa_key("forged"))
    return [issuer.token(), issuer.token(aud="x"), issuer.token(exp=1), forged, unsigned(told), issuer.token(iss="y")]


def test_transaction_uids(base_url: str, server: LocalHost) -> None:
    """PLT-45: wherever on the way they stand."""
    worklist, transaction = Worklist(f"{base_url}/v2"), SECRETS["transaction"]
    uid = worklist.new(short())
    assert worklist.change(uid, "IN PROGRESS", transaction).status_code == 200
    assert worklist.update(uid, {}, transaction).status_code == 200
    for path in (f"/v2/workitems/{uid}?{transaction}", f"/v2/workitems?{transaction}", f"/v2/studies?{transaction}"):
        for method in ("GET", "POST", "DELETE"):
            httpx.request(method, base_url + path)
    assert transaction not in server.output_to_here()


@pytest.mark.one_store("the embedded store has neither keys nor a network")
def test_storage_that_is_away(under_func: bool, tmp_path: Path) -> None:
    """PLT-16, PLT-94: what storage says when it is unreachable names no key."""
    if under_func:
        pytest.skip("the real host does not start without its storage")
    ports = free_azurite_ports()
    connection = ports.connection_string()
    key = connection.partition("AccountKey=")[2].partition(";")[0]
    host = LocalHost({"AzureWebJobsStorage": connection}, 1, tmp_path / "host.log")
    try:
        wait_until_it_answers(host)
        heard = [httpx.get(host.url + path, timeout=60) for path in ("/v2/changefeed", "/health")]
        assert {answer.status_code for answer in heard} == {503}
        assert all(key not in answer.text for answer in heard)
        assert key not in host.output()
    finally:
        host.stop()


def wait_until_it_answers(host: LocalHost) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(f"{host.url}/", timeout=60)
            return
        except httpx.TransportError:
            assert host.process.poll() is None, host.output()
            time.sleep(0.05)
    raise AssertionError(host.output())


@pytest.mark.one_store("the start is refused before a store is asked")
@pytest.mark.parametrize(
    "settings",
    [
        {"DICOM_CORS_CREDENTIALS": "true"},
        {"DICOM_AUTH_MODE": "strict"},
        {"DICOM_AUTH_MODE": "mock", "DICOM_AUTH_ROLE_ASSIGNMENTS": SECRETS["key"]},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, str], tmp_path: Path) -> None:
    """PLT-29, PLT-33: the start is refused by the name of the setting, and nothing of their values is printed."""
    host = LocalHost({"AzureWebJobsStorage": CONNECTION, **settings}, 1, tmp_path / "host.log")
    try:
        assert host.process.wait(60) != 0
        assert list(settings)[-1] in host.output()
        assert SECRETS["key"] not in host.output()
    finally:
        host.stop()
