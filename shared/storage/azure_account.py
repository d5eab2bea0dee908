"""Where a storage account is and what opens it, read from the settings as the Functions host reads them."""

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import DicomServiceError
from ..settings import Settings

_SETTING = "AzureWebJobsStorage"

_EMULATOR_NAME = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Name and key of the account that every storage emulator has; both are public."""
_EMULATOR_PORTS = (10000, 10001, 10002)

_SERVICES = ("blob", "queue", "table")

_PUBLIC_CLOUD = "core.windows.net"


class BadStorageSettings(DicomServiceError):
    """The settings name no storage account. The text never repeats what they hold."""


@dataclass(frozen=True, slots=True)
class Account:
    """The three services' addresses, without a slash at the end, and one way in: key, signature or identity."""

    name: str
    blob: str
    queue: str
    table: str
    key: bytes = field(default=b"", repr=False)
    signature: str = field(default="", repr=False)
    """A shared access signature: the query that goes with each address, without a question mark."""
    identity: bool = False
    """Neither key nor signature: a token of Microsoft Entra ID."""
    client_id: str = ""
    """The user-assigned identity to take; empty for the system's own."""
    managed: bool = False
    """Only a managed identity counts; otherwise whatever the environment offers is tried."""

    @property
    def emulated(self) -> bool:
        """Whether this is Azurite and no account in a cloud: by its name, or since the name is in the path."""
        return self.name == _EMULATOR_NAME or bool(urlsplit(self.table).path.strip("/"))


def account_of(settings: Settings) -> Account:
    """The account that the settings name, by connection string or, when there is none, by identity."""
    if settings.storage_connection:
        return _from_connection_string(settings.storage_connection)
    name = settings.storage_account
    addresses = {
        "blob": settings.blob_service_uri,
        "queue": settings.queue_service_uri,
        "table": settings.table_service_uri,
    }
    if not name and not all(addresses.values()):
        raise BadStorageSettings(
            f"No storage account: set {_SETTING}, {_SETTING}__accountName, or the three service addresses."
        )
    addresses = {service: _address(given or _cloud(name, service)) for service, given in addresses.items()}
    if not all(address.startswith("https://") for address in addresses.values()):
        raise BadStorageSettings("Identity is only sent over https: a service address has another scheme.")
    return Account(
        name or _name_in(addresses["blob"]),
        addresses["blob"],
        addresses["queue"],
        addresses["table"],
        identity=True,
        client_id=settings.storage_client_id,
        managed=settings.storage_credential.lower() == "managedidentity",
    )


def _from_connection_string(text: str) -> Account:
    parts = dict(_pairs(text))
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        host = parts.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
        blob, queue, table = (f"{host}:{port}/{_EMULATOR_NAME}" for port in _EMULATOR_PORTS)
        return Account(_EMULATOR_NAME, blob, queue, table, key=base64.b64decode(_EMULATOR_KEY))
    name = parts.get("accountname", "")
    scheme = parts.get("defaultendpointsprotocol", "https")
    suffix = parts.get("endpointsuffix", _PUBLIC_CLOUD)
    addresses = []
    for service in _SERVICES:
        given = parts.get(f"{service}endpoint", "")
        if not given and not name:
            raise BadStorageSettings(f"{_SETTING} names neither the account nor its {service} endpoint.")
        addresses.append(_address(given or _cloud(name, service, scheme, suffix)))
    blob, queue, table = addresses
    signature = parts.get("sharedaccesssignature", "").lstrip("?")
    if not signature and not parts.get("accountkey"):
        raise BadStorageSettings(f"{_SETTING} has neither AccountKey nor SharedAccessSignature.")
    key = b"" if signature else _key(parts["accountkey"])
    return Account(name or _name_in(blob), blob, queue, table, key=key, signature=signature)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.strip().strip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals:
            raise BadStorageSettings(f"{_SETTING} is no connection string: a part of it has no '='.")
        pairs.append((name.strip().lower(), value.strip()))
    return pairs


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BadStorageSettings(f"The AccountKey in {_SETTING} is not base64.") from None


def _cloud(name: str, service: str, scheme: str = "https", suffix: str = _PUBLIC_CLOUD) -> str:
    return f"{scheme}://{name}.{service}.{suffix}"


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise BadStorageSettings(f"An endpoint in {_SETTING} is no plain http or https address.")
    return url.rstrip("/")


def _name_in(address: str) -> str:
    """The account of `https://name.blob.core.windows.net` or of `http://host:port/name`."""
    parts = urlsplit(address)
    return parts.path.strip("/") or (parts.hostname or "").partition(".")[0]
