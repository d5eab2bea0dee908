"""Filters of queries on the embedded store.

`conditions.matches` decides; what SQL or the index of terms does before it only narrows the rows down, and must let
through all that match.
"""

from dataclasses import dataclass

from .embedded_values import in_order, sorts_alike
from .primitives import And, Compare, Condition

LONGEST_TERM = 64
"""Characters of a value that the index of terms keeps."""


# ---------------------------------------------------------------- in SQL

# "gt" becomes >= because SQLite's JSON ends a string at its first NUL: greater by a tail behind one, it looks equal.
_SQL = {"eq": "=", "gt": ">=", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, slots=True)
class Narrowing:
    """An SQL expression over the column `data`, with its arguments."""

    sql: str
    arguments: tuple[str | int, ...]


def narrowing(condition: Condition) -> Narrowing | None:
    """What SQL can say of the condition; None if nothing."""
    if isinstance(condition, Compare):
        return _narrowing_of(condition)
    parts = [narrowing(part) for part in condition.conditions]
    known = [part for part in parts if part is not None]
    if not known or (len(known) < len(parts) and not isinstance(condition, And)):
        return None
    joint = " AND " if isinstance(condition, And) else " OR "
    return Narrowing(
        "(" + joint.join(part.sql for part in known) + ")", tuple(value for part in known for value in part.arguments)
    )


def _narrowing_of(compare: Compare) -> Narrowing | None:
    value = compare.value
    if isinstance(value, float | bytes) or (isinstance(value, str) and not sorts_alike(value)):
        return None  # SQLite rounds floats on its way from JSON, and knows no binary values in it
    bound = value if isinstance(value, str) else int(value)
    return Narrowing(f"json_extract(data, ?) {_SQL[compare.operator]} ?", (f'$."{compare.name}"', bound))


# ---------------------------------------------------------------- in the index of terms


@dataclass(frozen=True, slots=True)
class Terms:
    """All terms of one property from `low` to `high`, both included; None is no end."""

    name: str
    low: str | None
    high: str | None


def term(value: str) -> str:
    """What the index keeps of a value. Cutting keeps the order: a greater value never has a smaller term."""
    return in_order(value[:LONGEST_TERM])


def choices(condition: Condition, prefix: str) -> list[tuple[Terms, ...]]:
    """Unions of terms, each of which holds all rows that match the condition; `prefix` begins the indexed names."""
    if isinstance(condition, Compare):
        return _one_choice([condition], prefix)
    if isinstance(condition, And):
        compares = [part for part in condition.conditions if isinstance(part, Compare)]
        nested = [part for part in condition.conditions if not isinstance(part, Compare)]
        grouped: dict[str, list[Compare]] = {}
        for compare in compares:
            grouped.setdefault(compare.name, []).append(compare)
        found = [choice for group in grouped.values() for choice in _one_choice(group, prefix)]
        return found + [choice for part in nested for choice in choices(part, prefix)]
    branches = [choices(part, prefix) for part in condition.conditions]
    if not all(branches):
        return []
    return [tuple(terms for branch in branches for terms in branch[0])]


def _one_choice(compares: list[Compare], prefix: str) -> list[tuple[Terms, ...]]:
    """The range that comparisons of one property leave."""
    name = compares[0].name
    low: str | None = None
    high: str | None = None
    for compare in compares:
        if not isinstance(compare.value, str) or not name.startswith(prefix):
            return []
        bound = term(compare.value)
        if compare.operator in ("eq", "gt", "ge"):
            low = bound if low is None else max(low, bound)
        if compare.operator in ("eq", "lt", "le"):
            high = bound if high is None else min(high, bound)
    return [(Terms(name, low, high),)]
