"""What a condition means, for rows that are already here."""

from collections.abc import Callable, Iterator, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any

from .primitives import And, Compare, Condition, Or, Value

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "gt": gt, "ge": ge, "lt": lt, "le": le}


Test = Callable[[Mapping[str, Value]], bool]


def matches(condition: Condition, values: Mapping[str, Value]) -> bool:
    """Whether a row with these values passes. A missing property, or one of another type, never does."""
    return test_of(condition)(values)


def test_of(condition: Condition) -> Test:
    """The same for many rows: a condition that has been taken apart once."""
    if isinstance(condition, Compare):
        return _comparison(condition)
    passed = isinstance(condition, And)
    tests = tuple(map(test_of, _flattened(condition)))

    def combined(values: Mapping[str, Value]) -> bool:
        for test in tests:
            if test(values) is not passed:
                return not passed
        return passed

    return combined


def _flattened(condition: And | Or) -> Iterator[Condition]:
    """The parts, those of parts of the same kind in their place."""
    for part in condition.conditions:
        if type(part) is type(condition):
            yield from _flattened(part)
        else:
            yield part


def _comparison(condition: Compare) -> Test:
    name, bound, kind = condition.name, condition.value, type(condition.value)
    compare = _OPERATORS[condition.operator]
    if not isinstance(bound, str):
        return lambda values: type(value := values.get(name)) is kind and compare(value, bound)
    units = _code_units(bound)
    plain = bound.isascii()

    def text(values: Mapping[str, Value]) -> bool:
        value = values.get(name)
        if type(value) is not str:
            return False
        return compare(value, bound) if plain and value.isascii() else compare(_code_units(value), units)

    return text


def _code_units(text: str) -> bytes:
    """Strings compare by UTF-16 code units, which differs from code points beyond the basic plane."""
    return text.encode("utf-16-be")


def names_in(condition: Condition) -> Iterator[str]:
    """The properties that a condition looks at."""
    if isinstance(condition, Compare):
        yield condition.name
    else:
        for inner in condition.conditions:
            yield from names_in(inner)
