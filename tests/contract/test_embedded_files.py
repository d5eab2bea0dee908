"""Files of the embedded store: what a power cut, a kill or a reset at the wrong moment leaves behind."""

import asyncio
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.clock import HOUR, SECOND, Ticks, wall_clock
from shared.errors import DicomServiceError, Unavailable
from shared.storage import embedded_check, embedded_disk, embedded_files, names
from shared.storage.embedded import EmbeddedStorage
from shared.storage.embedded_check import MOST_NAMED, Fault
from shared.storage.primitives import BlobExists, BlobMissing, Entity, Insert

pytestmark = pytest.mark.integration


class SlowClock:
    """The time of day, moved by `ahead`."""

    ahead: Ticks = 0

    def __call__(self) -> Ticks:
        return wall_clock() + self.ahead


@dataclass
class Place:
    """A store, and the directory that it is in."""

    store: EmbeddedStorage
    directory: Path
    clock: SlowClock

    def file(self, name: str) -> Path:
        """The file that holds a blob."""
        [(number,)] = self.sql("SELECT id FROM blob WHERE name = ?", name)
        return Path(embedded_disk.Disk(self.directory, False).path(number))

    def files(self) -> list[Path]:
        return sorted(path for path in (self.directory / "blobs").rglob("*") if path.is_file())

    def sql(self, statement: str, *arguments: object) -> list[tuple[int]]:
        connection = sqlite3.connect(self.directory / "store.db", isolation_level=None)
        try:
            return connection.execute(statement, arguments).fetchall()
        finally:
            connection.close()

    async def reopened(self) -> None:
        """Closes the store, and opens it as after a new start."""
        await self.store.close()
        self.store = EmbeddedStorage(self.directory, clock=self.clock)
        self.sql("DELETE FROM note")
        await prepare(self.store)


async def prepare(store: EmbeddedStorage) -> None:
    """As at the start of a process, to the end of the check."""
    await store.prepare()
    while store._background:
        await asyncio.sleep(0.001)


@pytest.fixture(params=[False, True], ids=["", "durable"])
async def place(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    clock = SlowClock()
    place = Place(EmbeddedStorage(tmp_path / "store", request.param, clock), tmp_path / "store", clock)
    await prepare(place.store)
    yield place
    await place.store.close()


async def test_the_check_at_start_names_what_a_power_cut_took(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("whole", "missing", "short", "empty"):
        await place.store.put_blob(names.DICOM, name, b"0123456789")
    place.file("missing").unlink()
    os.truncate(place.file("short"), 4)
    os.truncate(place.file("empty"), 0)
    with caplog.at_level(logging.ERROR):
        await place.reopened()
    assert caplog.messages == [
        "Lost by a power cut or from outside: blob dicom/missing is missing.",
        "Lost by a power cut or from outside: blob dicom/short has 4 of 10 bytes.",
        "Lost by a power cut or from outside: blob dicom/empty has 0 of 10 bytes.",
    ]
    assert await place.store.get_blob(names.DICOM, "whole") == b"0123456789"
    with pytest.raises(BlobMissing):
        await place.store.get_blob(names.DICOM, "missing")
    with pytest.raises(DicomServiceError, match="too short"):
        await place.store.get_blob(names.DICOM, "short")
    assert await place.store.get_blob(names.DICOM, "short", 1, 3) == b"123"
    assert await place.store.check() == [
        Fault("dicom", "missing", "is missing"),
        Fault("dicom", "short", "has 4 of 10 bytes"),
        Fault("dicom", "empty", "has 0 of 10 bytes"),
    ]


async def test_a_full_check_reads_every_file(place: Place) -> None:
    """A directory of the file's size in its place stands for a file that opens and cannot be read."""
    (place.directory / "d").mkdir()
    for name in ("whole", "unreadable"):
        await place.store.put_blob(names.DICOM, name, bytes((place.directory / "d").stat().st_size))
    path = place.file("unreadable")
    path.unlink()
    path.mkdir()
    [fault] = await place.store.check()
    assert str(fault) == "dicom/unreadable cannot be read: Is a directory"


async def test_lost_blobs_can_be_deleted_and_stored_anew(place: Place) -> None:
    await place.store.put_blob(names.DICOM, "x", b"0123456789")
    place.file("x").unlink()
    with pytest.raises(BlobExists):
        await place.store.put_blob(names.DICOM, "x", b"new")
    assert await place.store.delete_blob(names.DICOM, "x") is True
    await place.store.put_blob(names.DICOM, "x", b"new")
    assert await place.store.get_blob(names.DICOM, "x") == b"new"
    assert await place.store.check() == []


async def test_the_log_stays_readable(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MOST_NAMED + 20):
        await place.store.put_blob(names.DICOM, f"{number}", b"1")
    for path in place.files():
        path.unlink()
    with caplog.at_level(logging.ERROR):
        await place.reopened()
    assert len(caplog.messages) == MOST_NAMED + 1
    assert caplog.messages[-1] == "Lost by a power cut or from outside: 20 more blobs."


async def test_a_folder_is_checked_until_its_files_are_certainly_on_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_files, "FOLDER_SIZE", 4)
    monkeypatch.setattr(embedded_disk, "FOLDER_SIZE", 4)
    monkeypatch.setattr(embedded_check, "FOLDER_SIZE", 4)
    for number in range(6):  # the first folder is full, the second is not
        await place.store.put_blob(names.DICOM, f"{number}", b"1")
    verified = "SELECT verified FROM folder ORDER BY id"
    for ahead, expected in ((0, [0, 0]), (601 * SECOND, [1, 0]), (HOUR + SECOND, [1, 1])):
        place.clock.ahead = ahead
        await place.reopened()
        assert [value for (value,) in place.sql(verified)] == expected
    place.file("0").unlink()
    await place.reopened()
    assert await place.store.check() == [Fault("dicom", "0", "is missing")]


async def test_a_process_that_slept_goes_on_in_a_new_folder(place: Place) -> None:
    await place.store.put_blob(names.DICOM, "before", b"1")
    place.clock.ahead = 2 * HOUR
    other = EmbeddedStorage(place.directory, clock=place.clock)
    await other.check()
    await other.close()
    assert place.sql("SELECT verified FROM folder") == [(1,)]
    await place.store.put_blob(names.DICOM, "after", b"2")
    assert place.sql("SELECT count(*) FROM folder") == [(2,)]
    assert place.file("after").parent != place.file("before").parent
    assert await place.store.get_blob(names.DICOM, "before") == b"1"
    assert await place.store.get_blob(names.DICOM, "after") == b"2"
    assert len(place.files()) == 2


async def test_files_that_a_killed_process_left(place: Place) -> None:
    """Without a row they are no blobs; the check removes them when nobody can be at work on them any more."""
    await place.store.put_blob(names.DICOM, "x", b"1")
    left = place.file("x").with_name("3ff")
    left.write_bytes(b"half a fi")
    stranger = left.with_name("notes.txt")
    stranger.write_bytes(b"not ours")
    unknown = place.directory / "blobs" / "00ffff"
    unknown.mkdir()
    (unknown / "000").write_bytes(b"of a reset")
    assert [item.name async for item in place.store.list_blobs(names.DICOM)] == ["x"]
    await place.reopened()
    assert left.exists()
    assert not unknown.exists()
    os.utime(left, (time.time() - 4000,) * 2)
    await place.reopened()
    assert not left.exists()
    assert stranger.exists()
    assert await place.store.get_blob(names.DICOM, "x") == b"1"


async def test_files_that_a_killed_deletion_left(place: Place) -> None:
    await place.store.put_blob(names.DICOM, "x", b"1")
    path = place.file("x")
    await place.store.delete_blob(names.DICOM, "x")
    assert not path.exists()
    path.write_bytes(b"1")  # as if the process had died before this
    await place.store.put_blob(names.DICOM, "y", b"2")
    await place.store.delete_blob(names.DICOM, "y")
    assert len(place.sql("SELECT id FROM litter")) == 1
    number = int(path.parent.name, 16) * embedded_disk.FOLDER_SIZE + int(path.name, 16)
    place.sql("INSERT OR IGNORE INTO litter VALUES (?)", number)
    await place.reopened()
    assert not path.exists()
    assert place.sql("SELECT id FROM litter") == []


async def test_names_do_not_reach_the_file_system(place: Place) -> None:
    """Long names, names that differ in case alone, and names that mean something to a file system."""
    uid = "1." + "2" * 62
    blobs = [
        "/".join(["p" * 64, uid, uid, uid, "f" * 24 + ".dcm"]),
        "a/b",
        "A/B",
        "a/../b",
        "../x",
        "CON",
        "a|b?*:",
        "é",
    ]
    for name in blobs:
        await place.store.put_blob(names.DICOM, name, name.encode())
    for name in blobs:
        assert await place.store.get_blob(names.DICOM, name) == name.encode()
    assert [item.name async for item in place.store.list_blobs(names.DICOM)] == sorted(blobs)
    assert max(len(str(path.relative_to(place.directory))) for path in place.files()) == len("blobs/000001/000")


async def test_a_prefix_is_no_pattern(place: Place) -> None:
    for name in ("a", "a\U0010ffff", "a\uffff", "a%", "a_b", "aa", "b"):
        await place.store.put_blob(names.DICOM, name, b"")
    for prefix, expected in (
        ("a%", ["a%"]),
        ("a_", ["a_b"]),
        ("a\U0010ffff", ["a\U0010ffff"]),
        ("a\uffff", ["a\uffff"]),
    ):
        assert [item.name async for item in place.store.list_blobs(names.DICOM, prefix)] == expected
    everything = [item.name async for item in place.store.list_blobs(names.DICOM)]
    assert everything == ["a", "a%", "a_b", "aa", "a\U0010ffff", "a\uffff", "b"]


async def test_copies_share_nothing_but_their_content(place: Place) -> None:
    await place.store.put_blob(names.DICOM, "a", b"1")
    await place.store.put_blob(names.DICOM, "b", b"2")
    replaced = place.file("b")
    await place.store.copy_blob(names.DICOM, "a", "b")
    assert await place.store.get_blob(names.DICOM, "b") == b"1"
    assert not replaced.exists()
    await place.store.delete_blob(names.DICOM, "a")
    assert await place.store.get_blob(names.DICOM, "b") == b"1"
    assert len(place.files()) == 1


async def test_copies_where_a_file_cannot_have_two_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    content = bytes(3_000_000)
    await place.store.put_blob(names.DICOM, "a", content)
    await place.store.copy_blob(names.DICOM, "a", "b")
    await place.store.delete_blob(names.DICOM, "a")
    assert await place.store.get_blob(names.DICOM, "b") == content


async def test_a_reset_while_others_write(place: Place) -> None:
    """A blob is there with its file, or it is not there."""
    other = EmbeddedStorage(place.directory, clock=place.clock)
    stopped = False

    async def write(store: EmbeddedStorage, name: str) -> int:
        number = 0
        while not stopped:
            size = 2_000_000 if number % 10 == 9 else 1000
            await store.put_blob(names.DICOM, f"{name}/{number}", bytes(size))
            await store.write(names.INDEX, Insert(Entity(name, f"{number}", {})))
            number += 1
            await asyncio.sleep(0)
        return number

    writers = [asyncio.create_task(write(store, name)) for name, store in (("a", place.store), ("b", other))]
    for _ in range(10):
        await asyncio.sleep(0.05)
        await place.store.reset()
    stopped = True
    assert min(await asyncio.gather(*writers)) > 2
    items = [item async for item in place.store.list_blobs(names.DICOM)]
    for item in items:
        assert len(await place.store.get_blob(names.DICOM, item.name)) == item.size
    assert await place.store.check() == []
    await other.close()
    await place.store.reset()
    await place.store.close()
    assert place.files() == []


async def test_a_folder_that_another_process_removed(place: Place) -> None:
    """As its reset does, at any moment of a write."""
    await place.store.put_blob(names.DICOM, "before", b"1")
    place.sql("DELETE FROM blob")
    place.sql("DELETE FROM folder")
    await place.store.put_blob(names.DICOM, "a", b"2")
    shutil.rmtree(place.directory / "blobs")
    place.sql("DELETE FROM folder")
    await place.store.put_blob(names.DICOM, "b", b"3")
    assert await place.store.get_blob(names.DICOM, "b") == b"3"
    await place.store.put_blob(names.DICOM, "c", b"4")
    shutil.rmtree(place.file("c").parent)
    with pytest.raises(BlobMissing):
        await place.store.copy_blob(names.DICOM, "c", "d")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a directory whose files are open")
async def test_a_directory_that_was_renamed_or_removed(place: Place, tmp_path: Path) -> None:
    """The database is still open, and goes with its directory: nothing is stored where its files would not be."""
    await place.store.put_blob(names.DICOM, "before", b"1")
    place.directory.rename(tmp_path / "elsewhere")
    for attempt in range(2):
        with pytest.raises(Unavailable, match="not there any more"):
            await place.store.put_blob(names.DICOM, f"{attempt}", b"2")
    with pytest.raises(Unavailable, match="not there any more"):
        await place.store.ping()
    assert not place.directory.exists()
    (tmp_path / "elsewhere").rename(place.directory)
    await place.store.ping()
    await place.store.put_blob(names.DICOM, "after", b"3")
    assert await place.store.get_blob(names.DICOM, "after") == b"3"
    assert await place.store.get_blob(names.DICOM, "before") == b"1"
    assert await place.store.check() == []


async def test_files_that_cannot_be_listed(place: Place) -> None:
    """The check says so."""
    (place.directory / "blobs").write_bytes(b"no directory")
    with pytest.raises(Unavailable, match="cannot be read"):
        await place.store.check()


async def test_reset_of_a_thousand_instances(place: Place) -> None:
    async def store(number: int) -> None:
        await place.store.put_blob(names.DICOM, f"{number}", bytes(10_000))
        await place.store.write(names.INDEX, Insert(Entity("p", f"{number}", {"md": bytes(2000)})))

    for first in range(0, 1000, 50):
        await asyncio.gather(*map(store, range(first, first + 50)))
    began = time.monotonic()
    await place.store.reset()
    assert time.monotonic() - began < 1
    assert [item async for item in place.store.list_blobs(names.DICOM)] == []
    await place.store.close()
    assert place.files() == []


async def test_a_cancelled_upload_is_no_blob(place: Place) -> None:
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Endless:
        size = 5_000_000
        in_memory = False

        def read(self, offset: int, length: int) -> bytes:
            loop.call_soon_threadsafe(entered.set)
            time.sleep(0.05)
            return bytes(length)

    upload = asyncio.create_task(place.store.put_blob(names.DICOM, "x", Endless()))
    await entered.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await place.store.put_blob(names.DICOM, "x", b"1")
    assert [(item.name, item.size) async for item in place.store.list_blobs(names.DICOM)] == [("x", 1)]
    assert await place.store.get_blob(names.DICOM, "x") == b"1"


async def test_content_that_cannot_be_read(place: Place) -> None:
    class Gone:
        size = 5_000_000
        in_memory = False

        def read(self, offset: int, length: int) -> bytes:
            raise FileNotFoundError(2, "No such file")

    with pytest.raises(DicomServiceError, match="cannot be read"):
        await place.store.put_blob(names.DICOM, "x", Gone())
    assert place.files() == []
