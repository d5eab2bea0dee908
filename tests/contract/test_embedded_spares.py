"""Files of the embedded store that are made ahead: nobody takes one for a blob, and no blob is taken for one."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage import embedded_spares, names
from shared.storage.embedded import EmbeddedStorage
from shared.storage.embedded_disk import FOLDER_SIZE, Disk
from shared.storage.primitives import BlobMissing

pytestmark = pytest.mark.integration


@pytest.fixture(params=[False, True], ids=["", "durable"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedStorage]:
    engine = EmbeddedStorage(tmp_path / "store", request.param)
    await engine.prepare()
    yield engine
    await engine.close()


def files(directory: Path) -> dict[str, int]:
    """Sizes of all files."""
    found = (path for path in (directory / "store" / "blobs").rglob("*") if path.is_file())
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in found}


async def put(store: EmbeddedStorage, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        await store.put_blob(names.DICOM, f"{number}", b"%d" % number)


async def made(store: EmbeddedStorage) -> None:
    """Waits for the thread."""
    making = store._blobs._spares._making
    if making:
        await asyncio.wrap_future(making)


async def put_until_ahead(store: EmbeddedStorage, count: int) -> int:
    """Stores so many files, and more until some are made ahead: a busy machine's thread may come too late for them.

    Gives the number of files.
    """
    await put(store, count)
    await made(store)
    spares = store._blobs._spares
    while not any(number >= spares._next for number in spares._made):
        await put(store, 1, count)
        await made(store)
        count += 1
    return count


async def intact(store: EmbeddedStorage, numbers: range) -> None:
    for number in numbers:
        assert await store.get_blob(names.DICOM, f"{number}") == b"%d" % number
    assert await store.check() == []


async def test_who_stores_a_few_files_has_none(store: EmbeddedStorage, tmp_path: Path) -> None:
    await put(store, 4)
    await made(store)
    assert len(files(tmp_path)) == 4


async def test_they_are_there_used_and_removed_at_the_end(store: EmbeddedStorage, tmp_path: Path) -> None:
    count = await put_until_ahead(store, 200)
    sizes = list(files(tmp_path).values())
    assert count < len(sizes) <= count + embedded_spares.MOST_AHEAD
    assert sizes.count(0) == len(sizes) - count
    ahead = set(files(tmp_path))
    await put(store, 8, count)
    assert len(ahead & set(files(tmp_path))) == len(ahead)
    await intact(store, range(count + 8))
    await store.close()
    assert len(files(tmp_path)) == count + 8
    assert all(files(tmp_path).values())


async def test_a_folder_ends_with_its_last_number(store: EmbeddedStorage, tmp_path: Path) -> None:
    count = FOLDER_SIZE + 40
    await put(store, count)
    await intact(store, range(count))
    await store.close()
    folders = [name.partition("/")[0] for name in files(tmp_path)]
    assert sorted(map(folders.count, set(folders))) == [40, FOLDER_SIZE]


@pytest.mark.parametrize("slow", ["before", "after"])
async def test_a_file_is_written_while_it_is_made(
    store: EmbeddedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """The thread comes late, with the file or with the news of it: what was written meanwhile stays, to the end."""
    make = Disk.make
    go_on = threading.Event()

    def slowly(disk: Disk, number: int) -> None:
        if slow == "before":
            go_on.wait()
        make(disk, number)
        if slow == "after":
            go_on.wait()

    monkeypatch.setattr(Disk, "make", slowly)
    await put(store, 60)
    assert store._blobs._spares._making
    go_on.set()
    await made(store)
    await put(store, 60, 60)
    await store.copy_blob(names.DICOM, "0", "copy")
    await intact(store, range(120))
    await store.close()
    assert len(files(tmp_path)) == 121
    assert all(files(tmp_path).values())


async def test_old_ones_are_not_used(store: EmbeddedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process' check might be about to remove them."""
    count = await put_until_ahead(store, 100)
    empty = {name for name, size in files(tmp_path).items() if not size}
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + embedded_spares.USABLE_SECONDS)
    await put(store, 1, count)
    await made(store)
    assert empty
    assert empty.isdisjoint(files(tmp_path))
    await put(store, 50, count + 1)
    await intact(store, range(count + 51))


async def test_those_of_a_killed_process_go_with_the_next_check(store: EmbeddedStorage, tmp_path: Path) -> None:
    count = await put_until_ahead(store, 100)
    other = EmbeddedStorage(tmp_path / "store")
    assert await other.check() == []
    left = [tmp_path / "store" / "blobs" / name for name, size in files(tmp_path).items() if not size]
    assert left
    for path in left:
        os.utime(path, (time.time() - 4000,) * 2)
    assert await other.check() == []
    assert not any(path.exists() for path in left)
    assert len(files(tmp_path)) == count
    await put(store, 20, count)
    await intact(store, range(count + 20))
    await other.close()


async def test_copies_come_into_their_place(store: EmbeddedStorage, tmp_path: Path) -> None:
    count = await put_until_ahead(store, 100)
    for number in range(30):
        await store.copy_blob(names.DICOM, f"{number}", f"copy{number}")
    for number in range(30):
        assert await store.get_blob(names.DICOM, f"copy{number}") == b"%d" % number
    await intact(store, range(count))
    await store.close()
    assert len(files(tmp_path)) == count + 30


async def test_a_reset_takes_them_along(store: EmbeddedStorage, tmp_path: Path) -> None:
    await put(store, 100)
    await store.reset()
    await put(store, 100)
    with pytest.raises(BlobMissing):
        await store.get_blob(names.DICOM, "100")
    await intact(store, range(100))
    await store.close()
    assert len(files(tmp_path)) == 100
