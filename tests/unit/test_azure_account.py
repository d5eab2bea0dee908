"""Settings that name a storage account."""

import base64
from typing import Any

import pytest

from shared.settings import Settings
from shared.storage.azure import AzureStorage
from shared.storage.azure_account import Account, BadStorageSettings, account_of

pytestmark = pytest.mark.unit

KEY = base64.b64encode(b"very secret").decode()


def account(connection_string: str = "", **settings: str) -> Account:
    values: dict[str, Any] = {"AzureWebJobsStorage": connection_string}
    values |= {f"AzureWebJobsStorage__{name}": value for name, value in settings.items()}
    return account_of(Settings.model_validate(values))


def test_development_storage() -> None:
    found = account("UseDevelopmentStorage=true")
    assert (found.name, found.blob, found.queue, found.table) == (
        "devstoreaccount1",
        "http://127.0.0.1:10000/devstoreaccount1",
        "http://127.0.0.1:10001/devstoreaccount1",
        "http://127.0.0.1:10002/devstoreaccount1",
    )
    assert len(found.key) == 64


def test_development_storage_on_another_host() -> None:
    found = account("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite")
    assert found.table == "http://azurite:10002/devstoreaccount1"


def test_account_of_the_public_cloud() -> None:
    found = account(f"DefaultEndpointsProtocol=https;AccountName=mine;AccountKey={KEY};EndpointSuffix=core.windows.net")
    assert (found.name, found.key, found.signature, found.identity) == ("mine", b"very secret", "", False)
    assert found.blob == "https://mine.blob.core.windows.net"
    assert found.queue == "https://mine.queue.core.windows.net"
    assert found.table == "https://mine.table.core.windows.net"


def test_account_of_another_cloud() -> None:
    found = account(f"AccountName=mine;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn;")
    assert found.table == "https://mine.table.core.chinacloudapi.cn"


def test_endpoints_that_are_given() -> None:
    found = account(
        f"AccountName=a;AccountKey={KEY};BlobEndpoint=http://h:1/a/;QueueEndpoint=http://h:2/a;TableEndpoint=http://h:3/a"
    )
    assert (found.blob, found.queue, found.table) == ("http://h:1/a", "http://h:2/a", "http://h:3/a")


def test_shared_access_signature() -> None:
    found = account(
        "BlobEndpoint=https://mine.blob.core.windows.net;QueueEndpoint=https://mine.queue.core.windows.net;"
        "TableEndpoint=https://mine.table.core.windows.net;SharedAccessSignature=?sv=2022&ss=bqt&sig=abc%3D"
    )
    assert (found.name, found.signature, found.key) == ("mine", "sv=2022&ss=bqt&sig=abc%3D", b"")


def test_identity_by_account_name() -> None:
    found = account(accountName="mine", credential="managedidentity", clientId="1234")
    assert (found.identity, found.managed, found.client_id, found.key) == (True, True, "1234", b"")
    assert found.queue == "https://mine.queue.core.windows.net"


def test_identity_by_addresses() -> None:
    found = account(
        blobServiceUri="https://mine.blob.core.windows.net/",
        queueServiceUri="https://mine.queue.core.windows.net",
        tableServiceUri="https://other.table.core.windows.net",
    )
    assert (found.name, found.identity, found.managed) == ("mine", True, False)
    assert found.blob == "https://mine.blob.core.windows.net"
    assert found.table == "https://other.table.core.windows.net"


@pytest.mark.parametrize(
    ("connection_string", "settings"),
    [
        ("", {}),
        ("", {"blobServiceUri": "https://mine.blob.core.windows.net"}),
        ("", {"accountName": "mine", "blobServiceUri": "mine.blob"}),
        ("", {"accountName": "mine", "blobServiceUri": "http://mine.blob.core.windows.net"}),
        ("very secret", {}),
        ("AccountName=mine", {}),
        ("AccountName=mine;AccountKey=not base64 secret!", {}),
        (f"AccountKey={KEY}", {}),
        (f"AccountName=mine;AccountKey={KEY};BlobEndpoint=ftp://secret", {}),
        ("BlobEndpoint=https://a.b/?sig=secret;SharedAccessSignature=secret", {}),
    ],
)
def test_settings_that_name_none(connection_string: str, settings: dict[str, str]) -> None:
    with pytest.raises(BadStorageSettings) as failure:
        account(connection_string, **settings)
    assert "secret" not in str(failure.value)
    assert KEY not in str(failure.value)


def test_an_account_does_not_print_its_secrets() -> None:
    found = account(f"AccountName=mine;AccountKey={KEY}")
    assert "very secret" not in repr(found)
    assert KEY not in repr(found)


EMULATED = "UseDevelopmentStorage=true"
OF_A_CLOUD = f"AccountName=mine;AccountKey={KEY}"


@pytest.mark.parametrize(
    ("connection_string", "emulated"),
    [
        (EMULATED, True),
        (f"AccountName=mine;AccountKey={KEY};BlobEndpoint=http://h:1/mine;QueueEndpoint=http://h:2/mine;"
         "TableEndpoint=http://azurite:3/mine", True),
        (f"AccountName=devstoreaccount1;AccountKey={KEY};TableEndpoint=http://devstoreaccount1.table.localhost:10002",
         True),
        (OF_A_CLOUD, False),
        (f"AccountName=mine;AccountKey={KEY};TableEndpoint=https://tables.example.org/", False),
    ],
)  # fmt: skip
def test_azurite_is_told_from_an_account(connection_string: str, emulated: bool) -> None:
    """Rows that are for a real account only are not kept in Azurite, whatever its account is called."""
    assert account(connection_string).emulated is emulated


@pytest.mark.parametrize(
    ("connection_string", "value_rows", "kept"),
    [
        (EMULATED, "auto", False),
        (EMULATED, "on", True),
        (OF_A_CLOUD, "auto", True),
        (OF_A_CLOUD, "off", False),
    ],
)
async def test_value_rows_are_kept_where_they_pay(connection_string: str, value_rows: str, kept: bool) -> None:
    settings = {"AzureWebJobsStorage": connection_string, "DICOM_VALUE_ROWS": value_rows}
    storage = AzureStorage(Settings.model_validate(settings))
    assert storage.value_rows is kept
    await storage.close()
