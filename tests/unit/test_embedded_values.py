"""How the embedded store writes values down, orders strings, and narrows queries: against Python as the oracle."""

import json
import math
import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import DicomServiceError
from shared.storage.conditions import matches
from shared.storage.embedded_conditions import LONGEST_TERM, Terms, choices, narrowing, term
from shared.storage.embedded_values import (
    LONGEST_INLINE,
    BinaryNeeded,
    as_given,
    behind_prefix,
    decode,
    encode,
    in_order,
    resolve,
)
from shared.storage.primitives import And, Compare, Condition, Or, Value

pytestmark = pytest.mark.unit

# Text of the characters at which the orders of SQLite and Azure Storage part, and of any others.
EDGES = st.sampled_from("a\0\x01~\x7f\u0800\ud7ff\ue000\uff61\uffee\uffff\U00010000\U0001f600\U0010fffe\U0010ffff")
TEXT = st.text(EDGES, max_size=4) | st.text(max_size=6)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS: st.SearchStrategy[Value] = st.one_of(TEXT, INTEGERS, st.booleans(), st.floats(), st.binary(max_size=8))
NAMES = st.sampled_from(["q1", "q2", "n"])
VALUES = st.dictionaries(NAMES, SCALARS)
COMPARES = st.builds(Compare, NAMES, st.sampled_from(["eq", "gt", "ge", "lt", "le"]), SCALARS)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARES,
    lambda inner: st.builds(And, st.tuples(inner, inner)) | st.builds(Or, st.tuples(inner, inner)),
    max_leaves=5,
)


def utf16(text: str) -> bytes:
    return text.encode("utf-16-be")


@settings(max_examples=500)
@given(st.dictionaries(st.text("ab", min_size=1), SCALARS | st.binary(min_size=LONGEST_INLINE, max_size=2000)))
@example({"a": b"1" * LONGEST_INLINE, "b": b"2" * (LONGEST_INLINE + 1), "c": b"3" * 5000, "d": b""})
@example({"a": 2**63 - 1, "b": -(2**63), "c": 0.1, "d": -0.0, "e": 5e-324, "f": math.inf, "g": -math.inf, "h": 1.0})
@example({"a": True, "b": 1, "c": False, "d": 0, "e": 1e300})
def test_values_come_back_as_they_went(values: dict[str, Value]) -> None:
    found = decode(*encode(values))
    assert {name: repr(value) for name, value in found.items()} == {name: repr(value) for name, value in values.items()}
    assert [type(found[name]) for name in values] == [type(value) for value in values.values()]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, None, [1], "\ud800"])
def test_what_no_row_can_keep(value: object) -> None:
    with pytest.raises(DicomServiceError):
        encode({"a": value})  # type: ignore[dict-item]


def test_long_binary_values_are_read_only_when_they_are_asked_for() -> None:
    data, binary = encode({"short": b"1", "long": b"2" * 1000, "n": 3})
    assert binary == b"2" * 1000
    values = json.loads(data)
    resolve(values, ("short", "n"), None)
    assert values["short"] == b"1"
    with pytest.raises(BinaryNeeded) as needed:
        resolve(values, ("long",), None)
    assert needed.value.name == "long"


@settings(max_examples=1000)
@given(TEXT, TEXT)
def test_text_in_order(one: str, other: str) -> None:
    """SQLite sorts what is written as Azure Storage sorts what was given."""
    assert as_given(in_order(one)) == one
    assert (in_order(one) < in_order(other)) == (utf16(one) < utf16(other))
    with closing(sqlite3.connect(":memory:")) as connection:
        [less] = connection.execute("SELECT ? < ?", (in_order(one), in_order(other))).fetchone()
    assert bool(less) == (utf16(one) < utf16(other))


@settings(max_examples=1000)
@given(TEXT, TEXT)
def test_the_range_of_a_prefix(text: str, prefix: str) -> None:
    low = in_order(prefix)
    assert (low <= in_order(text) < behind_prefix(low)) == text.startswith(prefix)


@settings(max_examples=1000)
@given(VALUES, CONDITIONS)
@example({"q1": "a\0b"}, Compare("q1", "gt", "a"))
@example({"q1": "a\uffff"}, Compare("q1", "ge", "a\U0001f600"))
@example({"n": 0.1}, Compare("n", "le", 0.1))
def test_sql_lets_through_all_that_match(values: dict[str, Value], condition: Condition) -> None:
    narrowed = narrowing(condition)
    if narrowed is None:
        return
    data, _ = encode(values)
    with closing(sqlite3.connect(":memory:")) as connection:
        [passes] = connection.execute(
            f"SELECT {narrowed.sql} FROM (SELECT ? AS data)", (*narrowed.arguments, data)
        ).fetchone()
    assert passes or not matches(condition, values)


@settings(max_examples=1000)
@given(VALUES, CONDITIONS)
@example({"q1": "x" * 200}, Compare("q1", "gt", "x" * 100))
@example({"q1": "x" * 200}, And((Compare("q1", "gt", "x" * 199), Compare("q1", "lt", "y"))))
def test_terms_lead_to_all_that_match(values: dict[str, Value], condition: Condition) -> None:
    terms = [(name, term(value)) for name, value in values.items() if isinstance(value, str) and name.startswith("q")]
    for union in choices(condition, "q"):
        assert any(_holds(each, terms) for each in union) or not matches(condition, values)


def _holds(terms: Terms, row: list[tuple[str, str]]) -> bool:
    return any(
        name == terms.name and (terms.low is None or terms.low <= value) and (terms.high is None or value <= terms.high)
        for name, value in row
    )


def test_which_conditions_have_terms() -> None:
    a = Compare("q1", "eq", "a")
    dates = (Compare("q2", "ge", "20240101"), Compare("q2", "le", "20240131"))
    shown = Compare("shown", "eq", True)
    only_a, both = (Terms("q1", "a", "a"),), (Terms("q2", "20240101", "20240131"),)
    assert choices(a, "q") == [only_a]
    assert choices(shown, "q") == []
    assert choices(And((shown, a)), "q") == [only_a]
    assert choices(And((shown, And((a, *dates)))), "q") == [only_a, both]
    assert choices(Or((a, Compare("q1", "eq", "b"))), "q") == [(Terms("q1", "a", "a"), Terms("q1", "b", "b"))]
    assert choices(Or((a, shown)), "q") == []
    assert choices(Compare("q1", "gt", "z" * 100), "q") == [(Terms("q1", "z" * LONGEST_TERM, None),)]
