"""Received files: in memory or on the disk, the same bytes in either case, and nothing left behind."""

import errno
import io
import itertools
import os
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

from shared.dicomweb import spool
from shared.dicomweb.spool import Spool
from shared.errors import TooLarge, Unavailable

pytestmark = pytest.mark.unit


async def spooled(content: bytes, *, piece: int = 65536, limit: int = 10**9) -> Spool:
    spool = Spool(limit)
    for start in range(0, len(content), piece):
        await spool.write(content[start : start + piece])
    await spool.finish()
    return spool


@pytest.mark.parametrize("length", [0, 1, 131, 65537, spool.MOST_IN_MEMORY, spool.MOST_IN_MEMORY + 1, 9_000_001])
async def test_what_was_written_is_read(length: int) -> None:
    """Small files stay in memory, larger ones lie in a temporary file; both give every range."""
    content = os.urandom(length)
    file = await spooled(content)
    assert file.size == length
    assert file.in_memory == (length <= spool.MOST_IN_MEMORY)
    assert file.read(0, length) == content
    assert file.read(length // 2, length) == content[length // 2 :]
    with file.content() as whole:
        assert whole[:] == content
    file.close()


@pytest.mark.parametrize("total", [60_000, spool.MOST_IN_MEMORY + 60_000])
async def test_pieces_of_all_sizes(total: int) -> None:
    """Small ones are gathered, others kept as they come; their order stays, in memory and on the disk."""
    content = os.urandom(total)
    file, start = Spool(10**9), 0
    for size in itertools.cycle((1, 3, 4095, 4096, 0, 20_000, 2)):
        await file.write(content[start : start + size])
        start += size
        if start >= total:
            break
    await file.finish()
    assert file.read(0, total + 1) == content
    file.close()


@pytest.mark.parametrize("length", [132, 300, 5_000_000])
async def test_a_preamble_becomes_zeros(length: int) -> None:
    """STO-101: the 128 bytes before `DICM`, and nothing else."""
    content = b"\x01" * 128 + b"DICM" + os.urandom(length - 132)
    file = await spooled(content)
    assert file.read(0, length) == bytes(128) + content[128:]
    file.close()


@pytest.mark.parametrize("length", [131, 200, 5_000_000])
async def test_without_a_prefix_nothing_is_touched(length: int) -> None:
    """STO-101: a file without `DICM` at byte 128 has no preamble."""
    content = b"\x01" * 128 + b"DICX" + b"\x02" * (length - 132)
    content = content[:length]
    file = await spooled(content)
    assert file.read(0, length) == content
    file.close()


async def test_the_limit_is_the_last_size_that_passes() -> None:
    """STO-31"""
    file = await spooled(b"x" * 100, limit=100)
    file.close()
    refused = Spool(100)
    await refused.write(b"x" * 100)
    with pytest.raises(TooLarge, match=r"The request exceeded the allowed limit of 100 bytes\."):
        await refused.write(b"x")
    refused.close()


async def test_memory_is_bounded_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what a process may hold, small files go to the disk as well; closing gives the room back."""
    monkeypatch.setattr(spool, "MOST_IN_ALL", 250_000)
    files = [await spooled(bytes([number]) * 100_000) for number in range(5)]
    assert [file.in_memory for file in files] == [True, True, False, False, False]
    assert [file.read(99_999, 10) for file in files] == [bytes([number]) for number in range(5)]
    for file in files:
        file.close()
    again = await spooled(b"x" * 100_000)
    assert again.in_memory
    again.close()


class FullDisk(io.FileIO):
    """A file on a disk that takes its first 100,000 bytes."""

    def write(self, data: Any, /) -> int:
        room = 100_000 - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(memoryview(data)[:room])


@pytest.mark.parametrize("length", [spool.MOST_IN_MEMORY + 5_000, 3 * spool.MOST_IN_MEMORY])
async def test_a_full_disk_is_the_fault_of_the_service(
    length: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is 503, and closing does not stumble over what was not written."""

    def full() -> IO[bytes]:
        return io.BufferedRandom(FullDisk(tmp_path / "file", "x+"))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    file = Spool(10**9)

    async def receive() -> None:
        for _ in range(0, length, 65536):
            await file.write(bytes(65536))
        await file.finish()

    with pytest.raises(Unavailable):
        await receive()
    file.close()
    assert spool._in_memory == 0


async def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    file = Spool(10**9)
    with pytest.raises(Unavailable):
        await file.write(bytes(spool.MOST_IN_MEMORY + 1))
    file.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
async def test_temporary_files_go() -> None:
    """Closed, a spool keeps no file open; temporary files have no name that could be left over."""

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    file = await spooled(b"x" * 5_000_000)
    assert open_files() == before + 1
    file.close()
    assert open_files() == before
