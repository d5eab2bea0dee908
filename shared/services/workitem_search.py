"""The search for workitems (PS3.18 11.9; UPS-60 to UPS-71).

Storage goes through the rows, of which it gives what its conditions let through; everything is matched again here.
Most data sets come along with their rows. The others are read afterwards, and only those of the page.
"""

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

import orjson

from ..dicom.normal_form import projected_name
from ..dicom.workitem_attributes import DEFAULT_RESULT, STATE
from ..dicomweb.workitem_search_parameters import WorkitemSearch
from ..storage.primitives import BlobMissing, Compare, Condition, Or
from ..storage.workitem_rows import Forms, Workitem
from . import workitem_contents as contents
from .parallel import in_parallel
from .search_criteria import pushed_down
from .workitem_contents import off_the_loop

if TYPE_CHECKING:
    from ..composition import Services

SPARE = 50
"""Matches beyond the page that are kept in case some of the page change while they are read."""

AT_A_TIME = 8
"""Data sets that are read at once: what bounds the memory that a search takes."""


async def search_workitems(services: "Services", partition: str, search: WorkitemSearch) -> AsyncIterator[bytes | None]:
    """The data sets of the page as JSON objects, newest first; None for each that could not be read (UPS-68)."""
    found = (await _matches(services, partition, search))[search.page.offset :]
    given = 0
    while found and given < search.page.limit:
        number = min(AT_A_TIME, search.page.limit - given)
        batch, found = found[:number], found[number:]
        for item in await in_parallel(lambda each: _item(services, search, each), batch):
            if item != _GONE:
                given += 1
                yield item


_GONE = b""
"""In place of a data set that has ceased to match: another takes its turn."""


async def _matches(services: "Services", partition: str, search: WorkitemSearch) -> list[Workitem]:
    """The newest workitems that match, as many as the page and the pages before it need."""
    needed = search.page.end + SPARE
    columns = {projected_name(each.attribute.column) for each in search.filters}
    matches: list[Workitem] = []
    async for workitem in services.workitems.scan(partition, _condition(search), columns):
        if workitem.forms is None:
            if not await _matches_whole(services, search, workitem):
                continue
        elif not _meets(search, workitem.state, workitem.forms):
            continue
        matches.append(workitem)
        if len(matches) >= 2 * needed:
            matches = _newest(matches)[:needed]
    return _newest(matches)[:needed]


def _newest(workitems: Iterable[Workitem]) -> list[Workitem]:
    return sorted(workitems, key=lambda each: (each.created, each.uid), reverse=True)


def _condition(search: WorkitemSearch) -> Condition | None:
    """What storage can decide; it never decides about rows that are marked as loose."""
    strict = pushed_down((each.attribute.column, each.matcher) for each in search.filters)
    return None if strict is None else Or((strict, Compare("loose", "eq", True)))


def _meets(search: WorkitemSearch, state: str, forms: Forms) -> bool:
    known = {**forms, STATE: (state.lower(),)}
    return all(any(map(each.matcher.matches, known.get(each.attribute.column, ()))) for each in search.filters)


async def _matches_whole(services: "Services", search: WorkitemSearch, row: Workitem) -> bool:
    """Whether a workitem matches whose row does not hold what is compared."""
    if not search.filters:
        return True
    try:
        found = await services.workitems.get_whole(row.partition, row.uid)
    except BlobMissing:
        return False
    if found is None:
        return False
    workitem, document = found
    forms = await off_the_loop(len(document), lambda: contents.search_forms(orjson.loads(document)))
    return _meets(search, workitem.state, forms)


async def _item(services: "Services", search: WorkitemSearch, row: Workitem) -> bytes | None:
    """The data set of a match, as far as it is shown."""
    if row.packed:
        return _shown(search, await services.workitems.document(row), row.state)
    try:
        found = await services.workitems.get_whole(row.partition, row.uid)
    except BlobMissing:
        return None
    if found is None:
        return _GONE
    workitem, document = found
    if workitem.operation == row.operation:
        return await off_the_loop(len(document), lambda: _shown(search, document, workitem.state))

    def shown_if_met() -> bytes:
        forms = contents.search_forms(orjson.loads(document))
        return _shown(search, document, workitem.state) if _meets(search, workitem.state, forms) else _GONE

    return await off_the_loop(len(document), shown_if_met)


def _shown(search: WorkitemSearch, document: bytes, state: str) -> bytes:
    """UPS-69, UPS-70"""
    dataset = contents.read(document, state)
    if search.fields.all:
        return orjson.dumps(dataset)
    wanted = DEFAULT_RESULT | search.fields.tags | {each.attribute.path[0] for each in search.filters}
    return orjson.dumps({tag: element for tag, element in dataset.items() if tag in wanted})
