"""What a condition means, for rows that are already here."""

from collections.abc import Callable, Iterator, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any

from .primitives import And, Compare, Condition, Or, Value

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "gt": gt, "ge": ge, "lt": lt, "le": le}


def matches(condition: Condition, values: Mapping[str, Value]) -> bool:
    """Whether a row with these values passes. A missing property, or one of another type, never does."""
    if isinstance(condition, And):
        return all(matches(inner, values) for inner in condition.conditions)
    if isinstance(condition, Or):
        return any(matches(inner, values) for inner in condition.conditions)
    value, bound = values.get(condition.name), condition.value
    if type(value) is not type(bound):
        return False
    if isinstance(value, str) and isinstance(bound, str) and not (value.isascii() and bound.isascii()):
        # Strings compare by UTF-16 code units, which differs from code points beyond the basic plane.
        value, bound = value.encode("utf-16-be"), bound.encode("utf-16-be")
    return _OPERATORS[condition.operator](value, bound)


def names_in(condition: Condition) -> Iterator[str]:
    """The properties that a condition looks at."""
    if isinstance(condition, Compare):
        yield condition.name
    else:
        for inner in condition.conditions:
            yield from names_in(inner)
