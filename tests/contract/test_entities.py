"""Entities one by one, on each engine."""

import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.clock import SECOND, wall_clock
from shared.storage.azure import AzureStorage
from shared.storage.names import INDEX
from shared.storage.primitives import (
    ANY,
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
    Upsert,
    Value,
)

pytestmark = pytest.mark.integration

EXAMPLES = 60
"""Hypothesis's examples of each property here."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
"""What a string property may hold: everything but half a surrogate pair."""
KEYS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\#?"), min_size=1, max_size=80
)
"""What a key may hold. Line separators Azurite cannot take."""
VALUES: st.SearchStrategy[Value] = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=300),
)


def same_types(one: dict[str, Value], other: dict[str, Value]) -> bool:
    return one == other and all(type(one[name]) is type(other[name]) for name in one)


async def test_get_of_what_is_not_there(storage: Storage, partition: str) -> None:
    assert await storage.get(INDEX, partition, "none") is None


async def test_insert_then_get(storage: Storage, partition: str) -> None:
    values: dict[str, Value] = {"text": "x", "yes": True, "no": False, "n": 2**40, "f": 2.0, "b": b"\x00\xff", "e": ""}
    before = wall_clock()
    etag = await storage.write(INDEX, Insert(Entity(partition, "row", values)))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.partition, found.row, found.etag) == (partition, "row", etag)
    assert same_types(found.values, values)
    assert before - 2 * SECOND < found.timestamp < wall_clock() + 2 * SECOND


async def test_insert_meets_a_row(storage: Storage, partition: str) -> None:
    first = await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    with pytest.raises(EntityExists):
        await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 2})))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.values, found.etag) == ({"n": 1}, first)


async def test_replace_takes_all_properties_away(storage: Storage, partition: str) -> None:
    old = await storage.write(INDEX, Insert(Entity(partition, "row", {"a": 1, "b": "x"})))
    new = await storage.write(INDEX, Replace(Entity(partition, "row", {"c": True}), old))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.values, found.etag) == ({"c": True}, new)
    assert new != old


async def test_merge_leaves_the_other_properties(storage: Storage, partition: str) -> None:
    old = await storage.write(INDEX, Insert(Entity(partition, "row", {"a": 1, "b": b"x", "c": 1.5})))
    new = await storage.write(INDEX, Merge(Entity(partition, "row", {"b": "now text", "d": 7}), old))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert same_types(found.values, {"a": 1, "b": "now text", "c": 1.5, "d": 7})
    assert found.etag == new != old


@pytest.mark.parametrize("any_etag", [True, False])
async def test_a_merge_of_nothing_changes_the_etag_alone(storage: Storage, partition: str, any_etag: bool) -> None:
    """The guard of appends to the change feed."""
    values: dict[str, Value] = {"a": 1, "b": b"x", "c": "text"}
    old = await storage.write(INDEX, Insert(Entity(partition, "row", values)))
    nothing = Entity(partition, "row")
    new = await storage.write(INDEX, Merge(nothing, ANY if any_etag else old))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.values, found.etag) == (values, new)
    assert new != old
    with pytest.raises(EntityChanged):
        await storage.write(INDEX, Merge(nothing, old))
    with pytest.raises(EntityMissing):
        await storage.write(INDEX, Merge(Entity(partition, "other"), ANY if any_etag else old))


@pytest.mark.parametrize("kind", ["replace", "merge", "delete"])
async def test_an_old_etag_is_refused(storage: Storage, partition: str, kind: str) -> None:
    old = await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    current = await storage.write(INDEX, Replace(Entity(partition, "row", {"n": 2}), old))
    entity = Entity(partition, "row", {"n": 3})
    operations: dict[str, Operation] = {
        "replace": Replace(entity, old),
        "merge": Merge(entity, old),
        "delete": Delete(partition, "row", old),
    }
    with pytest.raises(EntityChanged):
        await storage.write(INDEX, operations[kind])
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.values, found.etag) == ({"n": 2}, current)


@pytest.mark.parametrize("etag", [ANY, "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""])
@pytest.mark.parametrize("kind", ["replace", "merge", "delete"])
async def test_a_missing_row_is_missing(storage: Storage, partition: str, kind: str, etag: str) -> None:
    entity = Entity(partition, "row", {"n": 3})
    operations: dict[str, Operation] = {
        "replace": Replace(entity, etag),
        "merge": Merge(entity, etag),
        "delete": Delete(partition, "row", etag),
    }
    with pytest.raises(EntityMissing):
        await storage.write(INDEX, operations[kind])
    assert await storage.get(INDEX, partition, "row") is None


async def test_any_etag_is_good_enough_for_any(storage: Storage, partition: str) -> None:
    await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    await storage.write(INDEX, Merge(Entity(partition, "row", {"m": 1}), ANY))
    await storage.write(INDEX, Replace(Entity(partition, "row", {"n": 2}), ANY))
    assert await storage.write(INDEX, Delete(partition, "row", ANY)) == ""
    assert await storage.get(INDEX, partition, "row") is None


async def test_upsert_inserts_and_replaces(storage: Storage, partition: str) -> None:
    first = await storage.write(INDEX, Upsert(Entity(partition, "row", {"a": 1})))
    second = await storage.write(INDEX, Upsert(Entity(partition, "row", {"b": 2})))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert (found.values, found.etag) == ({"b": 2}, second)
    assert first != second


async def test_writing_the_same_again_changes_the_etag(storage: Storage, partition: str) -> None:
    """Protocol, rule 34: the fence replaces a row by itself."""
    entity = Entity(partition, "row", {"a": 1})
    etags = [await storage.write(INDEX, Insert(entity))]
    for _ in range(50):
        etags.append(await storage.write(INDEX, Replace(entity, etags[-1])))
    assert len(set(etags)) == len(etags)


async def test_a_row_that_came_again_has_another_etag(storage: Storage, partition: str) -> None:
    first = await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    await storage.write(INDEX, Delete(partition, "row", first))
    await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    with pytest.raises(EntityChanged):
        await storage.write(INDEX, Replace(Entity(partition, "row", {"n": 2}), first))


async def test_the_timestamp_is_of_the_last_write(storage: Storage, partition: str) -> None:
    etag = await storage.write(INDEX, Insert(Entity(partition, "row", {"n": 1})))
    first = await storage.get(INDEX, partition, "row")
    time.sleep(0.05)
    await storage.write(INDEX, Merge(Entity(partition, "row", {"m": 1}), etag))
    second = await storage.get(INDEX, partition, "row")
    assert first is not None
    assert second is not None
    assert second.timestamp >= first.timestamp + SECOND // 100


async def test_select_gives_what_is_there_of_it(storage: Storage, partition: str) -> None:
    etag = await storage.write(INDEX, Insert(Entity(partition, "row", {"a": 1, "b": b"2", "c": "3"})))
    found = await storage.get(INDEX, partition, "row", select=["a", "b", "nowhere"])
    assert found is not None
    assert same_types(found.values, {"a": 1, "b": b"2"})
    assert (found.partition, found.row, found.etag) == (partition, "row", etag)
    assert found.timestamp > 0
    nothing = await storage.get(INDEX, partition, "row", select=[])
    assert nothing is not None
    assert (nothing.values, nothing.etag) == ({}, etag)


async def test_large_properties(storage: Storage, partition: str) -> None:
    """64 KB of binary, 32 K characters, and a row of three quarters of a megabyte."""
    values: dict[str, Value] = {f"b{number}": bytes([number]) * 65536 for number in range(10)}
    values |= {"text": "ä" * 32768}
    etag = await storage.write(INDEX, Insert(Entity(partition, "row", values)))
    values["b0"] = b"changed"
    await storage.write(INDEX, Replace(Entity(partition, "row", values), etag))
    found = await storage.get(INDEX, partition, "row")
    assert found is not None
    assert found.values == values


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True), VALUES, max_size=8))
async def test_values_come_back_as_they_went(storage: Storage, partition: str, values: dict[str, Value]) -> None:
    """60 examples, alone and in a transaction."""
    await storage.write(INDEX, Upsert(Entity(partition, "one", values)))
    await storage.transact(
        INDEX, [Upsert(Entity(partition, "two", values)), Upsert(Entity(partition, "three", values))]
    )
    for row in ("one", "two", "three"):
        found = await storage.get(INDEX, partition, row)
        assert found is not None
        assert same_types(found.values, values)


def trips_azurite(key: str) -> bool:
    """Its transactions take a quote before a comma or a parenthesis for the end of a key, be it the one that the key
    begins behind. The service does not, and no key of ours has either."""
    return "'," in f"'{key}" or "')" in f"'{key}"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=KEYS, row=KEYS)
@example(prefix=",", row="a',b')")
@example(prefix="'", row=",")
async def test_keys_come_back_as_they_went(storage: Storage, partition: str, prefix: str, row: str) -> None:
    """60 examples of both keys through every operation, alone and in transactions, and through filters."""
    key = f"{prefix}{partition}"
    first = await storage.write(INDEX, Insert(Entity(key, row, {"n": 1})))
    second = await storage.write(INDEX, Replace(Entity(key, row, {"n": 2}), first))
    third = await storage.write(INDEX, Merge(Entity(key, row, {"m": row}), second))
    assert [found async for found in storage.query(INDEX, key, (row, row + "!"))] == [
        await storage.get(INDEX, key, row)
    ]
    alone = isinstance(storage, AzureStorage) and (trips_azurite(key) or trips_azurite(row))

    async def change(operation: Operation) -> str:
        if alone:
            return await storage.write(INDEX, operation)
        [etag] = await storage.transact(INDEX, [operation])
        return etag

    fourth = await change(Replace(Entity(key, row, {"n": 3}), third))
    fifth = await change(Merge(Entity(key, row, {"m": key}), fourth))
    found = await storage.get(INDEX, key, row)
    assert found is not None
    assert (found.partition, found.row, found.values, found.etag) == (key, row, {"n": 3, "m": key}, fifth)
    await change(Delete(key, row, fifth))
    await change(Insert(Entity(key, row, {"n": 4})))
    await storage.write(INDEX, Delete(key, row, ANY))
    assert await storage.get(INDEX, key, row) is None


@pytest.mark.parametrize(
    "text", ["%2F%27", "a|b", "it's ''quoted''", "1.2.840 + 1 & 2 = 3;4", "名前 ü", "𝒳y", "~!$()*,@:"]
)
async def test_texts_that_need_escaping(storage: Storage, partition: str, text: str) -> None:
    key = f"{partition}{text}"
    await storage.transact(INDEX, [Insert(Entity(key, text, {"v": text}))])
    found = await storage.get(INDEX, key, text)
    assert found is not None
    assert (found.partition, found.row, found.values) == (key, text, {"v": text})
    await storage.write(INDEX, Merge(Entity(key, text, {"w": text + '"\\\r\n\t}{\u2028'}), found.etag))
    await storage.write(INDEX, Delete(key, text, ANY))


async def test_tables_are_apart(storage: Storage, partition: str) -> None:
    await storage.write("index", Insert(Entity(partition, "row", {"n": 1})))
    await storage.write("studies", Insert(Entity(partition, "row", {"n": 2})))
    found = await storage.get("studies", partition, "row")
    assert found is not None
    assert found.values == {"n": 2}
