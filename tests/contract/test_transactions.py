"""Transactions, on each engine."""

import asyncio

import pytest

from shared.storage.names import INDEX
from shared.storage.primitives import (
    ANY,
    MOST_OPERATIONS,
    Delete,
    Entity,
    EntityChanged,
    EntityExists,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Replace,
    Storage,
    TransactionRefused,
    Upsert,
    Value,
)

pytestmark = pytest.mark.integration

OLD_ETAG = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""


async def contents(storage: Storage, partition: str) -> dict[str, tuple[dict[str, Value], str]]:
    return {found.row: (found.values, found.etag) async for found in storage.query(INDEX, partition)}


async def four_rows(storage: Storage, partition: str) -> dict[str, str]:
    etags = await storage.transact(
        INDEX, [Insert(Entity(partition, row, {"n": number, "row": row})) for number, row in enumerate("abcd")]
    )
    return dict(zip("abcd", etags, strict=True))


async def test_every_kind_of_operation_at_once(storage: Storage, partition: str) -> None:
    etags = await four_rows(storage, partition)
    new = await storage.transact(
        INDEX,
        [
            Replace(Entity(partition, "a", {"x": b"1"}), etags["a"]),
            Delete(partition, "b", etags["b"]),
            Merge(Entity(partition, "c", {"x": "a\r\n--changeset\r\nHTTP/1.1 400"}), etags["c"]),
            Upsert(Entity(partition, "d", {"x": 3})),
            Upsert(Entity(partition, "e", {"x": 4.0})),
            Insert(Entity(partition, "f", {"x": False})),
        ],
    )
    assert new[1] == ""
    assert await contents(storage, partition) == {
        "a": ({"x": b"1"}, new[0]),
        "c": ({"n": 2, "row": "c", "x": "a\r\n--changeset\r\nHTTP/1.1 400"}, new[2]),
        "d": ({"x": 3}, new[3]),
        "e": ({"x": 4.0}, new[4]),
        "f": ({"x": False}, new[5]),
    }


@pytest.mark.parametrize("place", [0, 1, 5])
@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("insert", EntityExists),
        ("replace", EntityChanged),
        ("merge", EntityChanged),
        ("delete", EntityChanged),
        ("replace missing", EntityMissing),
        ("merge missing", EntityMissing),
        ("delete missing", EntityMissing),
    ],
)
async def test_nothing_of_a_refused_transaction(
    storage: Storage, partition: str, kind: str, cause: type[Exception], place: int
) -> None:
    """Each way to be refused, at the beginning, in between and at the end; the index is the operation at fault."""
    etags = await four_rows(storage, partition)
    before = await contents(storage, partition)
    faults: dict[str, Operation] = {
        "insert": Insert(Entity(partition, "d", {})),
        "replace": Replace(Entity(partition, "d", {}), OLD_ETAG),
        "merge": Merge(Entity(partition, "d", {}), OLD_ETAG),
        "delete": Delete(partition, "d", OLD_ETAG),
        "replace missing": Replace(Entity(partition, "none", {}), ANY),
        "merge missing": Merge(Entity(partition, "none", {}), ANY),
        "delete missing": Delete(partition, "none", OLD_ETAG),
    }
    operations: list[Operation] = [
        Replace(Entity(partition, "a", {"n": -1}), etags["a"]),
        Delete(partition, "b", etags["b"]),
        Merge(Entity(partition, "c", {"n": -1}), etags["c"]),
        Insert(Entity(partition, "new", {"n": -1})),
        Upsert(Entity(partition, "newer", {"n": -1})),
    ]
    operations.insert(place, faults[kind])
    with pytest.raises(TransactionRefused) as refusal:
        await storage.transact(INDEX, operations)
    assert refusal.value.index == place
    assert type(refusal.value.cause) is cause
    assert await contents(storage, partition) == before
    good = [operation for operation in operations if operation is not faults[kind]]
    await storage.transact(INDEX, good)  # the ETags of before are good still


async def test_the_first_fault_is_named(storage: Storage, partition: str) -> None:
    await four_rows(storage, partition)
    with pytest.raises(TransactionRefused) as refusal:
        await storage.transact(
            INDEX,
            [
                Upsert(Entity(partition, "a", {})),
                Insert(Entity(partition, "b", {})),
                Delete(partition, "none", ANY),
            ],
        )
    assert (refusal.value.index, type(refusal.value.cause)) == (1, EntityExists)


async def test_a_hundred_operations(storage: Storage, partition: str) -> None:
    operations: list[Operation] = [
        Insert(Entity(partition, f"{number:03d}", {"n": number, "b": b"\xff" * 2000}))
        for number in range(MOST_OPERATIONS)
    ]
    etags = await storage.transact(INDEX, operations)
    found = await contents(storage, partition)
    assert [etag for _, etag in found.values()] == etags
    assert len(found) == MOST_OPERATIONS
    with pytest.raises(TransactionRefused) as refusal:
        await storage.transact(INDEX, [*operations[1:][::-1], Insert(Entity(partition, "000", {}))])
    assert refusal.value.index == 0
    await storage.transact(INDEX, [Delete(partition, row, etag) for row, (_, etag) in found.items()])
    assert await contents(storage, partition) == {}


async def test_three_megabytes(storage: Storage, partition: str) -> None:
    """Protocol, rule 10: transactions may have 3.5 MB as they are sent."""
    operations = [Insert(Entity(partition, str(number), {"b": bytes([number]) * 60_000})) for number in range(40)]
    await storage.transact(INDEX, operations)
    found = await contents(storage, partition)
    assert all(found[str(number)][0] == {"b": bytes([number]) * 60_000} for number in range(40))


async def test_of_many_at_once_one_wins(storage: Storage, partition: str) -> None:
    """Twenty transactions on one ETag: one is carried out whole, nineteen not at all."""
    [guard] = await storage.transact(INDEX, [Insert(Entity(partition, "study", {"by": -1}))])

    async def attempt(number: int) -> TransactionRefused | None:
        try:
            await storage.transact(
                INDEX,
                [
                    Replace(Entity(partition, "study", {"by": number}), guard),
                    Insert(Entity(partition, f"instance {number}", {})),
                ],
            )
        except TransactionRefused as refusal:
            return refusal
        return None

    answers = await asyncio.gather(*map(attempt, range(20)))
    assert {(answer.index, type(answer.cause)) for answer in answers if answer} == {(0, EntityChanged)}
    winners = [number for number, answer in enumerate(answers) if answer is None]
    assert len(winners) == 1
    found = await contents(storage, partition)
    assert set(found) == {"study", f"instance {winners[0]}"}
    assert found["study"][0] == {"by": winners[0]}


async def test_of_many_inserts_at_once_one_wins(storage: Storage, partition: str) -> None:
    async def attempt(number: int) -> bool:
        try:
            await storage.write(INDEX, Insert(Entity(partition, "row", {"by": number})))
        except EntityExists:
            return False
        return True

    assert sum(await asyncio.gather(*map(attempt, range(20)))) == 1
