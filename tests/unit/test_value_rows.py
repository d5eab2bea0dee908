"""Keys of value rows: every value has one, and the ranges that are read hold all that can match."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.matching import Between
from shared.storage.primitives import Entity, Range, Upsert
from shared.storage.value_rows import (
    SERIES_COLUMNS,
    STUDY_COLUMNS,
    beginning_with,
    between,
    exactly,
    most_operations,
    target_of,
    value_operations,
    value_row,
)

pytestmark = pytest.mark.unit

ROWS = [f"study|{'9' * 20}|{'1' * 64}", f"series|{'0' * 20}|{'1' * 64}|{'2' * 64}"]
FORBIDDEN = set("/\\#?%") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}

texts = st.text(min_size=1, max_size=200)
texts |= st.text(string.printable + "|~{}é山\U0001f600", min_size=1, max_size=80)
dates = st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8))


def within(row: str, rows: Range) -> bool:
    return rows[0] <= row and (rows[1] is None or row < rows[1])


@given(texts, st.sampled_from(ROWS))
def test_qry_19_keys_of_any_value(form: str, row: str) -> None:
    """QRY-19: characters that keys may not have, and values of any length."""
    key = value_row(STUDY_COLUMNS[0], form, row)
    assert len(key.encode("utf-16-le")) <= 1024
    assert key.isascii()
    assert not FORBIDDEN & set(key)
    assert target_of(key) == row
    assert within(key, exactly(STUDY_COLUMNS[0], form))
    assert not within(value_row(STUDY_COLUMNS[1], form, row), exactly(STUDY_COLUMNS[0], form))


@given(texts, texts)
def test_qry_30_a_value_is_told_from_others(one: str, other: str) -> None:
    """QRY-30"""
    if one != other and max(len(one), len(other)) <= 12:
        assert not within(value_row(STUDY_COLUMNS[0], one, ROWS[0]), exactly(STUDY_COLUMNS[0], other))


@given(texts, st.integers(1, 200))
def test_qry_40_what_begins_alike_lies_together(form: str, length: int) -> None:
    """QRY-40"""
    prefix = form[:length]
    assert within(value_row(STUDY_COLUMNS[0], form, ROWS[0]), beginning_with(STUDY_COLUMNS[0], prefix))


@given(dates, dates | st.none(), dates | st.none())
def test_qry_34_ranges_of_dates(form: str, first: str | None, last: str | None) -> None:
    """QRY-34: nothing is left out, and nothing is read in vain."""
    rows = between(STUDY_COLUMNS[0], first, last)
    assert rows is not None
    assert within(value_row(STUDY_COLUMNS[0], form, ROWS[0]), rows) is Between(first, last).matches(form)


def test_between_takes_digits_only() -> None:
    assert between(STUDY_COLUMNS[0], "a", None) is None
    assert between(STUDY_COLUMNS[0], "\u0661", None) is None


@pytest.mark.parametrize(("row", "columns"), [(ROWS[0], STUDY_COLUMNS), (ROWS[1], SERIES_COLUMNS)])
def test_a_change_of_every_value_fits_into_a_transaction(row: str, columns: tuple[str, ...]) -> None:
    """Entity group transactions take 100 operations."""
    entity = Entity("p|1", row, {f"q{column}": "new" for column in columns})
    operations = value_operations(entity, dict.fromkeys(columns, "old"))
    assert len(operations) + 1 == most_operations(row) <= 100
    again = value_operations(entity, dict.fromkeys(columns, "new"))
    assert again == []
    lost = value_row(columns[0], "new", row)
    assert value_operations(entity, dict.fromkeys(columns, "new"), [lost]) == [Upsert(Entity("p|1", lost))]
