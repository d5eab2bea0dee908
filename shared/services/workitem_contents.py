"""What the data set of a workitem becomes: created, updated, canceled, and read again.

These are functions over whole data sets, of which some are megabytes large: `off_the_loop` runs them in a thread then.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import orjson

from ..clock import Ticks, to_datetime
from ..dicom.normal_form import normal_form
from ..dicom.workitem_attributes import (
    CANCELED_AT,
    COMMUNICATIONS,
    CONTACT_NAME,
    CONTACT_URI,
    DISCONTINUATION_REASON,
    MODIFIED,
    PERFORMED,
    PROGRESS,
    REASON,
    SEARCHABLE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STATE,
    TRANSACTION_UID,
    UNIFIED_PROCEDURE_STEP,
    WORKLIST_LABEL,
)
from ..dicomweb.workitem_datasets import Dataset, Element
from ..storage.workitem_rows import Content
from .workitem_checks import items_of

DEFAULT_LABEL = "worklist"

LARGE = 128 * 1024
"""Bytes of JSON from which on work with it leaves the event loop."""

T = TypeVar("T")


async def off_the_loop(size: int, work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread if `size`, in bytes of JSON, says that it takes long."""
    return await asyncio.to_thread(work) if size > LARGE else work()


def printed_moment(ticks: Ticks) -> str:
    """A DT in UTC, to the microsecond."""
    return f"{to_datetime(ticks):%Y%m%d%H%M%S.%f}"


def created(sent: Dataset, uid: str, now: Ticks) -> Content:
    """A new workitem (UPS-15)."""
    ours = {
        SOP_CLASS_UID: _element("UI", UNIFIED_PROCEDURE_STEP),
        SOP_INSTANCE_UID: _element("UI", uid),
        MODIFIED: _element("DT", printed_moment(now)),
        WORKLIST_LABEL: _element("LO", DEFAULT_LABEL),
    }
    return _content(sent | ours)


def updated(document: bytes, sent: Dataset, now: Ticks) -> Content:
    """Each attribute that was sent takes the place of the stored one (UPS-32)."""
    stored: Dataset = orjson.loads(document)
    return _content(stored | sent | {MODIFIED: _element("DT", printed_moment(now))})


def canceled(document: bytes, sent: Dataset, now: Ticks) -> Content:
    """A workitem that was canceled on request, with the reason and the contact if they were given (UPS-52)."""
    stored: Dataset = orjson.loads(document)
    moment = _element("DT", printed_moment(now))
    reason = _sequence({REASON: _given(sent, REASON, "LT")})
    contact = _sequence({CONTACT_URI: _given(sent, CONTACT_URI, "UR"), CONTACT_NAME: _given(sent, CONTACT_NAME, "LO")})
    progress = _sequence({CANCELED_AT: moment, COMMUNICATIONS: contact, DISCONTINUATION_REASON: reason})
    ours = {CANCELED_AT: moment, PROGRESS: progress, DISCONTINUATION_REASON: reason}
    performed = {PERFORMED: sent[PERFORMED]} if PERFORMED in sent else {}
    return _content(stored | performed | ours)


def read(document: bytes, state: str) -> Dataset:
    """The whole data set in ascending order, without its transaction UID (UPS-23)."""
    stored: Dataset = orjson.loads(document)
    return dict(sorted((stored | {STATE: _element("CS", state)}).items()))


def search_forms(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """What searches compare, by column: the first value of an attribute, those of all items in a sequence (UPS-63).

    The state is not among them, the row has it anyway.
    """
    forms = {}
    for path, attribute in SEARCHABLE.items():
        element = dataset.get(path[0])
        if element is None or path == (STATE,):
            continue
        *_, tag = path
        elements = [element] if len(path) == 1 else [item[tag] for item in items_of(element) if tag in item]
        found = (normal_form(attribute.vr, each) for each in elements)
        distinct = dict.fromkeys(form for form in found if form is not None)
        if distinct:
            forms[attribute.column] = tuple(distinct)
    return forms


def _content(dataset: Dataset) -> Content:
    kept = {tag: dataset[tag] for tag in sorted(dataset) if tag not in (STATE, TRANSACTION_UID)}
    return Content(orjson.dumps(kept), search_forms(kept))


def _element(vr: str, value: str) -> Element:
    return {"vr": vr, "Value": [value]}


def _sequence(item: Mapping[str, Element]) -> Element:
    return {"vr": "SQ", "Value": [dict(item)]}


def _given(sent: Dataset, tag: str, vr: str) -> Element:
    """The value of the request, or an empty element."""
    values = sent.get(tag, {}).get("Value")
    return {"vr": vr, "Value": values} if values else {"vr": vr}
