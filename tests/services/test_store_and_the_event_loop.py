"""A store keeps the event loop free, whatever the file: other requests of the process go on meanwhile."""

import asyncio
import gc
import os
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicomweb.spool import Spool
from shared.dicomweb.store_request import files_in_parts, single_file
from shared.dicomweb.store_response import FailedInstance, StoredInstance
from shared.services.store import StoreRequest, store_files
from shared.settings import Settings
from tests.support.made_files import BOUNDARY, made_file, new_uid, store_body
from tests.support.stow import new_triple

pytestmark = pytest.mark.integration

LONGEST = 0.020
"""Seconds of one step of the event loop. Processor time is counted: how busy the machine is does not matter."""

RECEIVED_AT_A_TIME = 65536


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    """The services on a store of their own."""
    settings = {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path / "store")}
    opened = await open_services(Settings.model_validate(settings))
    gc.collect()
    gc.freeze()  # as the app does when it opens its services
    yield opened
    gc.unfreeze()
    await opened.close()


@contextmanager
def steps_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The processor time of each step that the event loop takes."""
    steps: list[float] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        steps.append(time.thread_time() - began)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield steps


async def received(content: bytes) -> AsyncIterator[bytes]:
    """A body as a server hands it over: piece by piece, all of it there already."""
    for start in range(0, len(content), RECEIVED_AT_A_TIME):
        yield content[start : start + RECEIVED_AT_A_TIME]


def request() -> StoreRequest:
    return StoreRequest("Microsoft.Default", None, False, True, None, wall_clock())


def element(number: int, vr: bytes, value: bytes) -> bytes:
    """A private element of a short form."""
    return struct.pack("<HH2sH", 0x0011 + 2 * (number // 0xF000), 0x1000 + number % 0xF000, vr, len(value)) + value


def elements(count: int, vr: bytes, value: bytes) -> bytes:
    return b"".join(element(number, vr, value) for number in range(count))


PIXELS = b"\xe0\x7f\x10\x00OW\x00\x00"
ENCAPSULATED = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00"
FRAGMENT = b"\xfe\xff\x00\xe0\x02\x00\x00\x00\x00\x00"
ITEM = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
SEQUENCE = b"\x40\x00\x60\x02SQ\x00\x00\xff\xff\xff\xff"

FILES: dict[str, Callable[[], bytes]] = {
    "small": lambda: b"",
    "native pixels": lambda: PIXELS + struct.pack("<I", 3_000_000) + os.urandom(3_000_000),
    "more than fits in memory": lambda: PIXELS + struct.pack("<I", 30_000_000) + bytes(30_000_000),
    "2,800 elements": lambda: elements(2800, b"LO", b"ab"),
    "100,000 elements": lambda: elements(100_000, b"LO", b"ab"),
    "100,000 faulty elements": lambda: elements(100_000, b"DA", b"bad date"),
    "elements behind what looks like pixels": lambda: (
        element(0, b"LO", PIXELS + struct.pack("<I", 1_000_000)) + elements(100_000, b"LO", b"ab")
    ),
    "100,000 fragments": lambda: ENCAPSULATED + FRAGMENT * 100_000 + END,
    "100,000 items": lambda: SEQUENCE + ITEM * 100_000 + END,
    "200,000 levels": lambda: (SEQUENCE + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 200_000,
    "noise": lambda: os.urandom(2_000_000),
}


@pytest.mark.parametrize("name", FILES)
async def test_one_file(services: Services, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """STO-69, STO-105: no step of the loop takes longer than 20 ms."""
    content = new_triple().file() + FILES[name]()
    await store_files(services, request(), single_file(received(new_triple().file()), None, 10**9))
    with steps_of_the_loop(monkeypatch) as steps:
        result = await store_files(services, request(), single_file(received(content), None, 10**9))
    assert len(result.instances) == 1
    assert max(steps) < LONGEST, sorted(steps)[-5:]


async def test_many_files(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-105: nor do hundreds of small files that arrive at once, readable or not."""
    study, series = new_uid(), new_uid()
    good = [made_file(study, series, f"{series}.{number}") for number in range(1, 300)]
    body = store_body([*good, *[b"x" * 10] * 1500])
    parts: AsyncGenerator[Spool] = files_in_parts(received(body), BOUNDARY.encode(), None, 10**9)
    with steps_of_the_loop(monkeypatch) as steps:
        result = await store_files(services, request(), parts)
    assert [isinstance(each, StoredInstance) for each in result.instances] == [True] * 299 + [False] * 1500
    assert all(isinstance(each, FailedInstance) for each in result.instances[299:])
    assert max(steps) < LONGEST, sorted(steps)[-5:]
