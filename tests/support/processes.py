"""Servers as child processes of the suite: the local host with the app, on a free port."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from shared.azurite import ROOT, free_ports

START_SECONDS = 60


class LocalHost:
    """The app in the local host; `url` is its base without a slash at the end."""

    def __init__(self, settings: Mapping[str, str], workers: int, log: Path, directory: Path = ROOT) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-m", "shared.devhost", "function_app:app", "--port", str(self.port)]
        command += ["--workers", str(workers), "--directory", str(directory)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**clean_environment(), **settings},
                stdin=subprocess.DEVNULL,
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

    def stop(self, seconds: float = 20) -> int:
        """As Ctrl-C does; the exit code. Kills the whole process group if that takes longer."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """As a power cut: the host and all of its workers."""
        import signal

        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def clean_environment() -> dict[str, str]:
    """The environment less what would change the app's settings."""
    prefixes = ("DICOM_", "AzureWebJobs", "FUNCTIONS_", "EVENT_", "EXPIRY_", "PYTHONPATH", "PYTHON_ENABLE")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@contextlib.contextmanager
def local_host(
    settings: Mapping[str, str], *, workers: int = 1, log: Path, directory: Path = ROOT
) -> Iterator[LocalHost]:
    """The app under these settings, ready for requests, until the block ends."""
    host = LocalHost(settings, workers, log, directory)
    try:
        host.wait_until_ready()
        yield host
    finally:
        host.stop()
