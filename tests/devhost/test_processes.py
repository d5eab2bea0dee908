"""The host as a process: what it prints, how it ends, and workers that die."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.azurite import ROOT, free_ports
from tests.support.processes import clean_environment

pytestmark = pytest.mark.integration

APP = """
import asyncio, os
import azure.functions as func
from shared.web_extension import Request, Response, at_stop

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

async def closed() -> None:
    print("closed", flush=True)

at_stop(closed)

@app.route(route="process")
async def process(req: Request) -> Response:
    return Response(str(os.getpid()))

@app.route(route="slow", methods=["GET", "POST"])
async def slow(req: Request) -> Response:
    print("begun", flush=True)
    await asyncio.sleep(1)
    return Response("finished")

@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    print("tick", os.getpid(), flush=True)
"""


class HostProcess:
    """A host of the app above, on a free port; its output in a file."""

    def __init__(self, directory: Path, *arguments: str, port: int | None = None) -> None:
        self.port = port or free_ports(1)[0]
        self.log = directory / f"log-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "shared.devhost", "app_of_test:app", "--port", str(self.port), *arguments]
        environment = {**clean_environment(), "PYTHONPATH": str(ROOT)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT, process_group=0
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def until_ready(self) -> None:
        self.until("Base URL")

    def until(self, text: str) -> None:
        end = time.monotonic() + 20
        while text not in self.output:
            assert time.monotonic() < end, self.output
            assert self.process.poll() is None, self.output
            time.sleep(0.02)

    def processes(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


Run = Callable[..., HostProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "app_of_test.py").write_text(APP)
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}))
    started: list[HostProcess] = []

    def start(*arguments: str, port: int | None = None) -> HostProcess:
        started.append(HostProcess(tmp_path, *arguments, port=port))
        return started[-1]

    yield start
    for host in started:
        if host.process.poll() is None:
            os.killpg(host.process.pid, signal.SIGKILL)
            host.process.wait()


def test_a_line_for_each_function(run: Run) -> None:
    host = run()
    host.until_ready()
    base = f"http://localhost:{host.port}"
    for line in (
        f"  process: [ALL] {base}/process",
        f"  slow: [GET,POST] {base}/slow",
        "  tick: timer * * * * * *",
        f"Base URL: {base}",
    ):
        assert host.output.splitlines().count(line) == 1, host.output
    assert host.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_open_requests_are_finished(run: Run, workers: str, number: int) -> None:
    host = run("--workers", workers)
    host.until_ready()
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.request("GET", "/slow")
    host.until("begun")
    host.process.send_signal(number)
    assert connection.getresponse().read() == b"finished"
    connection.close()
    assert host.process.wait(10) == 0
    assert host.output.count("closed") == int(workers)
    assert "Traceback" not in host.output


def test_workers_share_the_port_and_are_replaced(run: Run) -> None:
    host = run("--workers", "2")
    host.until_ready()
    assert host.output.count("Base URL") == 1
    seen = {host.get("/process") for _ in range(40)}
    assert len(seen) == 2
    victim = psutil.Process(int(seen.pop()))
    victim.kill()
    victim.wait(10)
    answers = [host.get("/process") for _ in range(40)]
    assert str(victim.pid) not in answers
    host.until("another one takes over")
    end = time.monotonic() + 20
    while len({host.get("/process") for _ in range(40)}) < 2:
        assert time.monotonic() < end, host.output
    assert host.output.count("Base URL") == 1
    assert host.stop() == 0


def test_timers_run_in_one_worker_and_go_on_when_it_dies(run: Run) -> None:
    host = run("--workers", "2")
    host.until_ready()
    host.until("tick")
    time.sleep(1.2)
    [lead] = {line.split()[1] for line in host.output.splitlines() if line.startswith("tick")}
    psutil.Process(int(lead)).kill()
    end = time.monotonic() + 20
    while {line.split()[1] for line in host.output.splitlines() if line.startswith("tick")} == {lead}:
        assert time.monotonic() < end, host.output
        time.sleep(0.05)


def test_workers_end_with_the_host(run: Run) -> None:
    host = run("--workers", "2")
    host.until_ready()
    workers = host.processes()
    assert len(workers) == 2
    host.process.kill()
    host.process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert len(gone) == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken(run: Run, workers: str) -> None:
    first = run("--workers", workers)
    first.until_ready()
    second = run("--workers", workers, port=first.port)
    assert second.process.wait(20) == 1
    assert second.output == (
        f"Port {first.port} on 127.0.0.1 is taken: stop what uses it, or choose another with --port.\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_app_that_cannot_be_imported(run: Run, workers: str, tmp_path: Path) -> None:
    (tmp_path / "app_of_test.py").write_text("import no_such_module_anywhere")
    host = run("--workers", workers)
    assert host.process.wait(20) == 1
    assert host.output.count("ModuleNotFoundError: No module named 'no_such_module_anywhere'") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no host.json in {directory}: it is no directory of a function app."),
        ("{", "{directory}/host.json cannot be read: Expecting property name"),
        ("[]", "{directory}/host.json holds no JSON object."),
        ('{"extensions": {"queues": {"batchSize": 64}}}', "host.json: batchSize must be 1 to 32, not 64."),
    ],
)
def test_a_host_json_that_is_odd(run: Run, tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "host.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    host = run()
    assert host.process.wait(20) == 1
    assert host.output.startswith(message.replace("{directory}", str(tmp_path)))
    assert host.output.count("\n") == 1


def test_an_app_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app_of_test.py").unlink()
    host = run()
    assert host.process.wait(20) == 1
    assert host.output == f"There is no module app_of_test in {tmp_path}.\n"


def self_signed(directory: Path) -> tuple[Path, Path]:
    """The files of a certificate for localhost and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.mark.parametrize("workers", ["1", "2"])
def test_https(run: Run, tmp_path: Path, workers: str) -> None:
    """PLT-39"""
    certificate, key = self_signed(tmp_path)
    host = run("--workers", workers, "--host", "localhost", "--certificate", str(certificate), "--key", str(key))
    host.until_ready()
    assert f"Base URL: https://localhost:{host.port}" in host.output
    context = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("localhost", host.port, context=context, timeout=10)
    connection.request("GET", "/process")
    assert connection.getresponse().read().isdigit()
    connection.close()
    assert host.stop() == 0


def test_a_start_is_fast(run: Run) -> None:
    """A bare app answers well within a second; on a busy machine this measures the machine, so more is allowed."""
    began = time.monotonic()
    host = run()
    host.until_ready()
    assert host.get("/process")
    assert time.monotonic() - began < 5
