"""Queries, on each engine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.storage.conditions import matches
from shared.storage.names import INDEX, STUDIES
from shared.storage.primitives import (
    And,
    Compare,
    Condition,
    Entity,
    Insert,
    Or,
    Storage,
    Upsert,
    Value,
)

pytestmark = pytest.mark.integration

ROWS: dict[str, dict[str, Value]] = {
    "a": {"text": "alpha", "n": 1, "f": 0.5, "b": b"\x01", "yes": True},
    "b": {"text": "beta", "n": 2**40, "f": 2.0, "b": b"\x01\x02", "yes": False},
    "c": {"text": "it's", "n": -5, "f": -1e-9, "b": b"\xff"},
    "d": {"text": "", "n": 0, "f": 1e21, "b": b""},
    "e": {"text": "\uffee", "n": -(2**63)},
    "f": {"text": "\U0001f600", "n": 2**63 - 1},
    "g": {"other": "x"},
}


async def rows(storage: Storage, partition: str, where: Condition) -> str:
    return "".join([found.row async for found in storage.query(INDEX, partition, where=where)])


@pytest.fixture
async def filled(storage: Storage, partition: str) -> Storage:
    await storage.transact(INDEX, [Insert(Entity(partition, row, values)) for row, values in ROWS.items()])
    return storage


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Compare("text", "eq", "alpha"), "a"),
        (Compare("text", "eq", "it's"), "c"),
        (Compare("text", "eq", ""), "d"),
        (Compare("text", "gt", "beta"), "cef"),
        (Compare("text", "ge", "beta"), "bcef"),
        (Compare("text", "lt", "beta"), "ad"),
        (Compare("text", "le", "beta"), "abd"),
        (Compare("text", "ge", ""), "abcdef"),
        # by UTF-16 code units a character beyond the basic plane comes before U+FFEE
        (Compare("text", "gt", "\U0001f600"), "e"),
        (Compare("text", "lt", "\uffee"), "abcdf"),
        (Compare("n", "eq", 1), "a"),
        (Compare("n", "eq", 2**40), "b"),
        (Compare("n", "gt", 0), "abf"),
        (Compare("n", "ge", 0), "abdf"),
        (Compare("n", "lt", 0), "ce"),
        (Compare("n", "le", 0), "cde"),
        (Compare("n", "eq", 2**63 - 1), "f"),
        (Compare("n", "le", -(2**63)), "e"),
        (Compare("n", "gt", 9), "bf"),
        (Compare("n", "lt", -10), "e"),
        (Compare("f", "eq", 2.0), "b"),
        (Compare("f", "gt", 0.5), "bd"),
        (Compare("f", "ge", 0.5), "abd"),
        (Compare("f", "lt", 0.0), "c"),
        (Compare("f", "le", -1e-9), "c"),
        (Compare("f", "eq", 1e21), "d"),
        (Compare("yes", "eq", True), "a"),
        (Compare("yes", "eq", False), "b"),
        (Compare("b", "eq", b"\x01\x02"), "b"),
        (Compare("b", "eq", b""), "d"),
        (Compare("nowhere", "eq", "x"), ""),
        (Compare("nowhere", "lt", "x"), ""),
        (Compare("nowhere", "lt", 1), ""),
        (Compare("other", "ge", ""), "g"),
        (And((Compare("n", "ge", 0), Compare("text", "lt", "b"))), "ad"),
        (Or((Compare("n", "lt", -5), Compare("text", "eq", "beta"))), "be"),
        (And((Or((Compare("n", "eq", 1), Compare("n", "eq", 0))), Compare("f", "gt", 1.0))), "d"),
        (Or((And((Compare("n", "eq", 1), Compare("yes", "eq", True))), Compare("other", "eq", "x"))), "ag"),
        (And((Compare("n", "eq", 1),)), "a"),
        (Or((Compare("nowhere", "eq", 1), Compare("n", "eq", 1))), "a"),
    ],
)
async def test_filters(filled: Storage, partition: str, where: Condition, expected: str) -> None:
    assert await rows(filled, partition, where) == expected


async def test_more_comparisons_than_the_service_takes(filled: Storage, partition: str) -> None:
    """The Table service refuses filters of more than 15 comparisons."""
    any_of_many = Or(tuple(Compare("n", "eq", number) for number in range(-30, 30)))
    assert await rows(filled, partition, any_of_many) == "acd"
    assert await rows(filled, partition, And((any_of_many, Compare("yes", "eq", True)))) == "a"
    wanted = And((any_of_many, Compare("f", "gt", 0.0), Compare("text", "ge", "")))
    found = [found async for found in filled.query(INDEX, partition, where=wanted, select=["b"], top=1)]
    assert [(entity.row, entity.values) for entity in found] == [("a", {"b": b"\x01"})]
    assert found[0].etag


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
COMPARISONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, st.just("text"), st.sampled_from(["eq", "gt", "ge", "lt", "le"]), TEXTS),
    st.builds(Compare, st.just("n"), st.sampled_from(["eq", "gt", "ge", "lt", "le"]), st.integers(-(2**63), 2**63 - 1)),
    st.builds(
        Compare,
        st.just("f"),
        st.sampled_from(["eq", "gt", "ge", "lt", "le"]),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=CONDITIONS,
    table=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "text": TEXTS,
                "n": st.integers(-(2**63), 2**63 - 1),
                "f": st.floats(allow_nan=False, allow_infinity=False),
            },
        ),
        max_size=5,
    ),
)
async def test_filters_mean_what_they_say(
    storage: Storage, partition: str, where: Condition, table: list[dict[str, Value]]
) -> None:
    """100 examples of conditions and rows, against the definition in `conditions.py`."""
    if table:
        await storage.transact(
            INDEX, [Upsert(Entity(partition, str(number), values)) for number, values in enumerate(table)]
        )
    found = [found.row async for found in storage.query(INDEX, partition, ("0", str(len(table))), where)]
    assert found == [str(number) for number, values in enumerate(table) if matches(where, values)]


async def test_order_of_partitions_and_rows(storage: Storage, partition: str) -> None:
    """Ascending by code units: digits, capitals, small letters, the rest."""
    names = ["", "!", "0", "10", "2", "A", "a", "a!", "aa", "b", "~", "é", "\U0001f600", "\uffee"]
    for key in ("b", "", "a"):
        for row in sorted(names, key=hash):
            await storage.write(STUDIES, Upsert(Entity(f"{partition}{key}", row, {})))
    found = [(found.partition, found.row) async for found in storage.query(STUDIES, (partition, partition + "c"))]
    assert found == [(f"{partition}{key}", row) for key in ("", "a", "b") for row in names]


async def test_ranges_are_half_open(storage: Storage, partition: str) -> None:
    for key in "abcd":
        for row in ("1", "2", "2x", "3"):
            await storage.write(STUDIES, Insert(Entity(f"{partition}|{key}", row, {"key": key})))

    async def found(
        partitions: str | tuple[str, str | None], within: tuple[str, str | None] | None = None
    ) -> list[str]:
        return [
            entity.partition[-1] + entity.row
            async for entity in storage.query(STUDIES, partitions, within)
            if entity.partition.startswith(partition)  # tests share the table
        ]

    assert await found(f"{partition}|b") == ["b1", "b2", "b2x", "b3"]
    assert await found(f"{partition}|b", ("2", "3")) == ["b2", "b2x"]
    assert await found(f"{partition}|b", ("2x", None)) == ["b2x", "b3"]
    assert await found(f"{partition}|b", ("", "2")) == ["b1"]
    assert await found(f"{partition}|b", ("9", None)) == []
    assert await found((f"{partition}|b", f"{partition}|d"), ("3", None)) == ["b3", "c3"]
    assert await found((f"{partition}|c", None), ("1", "2")) == ["c1", "d1"]
    assert await found(f"{partition}|none") == []


async def test_all_of_a_table(storage: Storage, partition: str) -> None:
    await storage.write(STUDIES, Insert(Entity(partition, "row", {"mine": partition})))
    everything = [found async for found in storage.query(STUDIES)]
    assert [found.row for found in everything if found.partition == partition] == ["row"]
    mine = [found.row async for found in storage.query(STUDIES, where=Compare("mine", "eq", partition))]
    assert mine == ["row"]


async def test_select_in_queries(filled: Storage, partition: str) -> None:
    found = [found async for found in filled.query(INDEX, partition, select=["n", "yes", "nowhere"])]
    assert [entity.values for entity in found[:3]] == [{"n": 1, "yes": True}, {"n": 2**40, "yes": False}, {"n": -5}]
    assert found[-1].values == {}
    whole = [found async for found in filled.query(INDEX, partition)]
    assert [entity.etag for entity in found] == [entity.etag for entity in whole]
    assert [entity.timestamp for entity in found] == [entity.timestamp for entity in whole]
    assert [entity.values for entity in whole] == list(ROWS.values())
    filtered = filled.query(INDEX, partition, where=Compare("text", "eq", "alpha"), select=["n"])
    assert [entity.values async for entity in filtered] == [{"n": 1}]


@pytest.mark.parametrize(("top", "expected"), [(0, ""), (1, "a"), (3, "abc"), (7, "abcdefg"), (50, "abcdefg")])
async def test_top(filled: Storage, partition: str, top: int, expected: str) -> None:
    assert "".join([found.row async for found in filled.query(INDEX, partition, top=top)]) == expected


async def test_top_counts_what_passes_the_filter(filled: Storage, partition: str) -> None:
    found = filled.query(INDEX, partition, where=Compare("n", "lt", 1), top=2)
    assert [entity.row async for entity in found] == ["c", "d"]


async def test_more_than_a_page(storage: Storage, partition: str) -> None:
    """The service answers with a thousand rows at a time; 2,300 over two partitions, some with awkward keys."""
    keys = [(f"{partition}{part}", f"row 'ü' {number:04d}") for part in "ab" for number in range(1150)]
    for start in range(0, len(keys), 50):
        await storage.transact(
            INDEX, [Insert(Entity(*key, {"n": number})) for number, key in enumerate(keys[start : start + 50], start)]
        )
    everywhere = (partition, partition + "c")
    found = [(found.partition, found.row) async for found in storage.query(INDEX, everywhere)]
    assert found == keys
    first = [found.values["n"] async for found in storage.query(INDEX, everywhere, top=1500)]
    assert first == list(range(1500))
    high = storage.query(INDEX, everywhere, where=Compare("n", "ge", 200), select=["n"], top=1200)
    assert [found.values["n"] async for found in high] == list(range(200, 1400))


async def test_a_query_that_is_left_early(storage: Storage, partition: str) -> None:
    await storage.transact(INDEX, [Insert(Entity(partition, f"{number:02d}", {})) for number in range(20)])
    async for found in storage.query(INDEX, partition):
        if found.row == "05":
            break
    assert [found.row async for found in storage.query(INDEX, partition, top=1)] == ["00"]
