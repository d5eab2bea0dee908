"""Entities, filters and addresses as the Table service writes them: OData version 3 in JSON."""

import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from ..clock import SECOND, Ticks
from .azure_pipeline import in_path
from .primitives import And, Compare, Condition, Entity, Range, Value

MINIMAL = "application/json;odata=minimalmetadata"
"""The answer's format: types are named where JSON does not say them, ETags of entities are given."""

_TYPE = "@odata.type"
_SYSTEM = frozenset({"PartitionKey", "RowKey", "Timestamp"})


# -- entities


def to_json(entity: Entity) -> bytes:
    """The entity as a JSON object on one line, in ASCII.

    Azurite turns each piece of a body into text for itself, which breaks characters at the seams, and cuts the parts of
    a transaction with an expression that stops at line separators.
    """
    document: dict[str, Any] = {"PartitionKey": entity.partition, "RowKey": entity.row}
    for name, value in entity.values.items():
        if isinstance(value, str | bool):
            document[name] = value
        elif isinstance(value, int):
            document[name + _TYPE] = "Edm.Int64"
            document[name] = str(value)
        elif isinstance(value, float):
            document[name + _TYPE] = "Edm.Double"
            document[name] = _double(value)
        else:
            document[name + _TYPE] = "Edm.Binary"
            document[name] = binascii.b2a_base64(value, newline=False).decode()
    text = orjson.dumps(document)
    return text if text.isascii() else json.dumps(document, separators=(",", ":")).encode()


def from_json(document: Mapping[str, Any], etag: str = "") -> Entity:
    """The entity in an answer; `etag` is that of the response's header, if the answer is one entity."""
    values: dict[str, Value] = {}
    for name, value in document.items():
        if name in _SYSTEM or "odata." in name or value is None:
            continue
        kind = document.get(name + _TYPE)
        if kind is None:
            # A bare whole number can only be a double: ours are all Edm.Int64, which is named.
            values[name] = float(value) if type(value) is int else value
        elif kind == "Edm.Int64":
            values[name] = int(value)
        elif kind == "Edm.Binary":
            values[name] = binascii.a2b_base64(value)
        elif kind == "Edm.Double":
            values[name] = float(value)
        else:
            values[name] = value
    timestamp = document.get("Timestamp", "")
    return Entity(
        partition=document["PartitionKey"],
        row=document["RowKey"],
        values=values,
        etag=etag or document.get("odata.etag") or _etag_of(timestamp),
        timestamp=_ticks(timestamp) if timestamp else 0,
    )


def _double(value: float) -> float | str:
    """JSON has no infinities; OData writes them as strings."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _etag_of(timestamp: str) -> str:
    """The service's ETags are its timestamps; this is for answers that leave them out."""
    return f"W/\"datetime'{quote(timestamp, safe='')}'\"" if timestamp else ""


def _ticks(timestamp: str) -> Ticks:
    """`2026-01-31T12:34:56.1234567Z`, with up to seven digits after the second."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return _second(whole) + int(f"{fraction[:7]:0<7}")


@lru_cache(maxsize=64)
def _second(whole: str) -> Ticks:
    """Rows that a query gives were often written together."""
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()) * SECOND


# -- addresses


def entity_path(table: str, partition: str, row: str) -> str:
    return f"/{table}(PartitionKey='{_key(partition)}',RowKey='{_key(row)}')"


def _key(key: str) -> str:
    return in_path(key.replace("'", "''"))


# -- filters

MOST_COMPARISONS = 15
"""The service takes no more in one filter."""


def literal(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L"
    if isinstance(value, float):
        # Azurite knows no exponents, and a whole number without a point is an Edm.Int32.
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else text + ".0"
    return f"X'{value.hex()}'"


def render(condition: Condition) -> str:
    """The condition as a filter."""
    if isinstance(condition, Compare):
        return f"{condition.name} {condition.operator} {literal(condition.value)}"
    word = " and " if isinstance(condition, And) else " or "
    return word.join(
        part if isinstance(inner, Compare) else f"({part})"
        for inner, part in ((inner, render(inner)) for inner in condition.conditions)
    )


def key_conditions(partitions: str | Range | None, rows: Range | None) -> list[Condition]:
    conditions: list[Condition] = []
    if isinstance(partitions, str):
        conditions.append(Compare("PartitionKey", "eq", partitions))
    elif partitions is not None:
        conditions += _within("PartitionKey", partitions)
    if rows is not None:
        conditions += _within("RowKey", rows)
    return conditions


def _within(name: str, bounds: Range) -> list[Condition]:
    first, end = bounds
    lower: list[Condition] = [Compare(name, "ge", first)] if first else []
    return lower + ([Compare(name, "lt", end)] if end is not None else [])


def cheapest_first(conditions: Sequence[Condition]) -> list[Condition]:
    """The same conditions, all of which are to hold, in the order that decides about most rows soonest.

    The service takes its way from the keys, wherever they stand. Azurite looks at every row of the table and leaves
    it at the first comparison that fails, and long strings are what it compares slowest.
    """
    flat: list[Condition] = []
    for condition in conditions:
        flat += cheapest_first(condition.conditions) if isinstance(condition, And) else [condition]
    return sorted(flat, key=_rank)


def _rank(condition: Condition) -> int:
    if not isinstance(condition, Compare):
        return 2
    if condition.name == "PartitionKey":
        return 0 if condition.operator == "eq" else 5
    if condition.name == "RowKey":
        return 3
    if isinstance(condition.value, bool):
        return 4
    return 1 if condition.operator == "eq" else 2


def split(condition: Condition, most: int) -> tuple[Condition | None, Condition | None]:
    """The part with at most `most` comparisons that the service can look at, and what is left for `matches`."""
    if _comparisons(condition) <= most:
        return condition, None
    if not isinstance(condition, And):
        return None, condition
    sent: list[Condition] = []
    left: list[Condition] = []
    for inner in condition.conditions:
        cost = _comparisons(inner)
        (sent if cost <= most else left).append(inner)
        most -= cost if cost <= most else 0
    return (And(tuple(sent)) if sent else None), And(tuple(left))


def _comparisons(condition: Condition) -> int:
    return 1 if isinstance(condition, Compare) else sum(map(_comparisons, condition.conditions))
