"""The search transaction (QIDO-RS, PS3.18 10.6)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from ..dicom.attributes import Level
from ..dicomweb.search_parameters import Search
from ..storage.tag_indexing import TagIndexing
from .search_criteria import criteria
from .search_lookups import Lookups
from .search_reading import Reader
from .search_results import Shown, columns, instance_items, series_items, study_items
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
    shown = columns(search)
    items: Sequence[Shown]
    if search.resource.item is Level.STUDY:
        items = await study_items(shown, await reader.studies(search.page), lookups)
    elif search.resource.item is Level.SERIES:
        items = await series_items(shown, await reader.series(search.page), lookups)
    else:
        items = await instance_items(shown, await reader.instances(search.page), lookups)
    return orjson.dumps(items) if items else b""
