"""The directory of the data: who uses it now, and what an emulator that was killed left behind.

Standard library only.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from .azurite import Ports, answers_as_azurite, is_azurite, kill_process

RECORD = "running.json"
LOCK = "running.lock"
_AZURITE_FILES = ("__azurite_db_*", "__blobstorage__", "__queuestorage__")


class InUse(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, slots=True)
class Running:
    """The record of an emulator: where it answers, and its Azurite."""

    url: str
    process: int
    azurite: int
    ports: Ports

    def azurite_answers(self) -> bool:
        return answers_as_azurite(self.ports.blob)

    def azurite_lives(self) -> bool:
        """It may have closed its ports and still be writing its data."""
        return is_azurite(self.azurite) or self.azurite_answers()


@contextmanager
def lock_file(path: Path, *, wait: bool) -> Iterator[None]:
    """Holds the lock of `path`, which ends with this process, however that ends; raises `InUse` unless it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        while not _lock(file):
            if not wait:
                raise InUse
            time.sleep(0.2)
        yield


def _lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_record(directory: Path, running: Running) -> None:
    """Notes who runs on the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RECORD).write_text(json.dumps(asdict(running)), "utf-8")


def read_record(directory: Path) -> Running | None:
    """The last emulator on the directory, running or not."""
    try:
        record = json.loads((directory / RECORD).read_text("utf-8"))
        return Running(record["url"], record["process"], record["azurite"], Ports(**record["ports"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_record(directory: Path) -> None:
    (directory / RECORD).unlink(missing_ok=True)


def end_leftover(directory: Path, seconds: float = 60) -> str:
    """Sees to it that the Azurite of an emulator that was killed is gone; a line for the user if there was one.

    It ends by itself, writing its data, when its parent is gone; here that is waited for. Call with the lock held.
    """
    running = read_record(directory)
    if running is None:
        return ""
    line = ""
    end = time.monotonic() + seconds
    while running.azurite_lives():
        line = f"An earlier start was killed; its Azurite (process {running.azurite}) has now ended."
        if time.monotonic() > end:
            kill_process(running.azurite)
            line = f"An earlier start was killed; its Azurite (process {running.azurite}) hung and was ended."
        time.sleep(0.1)
    remove_record(directory)
    return line


def clear(directory: Path) -> bool:
    """Removes Azurite's files, while no Azurite runs on them; whether there were any."""
    found = [path for pattern in _AZURITE_FILES for path in directory.glob(pattern)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return bool(found)
