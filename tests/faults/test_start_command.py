"""`dev.py start`, `reset` and `check` as a user meets them: what they print, what they keep, what they leave behind."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.azurite import ROOT, free_ports, is_azurite
from shared.storage.embedded_disk import Disk
from tests.support.processes import clean_environment
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = pytest.mark.integration

SECONDS = 60

ON_EACH_STORE = pytest.mark.parametrize("engine", ["azurite", "embedded"])
NOTHING_STARTS = pytest.mark.one_store("it ends before a store is asked")
OF_AZURITE = pytest.mark.one_store("about the process of Azurite")
OF_EMBEDDED = pytest.mark.one_store("about the files of the embedded store")


class Command:
    """A running `dev.py start`, past the installation."""

    def __init__(self, *arguments: str, output: Path, settings: dict[str, str]) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://localhost:{self.port}"
        self.file = output
        command = [sys.executable, "-P", "-m", "shared.cli", "start", "--port", str(self.port), *arguments]
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                command,
                env=environment() | settings,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.file.read_text("utf-8")

    def wait_until_healthy(self) -> "Command":
        wait_for(lambda: self.answers("/health") or self.process.poll() is not None)
        assert self.process.poll() is None, self.output
        return self

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(self.url + path, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def environment() -> dict[str, str]:
    return {**clean_environment(), "PYTHONPATH": str(ROOT)}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def run(*arguments: str) -> tuple[int, str]:
    """A command that ends by itself: exit code and everything that it printed."""
    command = [sys.executable, "-P", "-m", "shared.cli", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, done.stdout + done.stderr


def record(data: Path) -> Any:
    return json.loads((data / "running.json").read_text("utf-8"))


def retrieved(command: Command, triple: Triple) -> bytes:
    answer = httpx.get(f"{command.url}/v2{triple.path}", headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts the command; whatever still runs after the test is ended."""
    commands: list[Command] = []

    def starter(*arguments: str, **settings: str) -> Command:
        command = Command(*arguments, output=tmp_path / f"start-{len(commands)}.txt", settings=settings)
        commands.append(command)
        return command

    yield starter
    for command in commands:
        if command.process.poll() is None:
            command.end(signal.SIGTERM)


@ON_EACH_STORE
def test_start_prints_functions_and_url_and_keeps_the_data_over_a_stop(
    start: Callable[..., Command], tmp_path: Path, engine: str
) -> None:
    arguments = ("--store", engine, "--data", str(tmp_path / "data"))
    first = start(*arguments).wait_until_healthy()
    triple = new_triple()
    assert store(first.url, triple.file()).status == 200
    assert first.end() == 0
    lines = first.output.splitlines()
    assert any(line.strip().startswith("studies: [") for line in lines)
    assert f"Base URL: {first.url}" in lines
    assert lines[-1] == "Stopped."
    assert "Traceback" not in first.output

    again = start(*arguments).wait_until_healthy()
    assert retrieved(again, triple) == triple.file()


@ON_EACH_STORE
def test_a_variable_chooses_the_store_and_an_option_is_above_it(
    start: Callable[..., Command], tmp_path: Path, engine: str
) -> None:
    data = str(tmp_path / "data")
    options = ("--store", "azurite", "--data", data) if engine == "azurite" else ()
    command = start(*options, DICOM_STORE="embedded", DICOM_STORE_PATH=data).wait_until_healthy()
    triple = new_triple()
    assert store(command.url, triple.file()).status == 200
    assert command.end() == 0
    stores = {"azurite": "__azurite_db_table__.json", "embedded": "store.db"}
    assert {name for name, file in stores.items() if (tmp_path / "data" / file).exists()} == {engine}


@OF_AZURITE
def test_starts_at_the_same_moment_have_ports_of_their_own(start: Callable[..., Command], tmp_path: Path) -> None:
    """Whoever came second would serve the data of the first until its own Azurite was seen to have failed."""
    commands = [start("--data", str(tmp_path / str(number))) for number in range(3)]
    triple = new_triple()
    for command in commands:
        command.wait_until_healthy()
    assert store(commands[0].url, triple.file()).status == 200
    ports = [record(tmp_path / str(number))["ports"] for number in range(3)]
    assert len({port for three in ports for port in three.values()}) == 9
    feeds = [httpx.get(f"{command.url}/v2/changefeed").json() for command in commands]
    assert [len(feed) for feed in feeds] == [1, 0, 0]
    assert all(command.process.poll() is None for command in commands)


@OF_AZURITE
def test_in_memory_leaves_nothing(start: Callable[..., Command]) -> None:
    command = start("--in-memory").wait_until_healthy()
    assert "data in memory only" in command.output
    assert command.end(signal.SIGTERM) == 0


@NOTHING_STARTS
def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run("start", "--port", str(port), "--in-memory")
    expected = f"dev.py: Port {port} is taken: stop what listens there, or choose another with --port\n"
    assert (code, output) == (1, expected)


@NOTHING_STARTS
@pytest.mark.parametrize("workers", [1, 2])
def test_a_setting_that_cannot_be_is_one_line(start: Callable[..., Command], tmp_path: Path, workers: int) -> None:
    """STO-123: it stops the start with a message."""
    options = ("--store", "embedded", "--data", str(tmp_path / "data"), "--workers", str(workers))
    command = start(*options, EXPIRY_INTERVAL_SECONDS="0")
    assert command.process.wait(SECONDS) == 1
    assert command.output.splitlines()[1:] == ["EXPIRY_INTERVAL_SECONDS: Input should be greater than 0"]


@NOTHING_STARTS
def test_a_store_that_there_is_not_is_one_line(start: Callable[..., Command], tmp_path: Path) -> None:
    command = start("--data", str(tmp_path / "data"), DICOM_STORE="embeded")
    assert command.process.wait(SECONDS) == 2
    assert command.output.splitlines()[-1] == "dev.py: error: DICOM_STORE must be azure or embedded"
    assert not (tmp_path / "data").exists()


@NOTHING_STARTS
def test_storage_that_does_not_answer_is_one_line() -> None:
    port = free_ports(1)[0]
    endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
    connection = f"AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint={endpoint}"
    for command in ("start", "reset"):
        code, output = run(command, "--storage", connection)
        assert code == 1
        assert output.startswith(f"dev.py: The blob storage at http://127.0.0.1:{port} does not answer: ")
        assert output.count("\n") == 1


@NOTHING_STARTS
def test_a_connection_string_without_account_is_one_line() -> None:
    assert run("start", "--storage", "rubbish") == (
        1,
        "dev.py: --storage is no connection string: it names no storage account\n",
    )


@OF_AZURITE
def test_azurite_that_dies_ends_the_emulator_with_one_line(start: Callable[..., Command], tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = start("--data", str(data)).wait_until_healthy()
    os.kill(record(data)["azurite"], signal.SIGKILL)
    assert command.process.wait(SECONDS) == 1
    told = [line for line in command.output.splitlines() if line.startswith("dev.py: ")]
    assert len(told) == 1
    assert told[0].startswith("dev.py: Azurite has stopped unexpectedly: no message (ended by signal 9; its log is ")
    assert "Traceback" not in command.output
    assert not command.answers("/health")


@OF_AZURITE
def test_azurite_that_cannot_start_is_one_line(start: Callable[..., Command], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__azurite_db_table__.json").write_text("{", "utf-8")
    command = start("--data", str(tmp_path / "data"))
    assert command.process.wait(SECONDS) == 1
    assert "dev.py: Azurite did not start: Exit due to unhandled error: " in command.output
    assert "Traceback" not in command.output


@ON_EACH_STORE
def test_a_directory_is_used_by_one_emulator(start: Callable[..., Command], tmp_path: Path, engine: str) -> None:
    data = tmp_path / "data"
    first = start("--store", engine, "--data", str(data)).wait_until_healthy()
    code, output = run("start", "--store", engine, "--port", str(free_ports(1)[0]), "--data", str(data))
    assert code == 1
    who = {"azurite": f" ({first.url}, process {first.process.pid})", "embedded": ""}[engine]
    assert output == f"dev.py: Another emulator{who} uses {data}: stop it, or name another directory by --data\n"


@ON_EACH_STORE
def test_a_killed_start_leaves_nothing_running_and_loses_nothing(
    start: Callable[..., Command], tmp_path: Path, engine: str
) -> None:
    data = tmp_path / "data"
    killed = start("--store", engine, "--data", str(data)).wait_until_healthy()
    azurite = record(data)["azurite"] if engine == "azurite" else None
    triple = new_triple()
    assert store(killed.url, triple.file()).status == 200
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL

    again = start("--store", engine, "--data", str(data)).wait_until_healthy()
    assert retrieved(again, triple) == triple.file()
    if azurite:
        assert record(data)["azurite"] != azurite
        assert not is_azurite(azurite)
    wait_for(lambda: not killed.answers("/health"))


@ON_EACH_STORE
def test_reset_empties_a_directory_that_is_not_in_use(
    start: Callable[..., Command], tmp_path: Path, engine: str
) -> None:
    data = tmp_path / "data"
    arguments = ("--store", engine, "--data", str(data))
    emptied = {"azurite": f"{data} is empty now.\n", "embedded": f"Emptied {data}.\n"}[engine]
    assert run("reset", *arguments) == (0, f"There was no data in {data}.\n")
    assert not data.exists()
    first = start(*arguments).wait_until_healthy()
    triple = new_triple()
    assert store(first.url, triple.file()).status == 200
    assert first.end() == 0
    assert run("reset", *arguments) == (0, emptied)
    assert not list(data.glob("__*"))
    again = start(*arguments).wait_until_healthy()
    assert httpx.get(f"{again.url}/v2/changefeed").json() == []
    assert store(again.url, triple.file()).status == 200


@ON_EACH_STORE
def test_reset_empties_a_running_emulator(start: Callable[..., Command], tmp_path: Path, engine: str) -> None:
    data = tmp_path / "data"
    arguments = ("--store", engine, "--data", str(data))
    command = start(*arguments).wait_until_healthy()
    triple = new_triple()
    assert store(command.url, triple.file()).status == 200
    what = {"azurite": f"the storage of {command.url}", "embedded": str(data)}[engine]
    assert run("reset", *arguments) == (0, f"Emptied {what}.\n")
    assert command.answers("/health")
    assert httpx.get(f"{command.url}/v2/changefeed").json() == []
    assert store(command.url, triple.file()).status == 200


@ON_EACH_STORE
def test_reset_of_an_emulator_that_stores_meanwhile(start: Callable[..., Command], tmp_path: Path, engine: str) -> None:
    """What is stored from then on is in the change feed, which has no hole (CHG-02): the emulator's one process, which
    knows where its feed ended, was not asked."""
    arguments = ("--store", engine, "--data", str(tmp_path / "data"))
    command = start(*arguments).wait_until_healthy()
    stored: list[Triple] = []
    ended = threading.Event()

    def keep_storing() -> None:
        while not ended.is_set():
            triple = new_triple()
            if store(command.url, triple.file()).status == 200:
                stored.append(triple)

    writer = threading.Thread(target=keep_storing)
    writer.start()
    try:
        wait_for(lambda: len(stored) > 5)
        assert run("reset", *arguments)[0] == 0
        before = len(stored) + 1  # one may be on its way
        wait_for(lambda: len(stored) > before + 5)
    finally:
        ended.set()
        writer.join()
    feed = whole_feed(command.url)
    assert [entry["sequence"] for entry in feed] == list(range(1, len(feed) + 1))
    assert {triple.instance for triple in stored[before:]} <= {entry["sopInstanceUid"] for entry in feed}


def whole_feed(url: str) -> list[Any]:
    """Page by page."""
    entries: list[Any] = []
    while page := httpx.get(f"{url}/v2/changefeed?limit=200&offset={len(entries)}&includeMetadata=false").json():
        entries += page
    return entries


def store_files(data: Path, *names: str) -> list[Path]:
    """The files of blobs, by the beginning of their names, in the order of their upload."""
    with closing(sqlite3.connect(data / "store.db")) as connection:
        pattern = "SELECT id FROM blob WHERE name LIKE ? ORDER BY id"
        numbers = [number for name in names for (number,) in connection.execute(pattern, (name + "%",))]
    return [Path(Disk(data, False).path(number)) for number in numbers]


@OF_EMBEDDED
def test_check_names_what_the_embedded_store_has_lost(start: Callable[..., Command], tmp_path: Path) -> None:
    """While the emulator runs, and after it."""
    data = tmp_path / "data"
    command = start("--store", "embedded", "--data", str(data)).wait_until_healthy()
    triples = [new_triple() for _ in range(4)]
    for triple in triples:
        assert store(command.url, triple.file()).status == 200
    _whole, missing, short, replaced = triples
    assert upsert(command.url, replaced.file(PatientID="new")).status == 200
    reading = f"Reading every file in {data} ...\n"
    assert run("check", "--data", str(data)) == (0, f"{reading}Nothing is missing.\n")

    prefixes = [f"Microsoft.Default/{each.study}/{each.series}/{each.instance}/" for each in triples]
    lost, cut, former, _ = store_files(data, *prefixes[1:])
    lost.unlink()
    size = cut.stat().st_size
    os.truncate(cut, 100)
    former.unlink()
    code, output = run("check", "--data", str(data))
    assert code == 1
    first, *lines, last = output.splitlines(keepends=True)
    assert (first, last) == (reading, "Lost or damaged instances: 2. Other files: 1.\n")
    expected = [
        (f"Instance {each.instance} (series {each.series}, study {each.study}): dicom/{prefix}", f"{problem}.\n")
        for each, prefix, problem in (
            (missing, prefixes[1], "is missing"),
            (short, prefixes[2], f"has 100 of {size} bytes"),
        )
    ]
    expected = [*sorted(expected), (f"File dicom/{prefixes[3]}", "is missing.\n")]
    assert len(lines) == len(expected)
    for line, (begin, end) in zip([*sorted(lines[:2]), lines[2]], expected, strict=True):
        assert line.startswith(begin), line
        assert line.endswith(end), line

    for triple in (missing, short):  # what the README says to do
        assert upsert(command.url, triple.file()).status == 200
    assert command.end() == 0
    code, output = run("check", "--data", str(data))
    assert (code, output.splitlines()[-1]) == (1, "Lost or damaged instances: 0. Other files: 3.")


@OF_EMBEDDED
def test_check_names_instances_whose_file_is_unknown(start: Callable[..., Command], tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = start("--store", "embedded", "--data", str(data)).wait_until_healthy()
    triple = new_triple()
    assert store(command.url, triple.file()).status == 200
    assert command.end() == 0
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM blob")
    code, output = run("check", "--data", str(data))
    assert code == 1
    assert f"Instance {triple.instance} (series {triple.series}, study {triple.study}): dicom/" in output


@OF_EMBEDDED
def test_check_of_what_is_no_store_is_one_line_and_makes_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = f"dev.py: There is no embedded store in {data}: name its directory by --data\n"
    assert run("check", "--data", str(data)) == (1, expected)
    assert not data.exists()


@OF_EMBEDDED
def test_check_of_a_newer_store_is_refused(start: Callable[..., Command], tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert start("--store", "embedded", "--data", str(data)).wait_until_healthy().end() == 0
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 77")
    code, output = run("check", "--data", str(data))
    assert code == 1
    assert output.splitlines()[1].startswith(
        f"dev.py: The store {data / 'store.db'} has version 77; this program reads"
    )
    assert "Traceback" not in output
