"""Ways of queries that the embedded store alone has: through terms, in pieces, partition by partition."""

import asyncio
import contextlib
import itertools
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.storage import embedded_known_rows, embedded_query
from shared.storage.conditions import matches
from shared.storage.embedded import EmbeddedStorage
from shared.storage.embedded_known_rows import KnownRow, KnownRows, state_of
from shared.storage.embedded_schema import entity_table, terms_table
from shared.storage.names import INDEX, STUDIES
from shared.storage.primitives import (
    And,
    Compare,
    Condition,
    Delete,
    Entity,
    EntityMissing,
    Insert,
    Merge,
    Operation,
    Or,
    Replace,
    TransactionRefused,
    Unanswered,
    Upsert,
    Value,
)

pytestmark = pytest.mark.integration

MONTHS = ("p|1", "p|2", "p|3", "q|1")
Rows = dict[tuple[str, str], dict[str, Value]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStorage]:
    engine = EmbeddedStorage(tmp_path / "store")
    await engine.prepare()
    yield engine
    await engine.close()


def made_up(number: int) -> dict[str, Value]:
    return {
        "shown": number % 7 != 0,
        "qid": f"id{number:05d}",
        "qdate": f"2024{number % 12 + 1:02d}{number % 28 + 1:02d}",
        "qkind": "ct" if number % 3 else "mr",
        "qname": ("é", "\uff61", "\U0001f600", "long" * 30)[number % 4] + f"{number % 50:02d}",
        "other": number % 10,
        "o": "{}" * 100,
    }


async def fill(store: EmbeddedStorage, count: int) -> Rows:
    rows: Rows = {}
    for month in MONTHS:
        entities = []
        for number in range(count // len(MONTHS)):
            level = "study" if number % 2 else "series"
            entities.append(Entity(month, f"{level}|{number:06d}", made_up(number + len(rows))))
        rows |= {(entity.partition, entity.row): entity.values for entity in entities}
        for start in range(0, len(entities), 100):
            await store.transact(STUDIES, [Insert(entity) for entity in entities[start : start + 100]])
    return rows


STUDY_ROWS = ("study|", "study}")
EVERYWHERE = ("", None)

CONDITIONS: list[Condition] = [
    Compare("qid", "eq", "id00123"),
    Compare("qid", "eq", "nobody"),
    Compare("qdate", "eq", "20240303"),
    And((Compare("qdate", "ge", "20240301"), Compare("qdate", "le", "20240315"))),
    And((Compare("shown", "eq", True), And((Compare("qkind", "eq", "mr"), Compare("qdate", "lt", "20240110"))))),
    Compare("qkind", "eq", "ct"),
    And((Compare("qkind", "eq", "ct"), Compare("qid", "lt", "id00100"))),
    Or((Compare("qid", "eq", "id00005"), Compare("qid", "eq", "id00700"), Compare("qkind", "eq", "xx"))),
    Or((Compare("qid", "eq", "id00005"), Compare("other", "eq", 3))),
    And((Compare("qname", "ge", "\U0001f600"), Compare("qname", "lt", "\U0001f6000"))),
    And((Compare("qname", "ge", "\uff61"), Compare("qname", "lt", "\uff614"))),
    Compare("qname", "eq", "long" * 30 + "07"),
    And((Compare("qname", "gt", "long" * 30 + "40"), Compare("qname", "lt", "m"))),
    Compare("other", "eq", 4),
    Compare("shown", "eq", True),
    Compare("nowhere", "eq", "x"),
]


async def test_every_way_leads_to_the_same(store: EmbeddedStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows and many for a term, one piece and many, all partitions and some."""
    monkeypatch.setattr(embedded_query, "SMALLEST_PIECE", 7)
    monkeypatch.setattr(embedded_query, "LARGEST_PIECE", 37)
    rows = await fill(store, 1200)
    for most in (embedded_query.MOST_FOUND, 30, 0):
        monkeypatch.setattr(embedded_query, "MOST_FOUND", most)
        for condition in CONDITIONS:
            for partitions in (None, "p|2", ("p|", "p}"), ("p|2", None)):
                for levels in (None, STUDY_ROWS):
                    low, high = ("p|2", "p|3") if isinstance(partitions, str) else partitions or EVERYWHERE
                    first, last = levels or EVERYWHERE
                    expected = [
                        (partition, row)
                        for (partition, row), values in sorted(rows.items())
                        if low <= partition < (high or "~")
                        and first <= row < (last or "~")
                        and matches(condition, values)
                    ]
                    query = store.query(STUDIES, partitions, levels, condition, ("PartitionKey", "RowKey", "o"))
                    found = [entity async for entity in query]
                    assert [(entity.partition, entity.row) for entity in found] == expected
                    assert all(entity.values == {"o": "{}" * 100} for entity in found)
                    top = len(expected) // 2
                    some = [e async for e in store.query(STUDIES, partitions, levels, condition, top=top)]
                    assert [(entity.partition, entity.row) for entity in some] == expected[:top]


async def test_long_binary_values_are_met_for_the_first_time(store: EmbeddedStorage, tmp_path: Path) -> None:
    """By a process that has not seen the table before."""
    for number in range(3):
        values: dict[str, Value] = {"long": b"1" * 5000, "short": b"2", "n": number}
        await store.write(INDEX, Insert(Entity("p", f"{number}", values)))
    condition = And((Compare("n", "ge", 1), Compare("long", "eq", b"1" * 5000)))
    for select in (("long",), ("n", "long"), ("short",)):
        fresh = EmbeddedStorage(tmp_path / "store")
        one = await fresh.get(INDEX, "p", "0", select)
        assert one is not None
        expected = {"long": b"1" * 5000, "short": b"2", "n": 0}
        assert one.values == {name: expected[name] for name in select}
        await fresh.close()
        fresh = EmbeddedStorage(tmp_path / "store")
        found = [entity async for entity in fresh.query(INDEX, "p", where=condition, select=select)]
        assert [entity.row for entity in found] == ["1", "2"]
        assert [set(entity.values) for entity in found] == [set(select)] * 2
        await fresh.close()


async def test_terms_follow_every_change(store: EmbeddedStorage) -> None:
    """After 600 random changes, what terms lead to is what is there."""
    chance = random.Random(5)
    rows: dict[str, str] = {}
    for step in range(600):
        row, word = f"r{chance.randrange(20)}", chance.choice("abcdef")
        entity = Entity("p", row, {"qword": word, "step": step})
        there = row in rows
        kind = chance.choice(["upsert", "insert", "replace", "merge", "merge others", "drop", "delete", "refused"])
        if kind == "upsert":
            await store.write(STUDIES, Upsert(entity))
        elif kind == "insert" and not there:
            await store.write(STUDIES, Insert(entity))
        elif kind == "replace" and there:
            await store.write(STUDIES, Replace(entity, "*"))
        elif kind == "merge" and there:
            await store.write(STUDIES, Merge(entity, "*"))
        elif kind == "merge others" and there:
            await store.write(STUDIES, Merge(Entity("p", row, {"step": step}), "*"))
            continue
        elif kind == "drop" and there:
            await store.write(STUDIES, Replace(Entity("p", row, {"step": step}), "*"))
            rows[row] = ""
            continue
        elif kind == "delete" and there:
            await store.write(STUDIES, Delete("p", row, "*"))
            del rows[row]
            continue
        else:
            with pytest.raises(Exception, match="operation 1"):
                await store.transact(STUDIES, [Upsert(entity), Delete("p", "nowhere", "*")])
            continue
        rows[row] = word
        for each in "abcdef":
            query = store.query(STUDIES, where=Compare("qword", "eq", each))
            assert [e.row async for e in query] == sorted(name for name, value in rows.items() if value == each)


@pytest.mark.parametrize("most", [4, 4096])
@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("writers", [1, 2])
async def test_known_rows_are_the_rows_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, durable: bool, writers: int
) -> None:
    """One or two of two processes change a table, 400 times; what either finds is what one finds that knows no row."""
    monkeypatch.setattr(embedded_known_rows, "MOST_ROWS", most)
    chance = random.Random(7)
    both = [EmbeddedStorage(tmp_path / "store", durable) for _ in range(2)]
    await both[0].prepare()
    selections = [("o",), ("PartitionKey", "RowKey", "o", "step"), ("qword", "weight", "raw"), None]
    for step in range(400):
        one = chance.choice(both[:writers])
        values: dict[str, Value] = {"qword": chance.choice("ab"), "step": step, "o": f"{step}" * 9}
        values |= {"weight": step / 7, "raw": b"%d" % step} if chance.random() < 0.3 else {}
        entity = Entity("p", f"r{chance.randrange(8)}", values)
        changes: list[Operation] = [Upsert(entity), Merge(entity, "*"), Delete("p", entity.row, "*")]
        change = chance.choice(changes)
        with contextlib.suppress(EntityMissing):
            await one.write(STUDIES, change)
        with pytest.raises(TransactionRefused):
            await one.transact(STUDIES, [Upsert(entity), Delete("p", "nowhere", "*")])
        fresh = EmbeddedStorage(tmp_path / "store")
        select, where = chance.choice(selections), chance.choice([None, Compare("qword", "eq", "a")])
        expected = [each async for each in fresh.query(STUDIES, "p", where=where, select=select)]
        for engine in both:
            assert [each async for each in engine.query(STUDIES, "p", where=where, select=select)] == expected
        await fresh.close()
    for engine in both:
        await engine.close()


async def test_rows_that_were_written_need_not_be_asked_for(store: EmbeddedStorage) -> None:
    """What a process has written itself it finds by the terms, and reads no row."""
    values: dict[str, Value] = {"qword": "a", "o": "{}"}
    await asyncio.gather(*store._background)  # the check at the start writes by a connection of its own
    for number in range(20):
        await store.write(STUDIES, Insert(Entity("p", f"r{number:02d}", {**values, "step": number})))
    await store.write(STUDIES, Replace(Entity("p", "r07", {**values, "step": 700}), "*"))
    await store.write(STUDIES, Merge(Entity("p", "r08", {"qword": "b"}), "*"))
    await store.write(STUDIES, Delete("p", "r09", "*"))
    connection = await store._database.read(lambda connection: connection)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    query = store.query(STUDIES, where=Compare("qword", "eq", "a"), select=("step",))
    found = [(each.row, each.values["step"]) async for each in query]
    assert found == [(f"r{n:02d}", 700 if n == 7 else n) for n in range(20) if n not in (8, 9)]
    assert not [statement for statement in statements if entity_table(STUDIES) in statement]
    assert [statement for statement in statements if terms_table(STUDIES) in statement]


async def test_a_commit_without_an_answer_is_asked_about(
    store: EmbeddedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have changed rows that are known."""
    before: dict[str, Value] = {"qword": "a", "step": 1}
    after: dict[str, Value] = {"qword": "a", "step": 2}
    await store.write(STUDIES, Insert(Entity("p", "r", before)))
    transaction = store._database._transaction

    def unanswered(work: Callable[[sqlite3.Connection], object]) -> None:
        transaction(work)
        raise Unanswered("The disk of the store reports an error.")

    monkeypatch.setattr(store._database, "_transaction", unanswered)
    with pytest.raises(Unanswered):
        await store.write(STUDIES, Replace(Entity("p", "r", after), "*"))
    query = store.query(STUDIES, where=Compare("qword", "eq", "a"), select=("step",))
    assert [each.values["step"] async for each in query] == [2]


async def test_a_long_search_leaves_the_event_loop_free(store: EmbeddedStorage) -> None:
    """20,000 rows are looked at for one that matches; others get their turn every few milliseconds."""
    for start in range(0, 20_000, 100):
        await store.transact(INDEX, [Insert(Entity("p", f"{n:06d}", made_up(n))) for n in range(start, start + 100)])
    turns: list[float] = []

    async def others() -> None:
        while True:
            turns.append(time.perf_counter())
            await asyncio.sleep(0)

    watch = asyncio.create_task(others())
    await asyncio.sleep(0)
    found = [e.row async for e in store.query(INDEX, where=Compare("qid", "eq", "id19999"))]
    watch.cancel()
    assert found == ["019999"]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(turns))
    assert len(gaps) >= 10
    assert gaps[len(gaps) // 2] < 0.05


async def test_a_query_holds_nothing_open(store: EmbeddedStorage) -> None:
    """Rows written while a query runs are met if they lie ahead, and the log can begin anew."""
    for number in range(500):
        await store.write(INDEX, Insert(Entity("p", f"{number:06d}", {})))
    query = store.query(INDEX, "p")
    first = await anext(query)
    await store.write(INDEX, Insert(Entity("p", "999999", {})))
    await store.write(INDEX, Delete("p", "000499", "*"))
    connection = await store._database.read(lambda connection: connection)
    assert not connection.in_transaction
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    rows = [first.row] + [entity.row async for entity in query]
    assert rows == [f"{number:06d}" for number in range(499)] + ["999999"]


def test_known_rows_are_of_one_connection(tmp_path: Path) -> None:
    """After a fork there is another connection, whose counters may stand where those of the first one stood."""
    known = KnownRows()
    row = KnownRow("p", "r", 1, 0, {})
    first, second = (sqlite3.connect(tmp_path / "one.sqlite") for _ in range(2))
    known.place(state_of(first), 7, ("p", "r", row))
    assert state_of(first)[1:] == state_of(second)[1:]
    assert known.placed(state_of(first), [7]) == [("p", "r", row)]
    assert known.placed(state_of(second), [7]) == [None]
    first.execute("CREATE TABLE t (x)")
    assert known.placed(state_of(second), [7]) == [None]
    second.execute("INSERT INTO t VALUES (1)")
    second.commit()
    assert known.placed(state_of(first), [7]) == [None]
    first.close()
    second.close()
