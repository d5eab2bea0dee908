"""Servers as child processes of the suite: the local host with the app, on a free port."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from shared.azurite import ROOT, free_ports
from shared.cli import HOST_DEFAULTS

START_SECONDS = 60


class LocalHost:
    """The app in the local host; `url` is its base without a slash at the end.

    It ends with this process, and by itself if this process is killed.
    """

    def __init__(self, settings: Mapping[str, str], workers: int, log: Path, *, under_func: bool = False) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                func_command(self.port) if under_func else local_command(self.port, workers),
                cwd=ROOT,
                env={
                    **host_environment(),
                    "FUNCTIONS_WORKER_PROCESS_COUNT": str(workers),
                    "DICOM_LOCAL_COPIES_PATH": str(log.with_name("copies")),
                    **settings,
                },
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait_until_ready(self) -> None:
        """Until `/health` answers 200; fails with what the host printed."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + "/health", timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the local host did not become ready:\n{self.output()}")

    def output(self) -> str:
        """What the host and its workers have printed so far."""
        return self.log.read_text("utf-8", "replace")

    def lines_of(self, identifier: str) -> list[str]:
        """The lines of a request, by its correlation id. They are written behind its answer, that of the request itself
        as the last one."""
        end = time.monotonic() + 10
        while True:
            lines = [line for line in self.output().splitlines() if identifier in line]
            if any("AuditLogs" not in line for line in lines) or time.monotonic() > end:
                return lines
            time.sleep(0.02)

    def output_to_here(self) -> str:
        """What one worker has printed, the lines of all requests that it has answered included."""
        last = httpx.get(self.url + "/v2/nothing").headers["x-correlation-id"]
        assert self.lines_of(last), self.output()
        return self.output()

    def stop(self, seconds: float = 20) -> int:
        """As Ctrl-C does; the exit code. Kills the whole process group if that takes longer."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close_pipe()
        return self.process.wait()

    def kill(self) -> None:
        """As a power cut: the host and all of its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._close_pipe()
        self.process.wait()

    def _close_pipe(self) -> None:
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def local_command(port: int, workers: int) -> list[str]:
    """This repository's host."""
    command = [sys.executable, "-m", "shared.stop_with_parent", "shared.devhost", "function_app:app"]
    return [*command, "--port", str(port), "--workers", str(workers)]


def func_command(port: int) -> list[str]:
    """The real host, by Azure Functions Core Tools."""
    return ["func", "start", "--port", str(port)]


def clean_environment() -> dict[str, str]:
    """The environment less what would change the app's settings."""
    prefixes = ("DICOM_", "AzureWebJobs", "FUNCTIONS_", "EVENT_", "EXPIRY_", "PYTHONPATH", "PYTHON_ENABLE")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def host_environment() -> dict[str, str]:
    """What a host is told whatever the test asks for; `func` takes the Python that is first in PATH."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {**clean_environment(), **HOST_DEFAULTS, "FUNCTIONS_WORKER_RUNTIME": "python", "PATH": path}


@contextlib.contextmanager
def local_host(
    settings: Mapping[str, str], *, workers: int = 1, log: Path, under_func: bool = False
) -> Iterator[LocalHost]:
    """The app under these settings, ready for requests, until the block ends."""
    host = LocalHost(settings, workers, log, under_func=under_func)
    try:
        host.wait_until_ready()
        yield host
    finally:
        host.stop()
