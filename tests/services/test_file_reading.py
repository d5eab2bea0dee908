"""Reading files while instances are replaced and deleted, and how much is read ahead, on both engines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicom.frames import FrameTable
from shared.dicom.transfer_syntaxes import ORIGINAL
from shared.services.file_reading import MOST_BYTES_AHEAD, MOST_FILES_AHEAD, FileReader
from shared.services.retrieve import Source
from shared.services.retrieve_frames import MOST_FRAMES_AHEAD, retrieve_frames
from shared.settings import Settings
from shared.storage import names
from shared.storage.files import CHUNK
from shared.storage.primitives import ANY, BlobMissing, Delete, Entity
from shared.storage.records import InstanceKey, InstanceRecord, NewInstance, UpdatedInstance
from shared.storage.rows import original_row_key, partition_key
from tests.support.made_files import new_uid

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["azurite", "embedded"])
async def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """Without local copies, so that every read is seen by the storage."""
    if request.param == "embedded":
        settings = Settings(store="embedded", store_path=str(tmp_path_factory.mktemp("store")))
    else:
        settings = Settings(storage_connection=request.getfixturevalue("azurite"), local_copies_bytes=0)
    opened = await open_services(settings)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def another(services: Services) -> AsyncIterator[Callable[[], Awaitable[Services]]]:
    """Opens the services of another process on the same store."""
    opened: list[Services] = []

    async def open_another() -> Services:
        opened.append(await open_services(services.settings))
        return opened[-1]

    yield open_another
    for each in opened:
        await each.close()


@pytest.fixture
def reader(services: Services) -> FileReader:
    return FileReader(services.index, services.files)


async def stored(
    services: Services, content: bytes, key: InstanceKey | None = None, frames: bytes = b""
) -> InstanceRecord:
    """Stores content as an instance, or in its place; what the index then says of it."""
    key = key or InstanceKey("Reading", new_uid(), new_uid(), new_uid())
    file = await services.files.upload(key, content)
    new = NewInstance(key, file, len(content), "1.2.840.10008.1.2.1", {}, {}, b"{}", frames)
    await services.committer.store([new], replace=True, expires=None, began=wall_clock())
    record = await services.index.instance(key)
    assert record is not None
    return record


def reading() -> list[str]:
    """The tasks that readers have under way; the committer's own work goes on beside them."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if name.startswith("FileReader.")]


async def whole(reader: FileReader, records: list[InstanceRecord]) -> list[bytes]:
    """The files, put together again."""
    files: list[bytes] = []
    async for chunk in reader.whole(records):
        if chunk.begins is not None:
            files.append(b"")
        files[-1] += chunk.content
    return files


async def test_whole_files(services: Services, reader: FileReader) -> None:
    """RET-27, RET-28: empty, small and large ones, in their order"""
    contents = [b"first", b"", b"x" * (2 * CHUNK + 1), b"y" * CHUNK, *(bytes([n]) * 1000 for n in range(20))]
    records = [await stored(services, content) for content in contents]
    assert await whole(reader, records) == contents


async def test_ranges(services: Services, reader: FileReader) -> None:
    """RET-49: in the order asked for, near and far ones, overlapping and backward"""
    content = bytes(number % 251 for number in range(300_000))
    record = await stored(services, content)
    ranges = [(0, 10), (10, 5), (20, 1), (250_000, 100), (5, 10), (299_990, 10), (299_995, 5)]
    assert await reader.pieces(record, ranges) == [content[start : start + length] for start, length in ranges]


async def test_replaced_meanwhile(services: Services, reader: FileReader) -> None:
    """RET-09, protocol rule 31: the file in its place"""
    old = await stored(services, b"old")
    new = await stored(services, b"newer", old.key)
    await services.files.discard(old.file)
    assert await whole(reader, [old]) == [b"newer"]
    assert await reader.current(old, reader.read) == b"newer"
    [chunk] = [chunk async for chunk in reader.whole([old])]
    assert chunk.begins == new


async def test_deleted_meanwhile(services: Services, reader: FileReader) -> None:
    """protocol rule 31: left out of a study; nothing where it was asked for alone"""
    kept, gone = await stored(services, b"kept"), await stored(services, b"gone")
    await services.committer.delete(gone.key.partition, gone.key.study)
    assert await whole(reader, [kept, gone]) in ([b"kept"], [b"kept", b"gone"])
    await services.files.discard(gone.file)
    assert await whole(reader, [gone, kept, gone]) == [b"kept"]
    assert await reader.current(gone, reader.read) is None


async def test_what_is_remembered_is_read_while_the_row_is(services: Services, reader: FileReader) -> None:
    """protocol rule 31b: on storage that is distant; the row decides"""
    record = await stored(services, b"content")
    waiting, order = asyncio.Event(), []

    async def read(now: InstanceRecord) -> bytes:
        order.append("file")
        waiting.set()
        return await reader.read(now)

    get = services.storage.get

    async def slowly(*arguments: Any) -> Entity | None:
        order.append("row asked for")
        if services.storage.distant:
            await waiting.wait()
        entity = await get(*arguments)
        order.append("row")
        return entity

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.storage, "get", slowly)
        assert await reader.standing(record.key, read) == b"content"
    rest = ["file", "row"] if services.storage.distant else ["row", "file"]
    assert order == ["row asked for", *rest]


async def test_what_is_remembered_is_not_believed(
    services: Services, reader: FileReader, another: Callable[[], Awaitable[Services]]
) -> None:
    """protocol rule 31b: another process replaces, deletes and stores anew"""
    other = await another()
    record = await stored(services, b"old")
    assert await reader.standing(record.key, reader.read) == b"old"
    newer = await stored(other, b"newer", record.key)
    assert await reader.standing(record.key, reader.read) == b"newer"
    await other.files.discard(record.file)
    assert await reader.standing(record.key, reader.read) == b"newer"
    await other.committer.delete(record.key.partition, record.key.study)
    assert await reader.standing(record.key, reader.read) is None
    await other.files.discard(newer.file)
    assert await reader.standing(record.key, reader.read) is None
    again = await stored(other, b"again", record.key)
    assert await reader.standing(record.key, reader.read) == b"again"
    await services.files.discard(again.file)
    with pytest.raises(BlobMissing):
        await reader.standing(record.key, reader.read)


async def test_a_retrieve_that_is_given_up_leaves_nothing_running(services: Services, reader: FileReader) -> None:
    record = await stored(services, b"content")

    async def forever(now: InstanceRecord) -> bytes:
        await asyncio.sleep(3600)
        return b""

    retrieve = asyncio.create_task(reader.standing(record.key, forever))
    await asyncio.sleep(0.05)
    retrieve.cancel()
    with pytest.raises(asyncio.CancelledError):
        await retrieve
    assert not reading()


async def updated(services: Services, content: bytes, before: InstanceRecord) -> InstanceRecord:
    """Makes content the latest version of an instance by a bulk update."""
    file = await services.files.upload(before.key, content)
    new = NewInstance(before.key, file, len(content), "1.2.840.10008.1.2.1", {}, {}, b"{}")
    item = UpdatedInstance(new, before.file, new_uid())
    await services.committer.update((before.key.partition, before.key.study), [item], began=wall_clock())
    record = await services.index.instance(before.key)
    assert record is not None
    return record


async def test_updated_meanwhile(services: Services, reader: FileReader) -> None:
    """PLT-116: a retrieve that began before finishes with its version, of which nothing is removed at once; once it is,
    the latest is read"""
    large = b"1" * (2 * CHUNK)
    stored_ = await stored(services, large)
    first = await updated(services, b"2" * (2 * CHUNK), stored_)
    begun = reader.whole([first])
    chunk = await anext(begun)
    second = await updated(services, b"3", first)
    assert chunk.content + b"".join([each.content async for each in begun]) == b"2" * (2 * CHUNK)
    await services.files.discard(first.file)
    assert await whole(reader, [first]) == [b"3"]
    assert await services.index.original(second) == stored_


@pytest.mark.parametrize("then", ["is updated", "is replaced", "is replaced and updated", "is deleted"])
async def test_originals_meanwhile(services: Services, then: str) -> None:
    """RET-110, protocol rule 31a: the original by a record of it, and of the latest version, after what has happened
    since"""
    reader = FileReader(services.index, services.files, original=True)
    before = await stored(services, b"stored")
    latest = await updated(services, b"updated", before)
    expected = b"stored"
    if then == "is updated":
        await updated(services, b"updated again", latest)
    elif then == "is deleted":
        await services.committer.delete(before.key.partition, before.key.study)
        await services.files.discard(before.file)
        assert await services.index.original(latest) is None
        assert await services.index.originals([latest]) == []
        assert await reader.current(before, reader.read) is None
        return
    else:
        expected = b"put"
        put = await stored(services, expected, before.key)
        await services.files.discard(before.file)
        if then == "is replaced and updated":
            await updated(services, b"updated again", put)
    assert await reader.current(before, reader.read) == expected
    for found in ([await services.index.original(latest)], await services.index.originals([latest])):
        assert [await reader.read(each) for each in found if each] == [expected]


@pytest.mark.parametrize("lost", ["file", "row"])
async def test_lost_original(services: Services, lost: str) -> None:
    """protocol rule 31a: a file that its row still names is an error here, too, and so is a row that is not there"""
    reader = FileReader(services.index, services.files, original=True)
    before = await stored(services, b"stored")
    latest = await updated(services, b"updated", before)
    await services.files.discard(before.file)
    if lost == "row":
        key = before.key
        partition, row = partition_key(key.partition, key.study), original_row_key(key.series, key.instance)
        await services.storage.write(names.INDEX, Delete(partition, row, ANY))
        with pytest.raises(BlobMissing):
            await services.index.originals([latest])
    with pytest.raises(BlobMissing):
        await reader.current(before, reader.read)


async def test_lost(services: Services, reader: FileReader) -> None:
    """protocol rule 31: a file that its row still names is an error, not a 404"""
    record = await stored(services, b"lost")
    await services.files.discard(record.file)
    with pytest.raises(BlobMissing):
        await whole(reader, [record])


class Watched:
    """Notes which files are read; those after the first `answered` take for ever."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch, answered: int = 1000) -> None:
        self.begun: list[str] = []
        get_blob = services.storage.get_blob

        async def counting(container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
            self.begun.append(name)
            if len(self.begun) > answered:
                await asyncio.Event().wait()
            return await get_blob(container, name, offset, length)

        monkeypatch.setattr(services.storage, "get_blob", counting)


@pytest.mark.parametrize("size", [1000, 3_000_000, CHUNK + 1000])
async def test_read_ahead(services: Services, reader: FileReader, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """RET-27: the first file is there before the second is read; then a bounded number is read ahead"""
    records = [await stored(services, bytes(size)) for _ in range(12)]
    watched = Watched(services, monkeypatch)
    chunks = reader.whole(records)
    first = await anext(chunks)
    assert first.begins == records[0]
    assert watched.begun == [records[0].file]
    sent = 1
    async for chunk in chunks:
        sent += chunk.begins is not None
        await asyncio.sleep(0.05)
        ahead = len(set(watched.begun)) - sent
        assert ahead <= MOST_FILES_AHEAD
        assert ahead * min(size, CHUNK) <= MOST_BYTES_AHEAD
    assert sent == 12
    if size > CHUNK:
        assert len(watched.begun) == 24


async def test_small_frames_ahead(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """RET-45, RET-49: of any number of small frames a bounded number is read ahead"""
    content = bytes(number % 251 for number in range(1000))
    record = await stored(services, content, frames=FrameTable(1000, 1000, 0, 8).pack())
    watched = Watched(services, monkeypatch)
    source = Source(services.index, services.files, services.codecs, 1000)
    numbers = [1 + number * 7 % 1000 for number in range(1000)]
    found = await retrieve_frames(source, record.key, numbers, ORIGINAL)
    assert len(watched.begun) == 1
    assert found.following is not None
    frames = [found.first]
    async for frame in found.following:
        frames.append(frame)
        assert len(watched.begun) - len(frames) < MOST_FRAMES_AHEAD
    assert b"".join(frames) == bytes(content[number - 1] for number in numbers)


async def test_given_up(services: Services, reader: FileReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """RET-27: nothing is read on when nobody wants the rest"""
    records = [await stored(services, bytes(3_000_000)) for _ in range(10)]
    Watched(services, monkeypatch, answered=2)
    chunks = reader.whole(records)
    await anext(chunks)
    await anext(chunks)
    assert reading()
    await chunks.aclose()
    assert not reading()
