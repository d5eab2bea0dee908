"""The search for workitems (PS3.18 11.9; UPS-60 to UPS-71).

Storage goes through the rows, of which it gives what its conditions let through; everything is matched again here.
Most data sets come along with their rows. The others are read afterwards, and only those of the page.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from ..dicom.normal_form import projected_name
from ..dicom.workitem_attributes import DEFAULT_RESULT, STATE
from ..dicomweb.workitem_search_parameters import WorkitemSearch
from ..storage.primitives import BlobMissing, Compare, Condition, Or
from ..storage.workitem_rows import Workitem
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
        met = _met(search, workitem)
        if met is None:
            met = await _whole_met(services, search, workitem)
        if not met:
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


def _met(search: WorkitemSearch, row: Workitem) -> bool | None:
    """Whether a workitem matches; None if that takes its document."""
    undecided = False
    known = {**row.forms, STATE: (row.state.lower(),)}
    for each in search.filters:
        forms = known.get(each.attribute.column)
        if forms is None and row.more:
            undecided = True
        elif not any(map(each.matcher.matches, forms or ())):
            return False
    return None if undecided else True


async def _whole_met(services: "Services", search: WorkitemSearch, row: Workitem) -> bool:
    """Whether a workitem matches whose row does not hold all that is compared."""
    try:
        found = await services.workitems.get_whole(row.partition, row.uid)
    except BlobMissing:
        return False
    return found is not None and bool(await off_the_loop(len(found[1]), lambda: _met(search, _with_forms(*found))))


def _with_forms(workitem: Workitem, document: bytes) -> Workitem:
    return replace(workitem, forms=contents.search_forms(orjson.loads(document)), more=False)


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
        met = _met(search, _with_forms(workitem, document))
        return _shown(search, document, workitem.state) if met else _GONE

    return await off_the_loop(len(document), shown_if_met)


def _shown(search: WorkitemSearch, document: bytes, state: str) -> bytes:
    """UPS-69, UPS-70"""
    dataset = contents.read(document, state)
    if search.fields.all:
        return orjson.dumps(dataset)
    wanted = DEFAULT_RESULT | search.fields.tags | {each.attribute.path[0] for each in search.filters}
    return orjson.dumps({tag: element for tag, element in dataset.items() if tag in wanted})
