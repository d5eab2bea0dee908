"""The folder of copies: ranges, limits, what dead processes leave behind, disks that refuse."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.storage.local_copies import LocalCopies, default_folder

pytestmark = pytest.mark.unit

KILOBYTE = bytes(range(256)) * 4


class Source:
    """Content that is read piece by piece, as an upload on disk is."""

    in_memory = False

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]


def copies_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def copies(tmp_path: Path) -> LocalCopies:
    return LocalCopies(tmp_path / "copies", 100_000_000)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 250), st.none() | st.integers(0, 250))
def test_ranges(tmp_path_factory: pytest.TempPathFactory, content: bytes, offset: int, length: int | None) -> None:
    """local copies: a range is that of the file, cut at its end; 100 examples"""
    copies = LocalCopies(tmp_path_factory.getbasetemp() / "ranges", 100_000)
    copies.write("a/b.dcm", content)
    end = None if length is None else offset + length
    assert copies.read("a/b.dcm", offset, length) == content[offset:end]


def test_large_sources(copies: LocalCopies) -> None:
    """local copies: content on disk is written piece by piece"""
    content = os.urandom(3_000_001)
    copies.write("a", Source(content))
    assert copies.read("a", 0, None) == content
    assert copies.read("a", 2_999_999, 100) == content[-2:]


def test_absent_and_discarded(copies: LocalCopies) -> None:
    """local copies: what is not there is read from storage"""
    assert copies.read("a", 0, 10) is None
    copies.write("a", KILOBYTE)
    copies.discard("a")
    copies.discard("a")
    assert copies.read("a", 0, 10) is None


@pytest.mark.parametrize("left", [0, 10, 1000, 1024, 1039])
def test_incomplete_copies(copies: LocalCopies, tmp_path: Path, left: int) -> None:
    """local copies: one that a power cut has shortened is never served, and goes"""
    copies.write("a", KILOBYTE)
    [path] = copies_in(tmp_path)
    os.truncate(path, left)
    assert copies.read("a", 0, 10) is None
    assert copies_in(tmp_path) == []


def test_zeros_in_the_place_of_a_copy(copies: LocalCopies, tmp_path: Path) -> None:
    """local copies: a file of the right size without its end"""
    copies.write("a", KILOBYTE)
    [path] = copies_in(tmp_path)
    path.write_bytes(bytes(path.stat().st_size))
    assert copies.read("a", 0, 10) is None


def test_oldest_go_first(tmp_path: Path) -> None:
    """local copies: the folder stays about its limit, whoever writes into it"""
    limit = 100 * 1024
    writers = [LocalCopies(tmp_path, limit) for _ in range(3)]
    most = 0
    for number in range(500):
        writers[number % 3].write(f"{number}", KILOBYTE)
        newest = max(copies_in(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1_000_000 + number, 1_000_000 + number))
        most = max(most, sum(path.stat().st_size for path in copies_in(tmp_path)))
    assert most <= limit * 1.3
    kept = [number for number in range(500) if writers[0].read(f"{number}", 0, None) == KILOBYTE]
    assert kept == list(range(kept[0], 500))
    assert len(kept) > 70


def test_too_large_for_the_folder(tmp_path: Path) -> None:
    """local copies: one file does not drive out the others"""
    copies = LocalCopies(tmp_path, 4096)
    copies.write("a", KILOBYTE)
    assert copies_in(tmp_path) == []
    assert copies.works


def test_unfinished_copies(tmp_path: Path) -> None:
    """local copies: what a killed process was writing is removed after an hour"""
    copies = LocalCopies(tmp_path, 100 * 1024)
    shard = tmp_path / "00"
    shard.mkdir()
    old, new = shard / "x.1.part", shard / "y.2.part"
    old.write_bytes(b"1")
    new.write_bytes(b"2")
    os.utime(old, (1, 1))
    copies.write("a", KILOBYTE)
    assert not old.exists()
    assert new.exists()
    assert copies.read("a", 0, None) == KILOBYTE


def test_off(tmp_path: Path) -> None:
    """local copies: a limit of 0"""
    copies = LocalCopies(tmp_path / "copies", 0)
    copies.write("a", b"x")
    assert copies.read("a", 0, 1) is None
    assert not (tmp_path / "copies").exists()


@contextmanager
def full_disk() -> Iterator[None]:
    """Files cannot grow beyond 500 bytes."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits on the size of files")
def test_full_disk(copies: LocalCopies, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """local copies: switched off with one log line; nothing incomplete is left"""
    copies.write("before", KILOBYTE)
    with full_disk(), caplog.at_level(logging.WARNING):
        for number in range(5):
            copies.write(f"{number}", KILOBYTE)
    assert len(caplog.records) == 1
    assert not copies.works
    assert copies.read("before", 0, 1) is None
    assert len(copies_in(tmp_path)) == 1


def test_no_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """local copies: where no folder can be made there are none, and one log line says so"""
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        copies = LocalCopies(tmp_path / "file", 1_000_000)
        copies.write("a", KILOBYTE)
        assert copies.read("a", 0, 1) is None
    assert len(caplog.records) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")
def test_folder_of_somebody_else(tmp_path: Path) -> None:
    """local copies: the temporary directory is everybody's; the folder in it must be the user's own"""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    assert not LocalCopies(tmp_path / "link", 1_000_000).works
    copies = LocalCopies(tmp_path / "own", 1_000_000)
    copies.write("a", KILOBYTE)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "own").rglob("*") if path.is_dir())
    assert str(os.getuid()) in default_folder().name
