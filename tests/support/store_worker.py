"""A process that works on an embedded store until it is killed: `python -m tests.support.store_worker PATH NAME MODE`.

`write`: puts blobs, transactions and messages, and prints the number of each round once all of it is acknowledged.
`count`: adds one to a row, under its ETag, as often as standard input says, and prints how often it had to try.
"""

import asyncio
import os
import random
import sys

from shared.storage import names
from shared.storage.embedded import EmbeddedStorage
from shared.storage.primitives import Delete, Entity, EntityChanged, Operation, Replace, Upsert

PARTITIONS = 3
ROWS = ("a", "b", "c")
KEPT_BLOBS = 4
"""A round removes the blob of so many rounds before."""


def content(name: str, number: int) -> bytes:
    """What the blob of a round holds: every 40th is written in a thread and in pieces."""
    source = random.Random(f"{name}/{number}")
    return source.randbytes(9_000_000 if number % 40 == 39 else source.randrange(200_000))


def acknowledge(number: int) -> None:
    os.write(1, b"%d\n" % number)


async def work(store: EmbeddedStorage, name: str) -> None:
    number = 0
    while True:
        key = f"{name}|{number % PARTITIONS}"
        operations: list[Operation] = [Upsert(Entity(key, row, {"n": number, "bytes": bytes(3000)})) for row in ROWS]
        await asyncio.gather(
            store.put_blob(names.DICOM, f"{name}/{number:06d}", content(name, number)),
            store.transact(names.INDEX, operations),
            store.write(names.STUDIES, Upsert(Entity(name, f"{number:06d}", {"qnumber": f"{number:06d}"}))),
            store.send_message(names.OPERATIONS_QUEUE, f"{name}/{number}"),
        )
        if number >= KEPT_BLOBS:
            await asyncio.gather(
                store.delete_blob(names.DICOM, f"{name}/{number - KEPT_BLOBS:06d}"),
                store.write(names.STUDIES, Delete(name, f"{number - KEPT_BLOBS:06d}", "*")),
            )
        acknowledge(number)
        number += 1


async def count(store: EmbeddedStorage, times: int) -> int:
    tries = 0
    for _ in range(times):
        while True:
            tries += 1
            row = await store.get(names.INDEX, "counter", "counter")
            assert row is not None
            increased = Entity("counter", "counter", {"n": int(row.values["n"]) + 1})
            await asyncio.sleep(0.001)
            try:
                await store.write(names.INDEX, Replace(increased, row.etag))
                break
            except EntityChanged:
                continue
    return tries


async def main(path: str, name: str, mode: str) -> None:
    store = EmbeddedStorage(path, durable=mode.endswith("durably"))
    await store.prepare()
    if mode.startswith("write"):
        await work(store, name)
    acknowledge(0)
    times = int(await asyncio.to_thread(sys.stdin.readline))
    acknowledge(await count(store, times))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
