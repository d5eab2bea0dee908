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
    value = values.get(condition.name)
    if type(value) is not type(condition.value):
        return False
    return _OPERATORS[condition.operator](_ordered(value), _ordered(condition.value))


def _ordered(value: Value | None) -> Value | None:
    """Strings compare by UTF-16 code units, which differs from code points beyond the basic plane."""
    return value.encode("utf-16-be") if isinstance(value, str) else value


def names_in(condition: Condition) -> Iterator[str]:
    """The properties that a condition looks at."""
    if isinstance(condition, Compare):
        yield condition.name
    else:
        for inner in condition.conditions:
            yield from names_in(inner)
