"""`python -m shared.cli start | reset | check`, inside the environment that `dev.py` made.

It owns two processes, Azurite and the local Functions host, and stops the host first. What it imports at start is the
standard library, so that a start costs what these two cost.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .azurite import ROOT, Azurite, AzuriteError, Ports, free_azurite_ports, port_is_free, start_azurite
from .command_line import PATH_VARIABLE, CommandError, parse
from .data_directory import (
    LOCK,
    InUse,
    Running,
    clear,
    end_leftover,
    lock_file,
    read_record,
    remove_record,
    write_record,
)
from .storage_option import reachable_storage

STATE = ROOT / ".dev"
DEFAULT_DATA = {"azurite": STATE / "data", "embedded": STATE / "embedded"}
CERTIFICATE = STATE / "certificate"
IN_MEMORY = STATE / "in-memory"
"""Holds only the record of the last emulator that kept its data in memory."""
HOST_GRACE_SECONDS = 30

HOST_DEFAULTS = {
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "4294967296",
    "AzureWebJobsDisableHomepage": "true",
    "PYTHON_ENABLE_INIT_INDEXING": "1",
}
"""What the Functions host needs to be told in every configuration, as in `local.settings.json.example`."""


def main(arguments: Sequence[str]) -> int:
    """Carries out one command; the exit code."""
    options, _ = parse(arguments)
    try:
        return {"start": start, "reset": reset, "check": check}[options.command](options)
    except (CommandError, AzuriteError) as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


# -- start


def start(options: Namespace) -> int:
    """Runs the store and the host until Ctrl-C, or until one of them ends by itself."""
    url = f"{'https' if options.https else 'http'}://localhost:{options.port}"
    if not port_is_free(options.port, options.host):
        raise CommandError(f"Port {options.port} is taken: stop what listens there, or choose another with --port")
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # SIGINT is ignored in background jobs of scripts
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        with ExitStack() as stack, ExitStack() as starting:
            settings, azurite = open_store(options, url, stack, starting)
            host = start_host(options, settings)
            stack.callback(stop_host, host)
            return run_until_one_ends(host, azurite, starting)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
        return 0


def run_until_one_ends(host: "subprocess.Popen[bytes]", azurite: Azurite | None, starting: ExitStack) -> int:
    """The exit code of the host, or 1 and a line at once when Azurite ends before it.

    `starting` is closed as soon as Azurite listens.
    """
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    watch(host, "host", events)
    try:
        if azurite:
            azurite.wait_until_ready()
            starting.close()
            watch(azurite.process, "azurite", events)
        if next_event(events) == "azurite" and azurite:
            raise AzuriteError(f"Azurite has stopped unexpectedly: {azurite.last_words()}")
    except AzuriteError as error:
        complain(error)
        return 1
    return host.wait()


def complain(error: Exception) -> None:
    """One line for the user."""
    print(f"dev.py: {error}", file=sys.stderr, flush=True)


def open_store(
    options: Namespace, url: str, stack: ExitStack, starting: ExitStack
) -> tuple[dict[str, str], Azurite | None]:
    """The settings that name the store, and the Azurite that was started for it."""
    if options.store == "embedded":
        directory = data_directory(options)
        stack.enter_context(directory_lock(directory))
        print(f"Storage: embedded, data in {directory}", flush=True)
        return embedded_settings(directory, durable=options.durable), None
    if options.storage:
        return azure_settings(reachable_storage(options.storage)), None
    data = None if options.in_memory else data_directory(options)
    if data:
        stack.enter_context(directory_lock(data))
        told = end_leftover(data)
        if told:
            print(told, flush=True)
    log = data / "azurite.log" if data else IN_MEMORY / f"azurite-{options.port}.log"
    starting.enter_context(one_at_a_time())
    azurite = start_azurite(data, choose_ports(), log)
    stack.callback(azurite.stop)
    record = data or IN_MEMORY
    write_record(record, Running(url, os.getpid(), azurite.process.pid, azurite.ports))
    stack.callback(remove_record, record)
    ports = azurite.ports
    where = f"data in {data}" if data else "data in memory only"
    print(f"Storage: Azurite on ports {ports.blob}, {ports.queue} and {ports.table}, {where}", flush=True)
    return azure_settings(azurite.connection_string) | {"DICOM_AZURITE_TABLE_FILE": azurite.table_file}, azurite


def azure_settings(connection: str) -> dict[str, str]:
    """What makes the app use an Azurite or an account."""
    return {"DICOM_STORE": "azure", "AzureWebJobsStorage": connection}


def embedded_settings(directory: Path, *, durable: bool = False) -> dict[str, str]:
    """What makes the app use the embedded store."""
    settings = {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(directory)}
    return {**settings, "DICOM_STORE_DURABLE": "true"} if durable else settings


def data_directory(options: Namespace) -> Path:
    named = os.environ.get(PATH_VARIABLE) if options.store == "embedded" else None
    return Path(options.data or named or DEFAULT_DATA[options.store]).absolute()


@contextmanager
def directory_lock(data: Path) -> Iterator[None]:
    """One emulator a directory."""
    try:
        with lock_file(data / LOCK, wait=False):
            yield
    except InUse:
        running = read_record(data)
        who = f" ({running.url}, process {running.process})" if running else ""
        raise CommandError(f"Another emulator{who} uses {data}: stop it, or name another directory by --data") from None
    except OSError as error:
        raise CommandError(f"{data} cannot be used: {error.strerror}") from None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Starts at the same moment would find the same ports free, and the hosts of all reach the Azurite of the first."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(lock_file(Path(tempfile.gettempdir()) / f"dicom-emulator{user}.lock", wait=True))
        yield


def choose_ports() -> Ports:
    """The usual ones, which storage tools expect, unless one of them is taken."""
    usual = Ports()
    if usual.all_free():
        return usual
    print(f"One of the ports {usual.blob}, {usual.queue}, {usual.table} is taken: Azurite gets others.", flush=True)
    return free_azurite_ports()


def start_host(options: Namespace, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """The local host, in a process group of its own: a Ctrl-C in the terminal reaches it through this process alone."""
    environment = {**HOST_DEFAULTS, **local_settings(), **os.environ, **settings}
    command = [sys.executable, "-P", "-m", "shared.stop_with_parent", "shared.devhost", "function_app:app"]
    command += ["--host", options.host, "--port", str(options.port), "--directory", str(ROOT)]
    if options.https:
        certificate, key = own_certificate(options.host)
        command += ["--certificate", str(certificate), "--key", str(key)]
    if options.workers:
        environment["FUNCTIONS_WORKER_PROCESS_COUNT"] = str(options.workers)
    if not (options.storage or options.in_memory):
        command += ["--state", str(data_directory(options) / "timers")]
        if not environment.get("DICOM_LOCAL_COPIES_PATH"):
            environment["DICOM_LOCAL_COPIES_PATH"] = str(data_directory(options) / "copies")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, creationflags=flags)  # noqa: S603
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, process_group=0)  # noqa: S603


def own_certificate(host: str) -> tuple[Path, Path]:
    """Certificate and key for HTTPS, and a line about how to have it trusted."""
    from .certificate import certificate_files

    try:
        certificate, key = certificate_files(CERTIFICATE, host)
    except OSError as error:
        raise CommandError(f"{CERTIFICATE} cannot be used: {error.strerror}") from None
    print(f"HTTPS: clients have to trust {certificate} (docs/authentication.md)", flush=True)
    return certificate, key


def local_settings() -> dict[str, str]:
    """The values of `local.settings.json`, which are weaker than the environment."""
    try:
        values = json.loads((ROOT / "local.settings.json").read_text("utf-8-sig")).get("Values", {})
        return {str(name): str(value) for name, value in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise CommandError(f"local.settings.json cannot be read: {error}") from None


def stop_host(host: "subprocess.Popen[bytes]") -> None:
    """Lets it finish the requests that are open; a second Ctrl-C ends it at once."""
    if host.stdin:
        host.stdin.close()
    try:
        host.wait(HOST_GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        host.kill()
        host.wait()


def watch(process: "subprocess.Popen[bytes]", name: str, events: "queue.SimpleQueue[str]") -> None:
    """Puts the name among the events when the process ends."""

    def wait() -> None:
        process.wait()
        events.put(name)

    threading.Thread(target=wait, daemon=True).start()


def next_event(events: "queue.SimpleQueue[str]") -> str:
    """Waits in short steps: on Windows a Ctrl-C does not interrupt a wait."""
    while True:
        try:
            return events.get(timeout=0.5)
        except queue.Empty:
            continue


# -- reset


def reset(options: Namespace) -> int:
    """Empties the store that the options name, whether an emulator runs on it or not."""
    if options.storage:
        return reset_storage(azure_settings(reachable_storage(options.storage)), "the storage of --storage")
    data = IN_MEMORY if options.in_memory else data_directory(options)
    running = read_record(data)
    if not (running and running.azurite_answers()) and not (options.data or options.store == "embedded"):
        # No directory was named and nothing runs on the usual one: an emulator in memory may be what is meant.
        in_memory = read_record(IN_MEMORY)
        if in_memory and in_memory.azurite_answers():
            running, data = in_memory, IN_MEMORY
    if options.store == "embedded":
        if has_embedded_store(data):
            return reset_storage(embedded_settings(data), str(data))
        print(f"There was no data in {data}.", flush=True)
        return 0
    if running and running.azurite_answers():
        return reset_storage(azure_settings(running.ports.connection_string()), f"the storage of {running.url}")
    if data == IN_MEMORY:
        raise CommandError("No emulator runs that keeps its data in memory")
    if not data.exists():
        print(f"There was no data in {data}.", flush=True)
        return 0
    with directory_lock(data):
        end_leftover(data)
        print(f"{data} is empty now." if clear(data) else f"There was no data in {data}.", flush=True)
    return 0


def reset_storage(settings: Mapping[str, str], where: str) -> int:
    """Through the app's own storage, which knows what belongs to it."""
    import asyncio

    from .composition import open_services
    from .errors import DicomServiceError
    from .settings import Settings

    async def empty() -> None:
        services = await open_services(Settings.model_validate(dict(settings)))
        try:
            await services.storage.reset()
        finally:
            await services.close()

    try:
        asyncio.run(empty())
    except DicomServiceError as error:
        raise CommandError(f"{where} could not be emptied: {error}") from None
    print(f"Emptied {where}.", flush=True)
    return 0


# -- check


def check(options: Namespace) -> int:
    """Reads the whole embedded store and names what is wrong with it; 1 if anything is.

    What it finds on the way that killed processes left behind, it clears away, as each start does.
    """
    import asyncio

    from .errors import DicomServiceError

    data = data_directory(options)
    if not has_embedded_store(data):
        raise CommandError(f"There is no embedded store in {data}: name its directory by --data")
    print(f"Reading every file in {data} ...", flush=True)
    try:
        lost, others = asyncio.run(read_store(data))
    except DicomServiceError as error:
        raise CommandError(str(error)) from None
    for line in (*lost, *others):
        print(line, flush=True)
    if not lost and not others:
        print("Nothing is missing.", flush=True)
        return 0
    print(f"Lost or damaged instances: {len(lost)}. Other files: {len(others)}.", flush=True)
    return 1


def has_embedded_store(directory: Path) -> bool:
    from .storage.embedded_connection import FILE_NAME

    return (directory / FILE_NAME).is_file()


async def read_store(directory: Path) -> tuple[list[str], list[str]]:
    """A line for every instance that is lost, and for every other file."""
    from .storage.embedded import EmbeddedStorage
    from .storage.lost_instances import lost_instances

    storage = EmbeddedStorage(directory)
    try:
        faults = {f"{fault.container}/{fault.name}": fault.problem for fault in await storage.check()}
        lost = [each async for each in lost_instances(storage, faults)]
    finally:
        await storage.close()
    others = faults.keys() - {each.file for each in lost}
    return [f"{each}." for each in lost], [f"File {file} {faults[file]}." for file in sorted(others)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
