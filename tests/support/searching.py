"""Searches without HTTP."""

from typing import Any

import orjson

from shared.composition import Services
from shared.dicomweb.search_parameters import Search
from shared.services.search import search_json


async def found_items(services: Services, partition: str, search: Search) -> list[dict[str, Any]]:
    """The data sets of the page asked for; none if nothing matches."""
    text = await search_json(services, partition, search)
    return orjson.loads(text) if text else []
