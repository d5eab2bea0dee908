"""How many reads a storage is asked for."""

from typing import Any

import pytest

from shared.storage.primitives import Storage


def counted_reads(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The numbers of point reads (`get`) and queries (`query`) from now on; they may be set back."""
    made = {"get": 0, "query": 0}
    get, query = storage.get, storage.query

    def counting_get(*arguments: Any) -> Any:
        made["get"] += 1
        return get(*arguments)

    def counting_query(*arguments: Any, **named: Any) -> Any:
        made["query"] += 1
        return query(*arguments, **named)

    monkeypatch.setattr(storage, "get", counting_get)
    monkeypatch.setattr(storage, "query", counting_query)
    return made
