"""Blobs, on each engine."""

import asyncio
import hashlib
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.clock import SECOND, wall_clock
from shared.errors import DicomServiceError
from shared.storage.names import DICOM
from shared.storage.primitives import BlobExists, BlobMissing, Storage

pytestmark = pytest.mark.integration

BLOCK = 4 * 1024 * 1024
"""Above this size content goes up in pieces (Azure Storage)."""


@dataclass(slots=True)
class MadeUp:
    """A `BlobSource` whose bytes are worked out; remembers what was read."""

    size: int
    in_memory: bool = True
    reads: list[tuple[int, int]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        end = min(offset + length, self.size)
        first, last = offset // 4096, (end + 4095) // 4096
        whole = b"".join(random.Random(block).randbytes(4096) for block in range(first, last))
        return whole[offset - first * 4096 : end - first * 4096]


@pytest.fixture
def folder(partition: str) -> str:
    return partition.replace("|", "/")


@pytest.mark.parametrize("size", [0, 1, 511, 512 * 1024, BLOCK, BLOCK + 1, 3 * BLOCK + 77])
@pytest.mark.parametrize("kind", ["bytes", "memory", "file"])
async def test_content_comes_back_as_it_went(storage: Storage, folder: str, size: int, kind: str) -> None:
    source = MadeUp(size, in_memory=kind == "memory")
    content = source.read(0, size)
    await storage.put_blob(DICOM, f"{folder}/x.dcm", content if kind == "bytes" else source)
    assert await storage.get_blob(DICOM, f"{folder}/x.dcm") == content


@pytest.mark.parametrize("size", [100, 2 * BLOCK + 1])
async def test_a_blob_is_written_once(storage: Storage, folder: str, size: int) -> None:
    await storage.put_blob(DICOM, f"{folder}/x", b"first")
    with pytest.raises(BlobExists):
        await storage.put_blob(DICOM, f"{folder}/x", b"2" * size)
    assert await storage.get_blob(DICOM, f"{folder}/x") == b"first"


async def test_of_many_at_once_one_is_written(storage: Storage, folder: str) -> None:
    async def attempt(number: int) -> bool:
        try:
            await storage.put_blob(DICOM, f"{folder}/x", bytes([number]) * 1000)
        except BlobExists:
            return False
        return True

    done = await asyncio.gather(*map(attempt, range(10)))
    assert sum(done) == 1
    assert await storage.get_blob(DICOM, f"{folder}/x") == bytes([done.index(True)]) * 1000


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 10, b"0123456789"),
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (3, None, b"3456789"),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (0, 100, b"0123456789"),
        (10, 1, b""),
        (10, None, b""),
        (50, 10, b""),
        (0, 0, b""),
        (5, 0, b""),
    ],
)
async def test_ranges(storage: Storage, folder: str, offset: int, length: int | None, expected: bytes) -> None:
    await storage.put_blob(DICOM, f"{folder}/x", b"0123456789")
    assert await storage.get_blob(DICOM, f"{folder}/x", offset, length) == expected


@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, 10), (5, None), (0, 0)])
async def test_ranges_of_an_empty_blob(storage: Storage, folder: str, offset: int, length: int | None) -> None:
    await storage.put_blob(DICOM, f"{folder}/x", b"")
    assert await storage.get_blob(DICOM, f"{folder}/x", offset, length) == b""


async def test_ranges_of_a_large_blob(storage: Storage, folder: str) -> None:
    source = MadeUp(3 * BLOCK + 5)
    await storage.put_blob(DICOM, f"{folder}/x", source)
    for offset, length in ((0, 10), (BLOCK - 3, 7), (2 * BLOCK, BLOCK), (3 * BLOCK, 100), (12345, BLOCK + 1)):
        assert await storage.get_blob(DICOM, f"{folder}/x", offset, length) == source.read(offset, length)


@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, 0), (5, 5)])
async def test_a_missing_blob(storage: Storage, folder: str, offset: int, length: int | None) -> None:
    with pytest.raises(BlobMissing):
        await storage.get_blob(DICOM, f"{folder}/none", offset, length)


async def test_delete_says_whether_it_was_there(storage: Storage, folder: str) -> None:
    await storage.put_blob(DICOM, f"{folder}/x", b"1")
    assert await storage.delete_blob(DICOM, f"{folder}/x") is True
    assert await storage.delete_blob(DICOM, f"{folder}/x") is False
    with pytest.raises(BlobMissing):
        await storage.get_blob(DICOM, f"{folder}/x")
    await storage.put_blob(DICOM, f"{folder}/x", b"2")
    assert await storage.get_blob(DICOM, f"{folder}/x") == b"2"


async def test_copy(storage: Storage, folder: str) -> None:
    content = MadeUp(BLOCK + 1).read(0, BLOCK + 1)
    await storage.put_blob(DICOM, f"{folder}/a 'ü'", content)
    await storage.copy_blob(DICOM, f"{folder}/a 'ü'", f"{folder}/deeper/b")
    assert await storage.get_blob(DICOM, f"{folder}/deeper/b") == content
    await storage.delete_blob(DICOM, f"{folder}/a 'ü'")
    assert await storage.get_blob(DICOM, f"{folder}/deeper/b", 5, 3) == content[5:8]


async def test_copy_of_a_missing_blob(storage: Storage, folder: str) -> None:
    with pytest.raises(BlobMissing):
        await storage.copy_blob(DICOM, f"{folder}/none", f"{folder}/b")


async def test_list(storage: Storage, folder: str) -> None:
    before = wall_clock()
    names = ["a", "a b", "a/1", "a/10", "a/2", "ab", "b+c&d", "b<c", "é", "Z"]
    for size, name in enumerate(names):
        await storage.put_blob(DICOM, f"{folder}/{name}", b"x" * size)
    found = [item async for item in storage.list_blobs(DICOM, f"{folder}/")]
    assert [(item.name, item.size) for item in found] == [
        (f"{folder}/{name}", names.index(name)) for name in sorted(names)
    ]
    assert all(before - 2 * SECOND <= item.modified <= wall_clock() + 2 * SECOND for item in found)
    assert [item.name async for item in storage.list_blobs(DICOM, f"{folder}/a/1")] == [
        f"{folder}/a/1",
        f"{folder}/a/10",
    ]
    assert [item async for item in storage.list_blobs(DICOM, f"{folder}/nothing")] == []


async def test_containers_are_apart(storage: Storage, folder: str) -> None:
    await storage.put_blob("overflow", f"{folder}/x", b"1")
    with pytest.raises(BlobMissing):
        await storage.get_blob(DICOM, f"{folder}/x")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(
        st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Cn"], exclude_characters='/\\"*<>?|:.'),
        min_size=1,
        max_size=30,
    ),
    content=st.binary(max_size=50),
)
async def test_any_name(storage: Storage, folder: str, name: str, content: bytes) -> None:
    """40 examples of names, among folders."""
    blob = f"{folder}/{name}/{name}.dcm"
    await storage.put_blob(DICOM, blob, content)
    assert await storage.get_blob(DICOM, blob) == content
    assert [item.name async for item in storage.list_blobs(DICOM, f"{folder}/{name}/")] == [blob]
    assert await storage.delete_blob(DICOM, blob)


async def test_a_large_upload_takes_little_memory(storage: Storage, folder: str, size: Callable[[str], int]) -> None:
    """A file of 300 MB passes with a handful of blocks in memory."""
    source = MadeUp(size("bytes of a large file"), in_memory=False)
    tracemalloc.start()
    try:
        await storage.put_blob(DICOM, f"{folder}/large", source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * BLOCK
    assert max(length for _, length in source.reads) <= BLOCK
    expected, found = hashlib.sha256(), hashlib.sha256()
    for offset in range(0, source.size, BLOCK):
        expected.update(source.read(offset, BLOCK))
        found.update(await storage.get_blob(DICOM, f"{folder}/large", offset, BLOCK))
    assert found.digest() == expected.digest()
    await storage.delete_blob(DICOM, f"{folder}/large")


async def test_an_upload_that_ends_early_leaves_nothing(storage: Storage, folder: str) -> None:
    class Truncated(MadeUp):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length) if offset < BLOCK else b""

    with pytest.raises(DicomServiceError):
        await storage.put_blob(DICOM, f"{folder}/x", Truncated(3 * BLOCK))
    with pytest.raises(BlobMissing):
        await storage.get_blob(DICOM, f"{folder}/x")
    assert [item async for item in storage.list_blobs(DICOM, f"{folder}/")] == []
