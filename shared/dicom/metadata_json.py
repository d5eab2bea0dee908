"""Data sets as JSON text, however deep they are."""

from typing import Any

import orjson

_LEVELS = 64
"""Levels of sequences that are written in one go: orjson stops at 254 levels, of which each takes three."""


def metadata_json(elements: dict[str, dict[str, Any]]) -> bytes:
    """A DICOM JSON object as UTF-8. Where sequences nest too deeply for orjson, `elements` are used up."""
    try:
        return orjson.dumps(elements)
    except TypeError:
        for element in reversed(_deep_sequences(elements)):
            element["Value"] = orjson.Fragment(orjson.dumps(element["Value"]))
        return orjson.dumps(elements)


def _deep_sequences(elements: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The sequences with items at every 64th level, outer ones before inner ones."""
    found: list[dict[str, Any]] = []
    items, depth = [elements], 0
    while items:
        sequences = [
            element for item in items for element in item.values() if element["vr"] == "SQ" and "Value" in element
        ]
        depth += 1
        if depth % _LEVELS == 0:
            found += sequences
        items = [item for sequence in sequences for item in sequence["Value"]]
    return found
