"""JSON documents as YAML (1.2): what the OpenAPI document is also given as (PLT-24)."""

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|/[A-Za-z0-9_{}/.$-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What would be no text without quotation marks, in YAML 1.1 too."""


def yaml_text(document: Any) -> str:
    """The document in block style, with an end of line."""
    return "\n".join(_lines(document)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, entry in value.items():
            yield from _entry(f"{_scalar(name)}:", entry)
    elif isinstance(value, list) and value:
        for entry in value:
            head, *rest = _lines(entry)
            yield f"- {head}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
