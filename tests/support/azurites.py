"""Many empty Azure storages in one process: each account of an Azurite is a store of its own."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.azurite import Ports, free_azurite_ports, start_azurite

ACCOUNTS = 500
"""More than a session asks for. Azurite reads their names when it starts."""

_KEY = base64.b64encode(b"the key of every account of the suite").decode()

NewAccount = Callable[[], str]


@contextmanager
def azurite_of_accounts(log: Path) -> Iterator[NewAccount]:
    """An Azurite in memory; each call gives the connection string of an account that nobody has used."""
    names = [f"account{number}" for number in range(ACCOUNTS)]
    ports = free_azurite_ports()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURITE_ACCOUNTS", ";".join(f"{name}:{_KEY}" for name in names))
        process = start_azurite(None, ports, log)
    unused = iter(names)
    try:
        process.wait_until_ready()
        yield lambda: _connection_string(ports, next(unused))
    finally:
        process.process.kill()  # there is nothing to keep, and it would wait for connections to fall idle
        process.stop()


def _connection_string(ports: Ports, account: str) -> str:
    endpoints = "".join(
        f"{service}Endpoint=http://127.0.0.1:{port}/{account};"
        for service, port in (("Blob", ports.blob), ("Queue", ports.queue), ("Table", ports.table))
    )
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={_KEY};{endpoints}"
