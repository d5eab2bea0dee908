"""The search transaction (QIDO-RS, PS3.18 10.6)."""

from typing import TYPE_CHECKING

import orjson

from ..dicom.attributes import Level
from ..dicomweb.search_parameters import Search
from ..storage.tag_indexing import TagIndexing
from .search_criteria import criteria
from .search_lookups import Lookups
from .search_reading import Reader
from .search_results import items
from .search_values import ValueSearch

if TYPE_CHECKING:
    from ..composition import Services


async def search_json(services: "Services", partition: str, search: Search) -> bytes:
    """The DICOM JSON array of the page asked for, newest first; empty if nothing matches (QRY-04, QRY-05)."""
    wanted = criteria(search)
    if wanted.impossible:
        return b""
    lookups = Lookups(services.index, partition)
    tagged = TagIndexing(services.storage, services.index)
    values = ValueSearch(services.value_lookup, lookups, services.projections, wanted)
    reader = Reader(lookups, services.projections, values, tagged, wanted)
    if search.resource.item is Level.STUDY:
        found = await reader.studies(search.page)
    elif search.resource.item is Level.SERIES:
        found = await reader.series(search.page)
    else:
        found = await reader.instances(search.page)
    shown = await items(search, found, lookups) if found else ()
    return orjson.dumps(shown) if shown else b""
