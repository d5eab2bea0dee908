"""The process of Azurite, Microsoft's storage emulator: start it, wait until it answers, end it with its data written.

Standard library only. `dev.py` installs what is started here.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = ROOT / ".dev" / "azurite"
"""Where `dev.py` installs Azurite; its file `installed.json` names the Node.js to run it with."""

TABLE_FILE = "__azurite_db_table__.json"
"""All tables, in the directory of the data."""

_ACCOUNT = "devstoreaccount1"
# Not a secret: the published key of every storage emulator.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_READY = b"Table service is successfully listening"
_IDLE_SECONDS = "65"


class AzuriteError(Exception):
    """Azurite cannot be started or has ended; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the three services listen, on 127.0.0.1."""

    blob: int = 10000
    queue: int = 10001
    table: int = 10002

    def connection_string(self) -> str:
        """For `AzureWebJobsStorage`."""
        endpoints = "".join(
            f"{service}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
            for service, port in (("Blob", self.blob), ("Queue", self.queue), ("Table", self.table))
        )
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};{endpoints}"

    def all_free(self) -> bool:
        return all(port_is_free(port) for port in (self.blob, self.queue, self.table))


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server can listen there; a host that cannot be listened on at all is for the server to complain of."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return True
    return all(_can_listen(family, address) for family, _, _, _, address in addresses)


def _can_listen(family: int, address: tuple[Any, ...]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return True


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_azurite_ports() -> Ports:
    return Ports(*free_ports(3))


class Azurite:
    """A running Azurite, the child of this process; `location` None keeps everything in memory."""

    def __init__(self, process: "subprocess.Popen[bytes]", ports: Ports, location: Path | None, log: Path) -> None:
        self.process = process
        self.ports = ports
        self.location = location
        self.log = log

    @property
    def connection_string(self) -> str:
        return self.ports.connection_string()

    @property
    def table_file(self) -> str:
        """Path of the file that has a ceiling (docs/architecture.md); empty in memory."""
        return str(self.location / TABLE_FILE) if self.location else ""

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Raises `AzuriteError` when it ends instead, or takes longer."""
        end = time.monotonic() + seconds
        while _READY not in self.log.read_bytes():
            if self.process.poll() is not None:
                raise AzuriteError(f"Azurite did not start: {self.last_words()}")
            if time.monotonic() > end:
                self.stop(seconds=2)
                raise AzuriteError(f"Azurite did not start within {seconds:g} s; its log is {self.log}")
            time.sleep(0.02)

    def last_words(self) -> str:
        """How it ended, and the error that it printed, if any: the end of a line for the user."""
        code = self.process.poll()
        ended = f"ended by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines()]
        told = next((line for line in lines if "error" in line.lower() or "EADDR" in line), "no message")
        return f"{told} ({ended}; its log is {self.log})"

    def stop(self, seconds: float = 20) -> None:
        """Asks it to end, which writes its data to disk, and waits; kills it only after `seconds`."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_azurite(location: Path | None, ports: Ports, log: Path) -> Azurite:
    """Starts the installed Azurite on a directory, or in memory; it ends with this process, however that ends.

    It runs in a process group of its own: a Ctrl-C in the terminal reaches only its parent, which stops it last.
    """
    command = [*_installed(in_memory=location is None), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    for service, port in (("blob", ports.blob), ("queue", ports.queue), ("table", ports.table)):
        command += [f"--{service}Port", str(port), f"--{service}KeepAliveTimeout", _IDLE_SECONDS]
    if location:
        location.mkdir(parents=True, exist_ok=True)
        command += ["--location", str(location)]
    else:
        command.append("--inMemoryPersistence")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return Azurite(_spawn(command, output, log.parent), ports, location, log)


def _spawn(command: Sequence[str], output: IO[bytes], directory: Path) -> "subprocess.Popen[bytes]":
    try:
        if sys.platform == "win32":
            return subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=directory,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
            )
        return subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=directory, process_group=0
        )
    except OSError as error:
        raise AzuriteError(f"Azurite cannot be started with {command[0]}: {error.strerror}") from error


def _installed(*, in_memory: bool = False) -> list[str]:
    """Node.js and what it must load to become Azurite."""
    script = INSTALLED / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    try:
        node = str(json.loads((INSTALLED / "installed.json").read_text("utf-8"))["node"])
    except (OSError, ValueError, KeyError):
        node = ""
    if not node or not script.exists():
        raise AzuriteError("Azurite is not installed here: `python3 dev.py start` does that")
    preloaded = ["stop_with_parent.cjs", *(["collect_rarely.cjs"] if in_memory else [])]
    options = [option for name in preloaded for option in ("--require", str(ROOT / "azurite" / name))]
    return [node, *options, str(script)]


def answers_as_azurite(port: int) -> bool:
    """Whether the blob service of an Azurite listens on the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b"Azurite-Blob" in connection.recv(4096)
    except OSError:
        return False


def is_azurite(process_id: int) -> bool:
    """Whether the process is an Azurite, and not a later one of the same number; always false on Windows."""
    command = Path(f"/proc/{process_id}/cmdline")
    if Path("/proc/self").exists():  # Linux
        try:
            return b"azurite.js" in command.read_bytes()
        except OSError:
            return False
    if sys.platform == "win32":
        return False
    listing = ["/bin/ps", "-p", str(process_id), "-o", "args="]
    return b"azurite.js" in subprocess.run(listing, capture_output=True, check=False).stdout  # noqa: S603


def kill_process(process_id: int) -> None:
    """Ends a process that is not a child of this one, at once; nothing happens if it is gone."""
    with contextlib.suppress(OSError):
        os.kill(process_id, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
