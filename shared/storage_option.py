"""What `--storage` names: an Azurite or a storage account that runs already."""

import socket
from urllib.parse import urlsplit

from .azurite import Ports
from .command_line import CommandError

CONNECT_SECONDS = 5


def reachable_storage(text: str) -> str:
    """The connection string, with `UseDevelopmentStorage=true` spelled out.

    Raises `CommandError` when it is none, and when nobody listens at one of its endpoints.
    """
    connection = Ports().connection_string() if "usedevelopmentstorage=true" in text.lower() else text
    parts = dict(part.partition("=")[::2] for part in connection.split(";") if part)
    account = parts.get("AccountName", "")
    for service in ("Blob", "Queue", "Table"):
        suffix = f"{service.lower()}.{parts.get('EndpointSuffix', 'core.windows.net')}"
        default = f"{parts.get('DefaultEndpointsProtocol', 'https')}://{account}.{suffix}" if account else ""
        endpoint = urlsplit(parts.get(f"{service}Endpoint", default))
        if not endpoint.hostname:
            raise CommandError("--storage is no connection string: it names no storage account")
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        try:
            socket.create_connection((endpoint.hostname, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            where = f"{endpoint.scheme}://{endpoint.hostname}:{port}"
            raise CommandError(f"The {service.lower()} storage at {where} does not answer: {error}") from None
    return connection
