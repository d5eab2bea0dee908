"""Preparing, emptying and closing a store, on each engine."""

import asyncio
import time
from collections.abc import Callable

import pytest

from shared.storage import names
from shared.storage.primitives import Entity, Insert, Storage

pytestmark = pytest.mark.integration


async def test_prepared_by_several_at_once(open_own: Callable[[], Storage]) -> None:
    stores = [open_own() for _ in range(5)]
    try:
        await asyncio.gather(*(store.prepare() for store in stores))
        await stores[0].write(names.INDEX, Insert(Entity("p", "r", {"n": 1})))
        await asyncio.gather(*(store.prepare() for store in stores))
        found = await stores[4].get(names.INDEX, "p", "r")
        assert found is not None
        for store in stores:
            await store.ping()
    finally:
        for store in stores:
            await store.close()


async def test_reset_leaves_nothing(open_own: Callable[[], Storage]) -> None:
    """A thousand rows in ten partitions, a hundred blobs and a message are gone within seconds."""
    store = open_own()
    try:
        await store.prepare()
        for partition in "0123456789":
            await store.transact(
                names.INDEX, [Insert(Entity(partition, f"{number:03d}", {"b": b"x" * 500})) for number in range(100)]
            )
        for table in names.TABLES[1:]:
            await store.write(table, Insert(Entity("p", "r", {})))
        for container in names.CONTAINERS:
            await asyncio.gather(*(store.put_blob(container, f"a/{number}", b"x" * 1000) for number in range(50)))
        for queue in names.QUEUES:
            await store.send_message(queue, "message")
        began = time.monotonic()
        await store.reset()
        assert time.monotonic() - began < 5
        for table in names.TABLES:
            assert [found async for found in store.query(table)] == []
        for container in names.CONTAINERS:
            assert [item async for item in store.list_blobs(container)] == []
        for queue in names.QUEUES:
            assert await store.receive_messages(queue, 32, 1) == []
        await store.write(names.INDEX, Insert(Entity("0", "000", {})))
        await store.put_blob(names.DICOM, "a/0", b"new")
        assert await store.get_blob(names.DICOM, "a/0") == b"new"
    finally:
        await store.close()


async def test_what_one_writes_the_other_reads(open_own: Callable[[], Storage]) -> None:
    one, other = open_own(), open_own()
    try:
        await one.prepare()
        await other.prepare()
        etag = await one.write(names.INDEX, Insert(Entity("p", "r", {"n": 1})))
        found = await other.get(names.INDEX, "p", "r")
        assert found is not None
        assert found.etag == etag
        await one.put_blob(names.DICOM, "a", b"1")
        assert await other.get_blob(names.DICOM, "a") == b"1"
        await one.send_message(names.OPERATIONS_QUEUE, "text")
        [message] = await other.receive_messages(names.OPERATIONS_QUEUE, 1, 10)
        assert await one.receive_messages(names.OPERATIONS_QUEUE, 1, 10) == []
        await one.delete_message(names.OPERATIONS_QUEUE, message)
    finally:
        await one.close()
        await other.close()


async def test_open_again(open_own: Callable[[], Storage]) -> None:
    first = open_own()
    await first.prepare()
    etag = await first.write(names.INDEX, Insert(Entity("p", "r", {"n": 1})))
    await first.put_blob(names.DICOM, "a", b"1")
    await first.close()
    second = open_own()
    try:
        await second.prepare()
        found = await second.get(names.INDEX, "p", "r")
        assert found is not None
        assert (found.values, found.etag) == ({"n": 1}, etag)
        assert await second.get_blob(names.DICOM, "a") == b"1"
    finally:
        await second.close()
