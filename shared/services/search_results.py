"""The items of a search: which attributes each shows, and where they come from (QRY-50 to QRY-62)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from ..bounded_dict import BoundedDict
from ..dicom.attributes import (
    ALL_RESULT,
    DEFAULT_RESULT,
    INDEXED,
    MODALITIES_IN_STUDY,
    MODALITY,
    STUDY_DETAILS,
    UID_TAGS,
    Level,
)
from ..dicomweb.search_parameters import Resource, Search
from ..storage.newest import details_of
from ..storage.records import Attributes, InstanceKey, SeriesRecord
from .search_criteria import form_of
from .search_lookups import Lookups, Metadata
from .search_reading import Found

STUDY_RELATED_INSTANCES = "00201208"
SERIES_RELATED_INSTANCES = "00201209"

DEFAULT_RESULT_1 = {
    Level.STUDY: (DEFAULT_RESULT[Level.STUDY] - {"00081030"})
    | {"00080005", "00080030", "00080056", "00080201", "00100040", "00200010"},
    Level.SERIES: (DEFAULT_RESULT[Level.SERIES] - {"00081090"})
    | {"00080005", "00080201", "0008103E", "00400245", "00400275"},
    Level.INSTANCE: DEFAULT_RESULT[Level.INSTANCE] | ALL_RESULT[Level.INSTANCE],
}
"""What an item shows without being asked in version 1 of the API."""

MOST_REMEMBERED = 4096
"""Items of studies that this process keeps: pages of the newest studies are asked for again and again."""

MOST_COLUMNS = 64

_COMPUTED = frozenset({MODALITIES_IN_STUDY, STUDY_RELATED_INSTANCES, SERIES_RELATED_INSTANCES})

_BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Never returned (QRY-57)."""

_STUDY_ROW = frozenset(attribute.tag for attribute in INDEXED[Level.STUDY])
_SERIES_ROW = frozenset(attribute.tag for attribute in INDEXED[Level.SERIES])
_UIDS = frozenset(UID_TAGS.values())

Item = dict[str, dict[str, Any]]

Shown = Item | orjson.Fragment
"""An item, or the JSON that it has."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The attributes that items show, by where they are read: the row of the study, the row of the series, an
    instance. `uids` are known beforehand, `computed` are worked out."""

    uids: frozenset[str]
    study_row: frozenset[str]
    series_row: frozenset[str]
    instance: frozenset[str]
    computed: frozenset[str]


def columns(search: Search) -> Columns:
    """What the items of `search` show (QRY-51, QRY-52, QRY-54, QRY-55, QRY-58)."""
    asked = frozenset(each.tag for each in search.filters) | search.fields.tags
    if search.study is not None:
        asked |= {UID_TAGS[Level.STUDY]}
    if search.series is not None:
        asked |= {UID_TAGS[Level.SERIES]}
    return _columns(search.resource, asked, search.fields.all, search.version_1)


@lru_cache(maxsize=MOST_COLUMNS)
def _columns(resource: Resource, asked: frozenset[str], everything: bool, version_1: bool) -> Columns:
    """Searches that ask for the same have one and the same `Columns`."""
    wanted = set(asked)
    for level in resource.levels:
        wanted |= (DEFAULT_RESULT_1 if version_1 else DEFAULT_RESULT)[level]
        if everything:
            wanted |= ALL_RESULT[level]
    study_row, series_row, computed, known = _sources(resource.item)
    return Columns(
        uids=frozenset(wanted & known),
        study_row=frozenset(wanted & study_row),
        series_row=frozenset(wanted & series_row),
        instance=frozenset(wanted - study_row - series_row - known - _COMPUTED),
        computed=frozenset(wanted & computed),
    )


def _sources(item: Level) -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
    """What an item of this level has in the row of its study and its series, what is computed for it, and its UIDs.

    Studies and series show the rows that searches match, instances what they themselves hold (QRY-60, QRY-61).
    """
    nothing: frozenset[str] = frozenset()
    if item is Level.STUDY:
        computed = frozenset({MODALITIES_IN_STUDY, STUDY_RELATED_INSTANCES})
        return _STUDY_ROW, nothing, computed, frozenset({UID_TAGS[Level.STUDY]})
    if item is Level.SERIES:
        return _STUDY_ROW, _SERIES_ROW, _COMPUTED, _UIDS - {UID_TAGS[Level.INSTANCE]}
    return nothing, nothing, nothing, _UIDS


async def items(search: Search, found: Sequence[Found], lookups: Lookups) -> Sequence[Shown]:
    """One item for each entity, in their order; what is gone by now is left out."""
    shown = columns(search)
    if search.resource.item is Level.STUDY:
        return await _study_items(shown, found, lookups)
    if search.resource.item is Level.SERIES:
        return await _series_items(shown, found, lookups)
    return await _instance_items(shown, found, lookups)


async def _study_items(shown: Columns, found: Sequence[Found], lookups: Lookups) -> list[Shown]:
    newest = await _newest_of_studies(shown, found, lookups) if shown.instance else {}
    computed = await _computed(shown, found, lookups)
    return [
        _study_item(shown, each, newest.get(each.study), extra) for each, extra in zip(found, computed, strict=True)
    ]


def _study_item(shown: Columns, found: Found, newest: Metadata | None, computed: Item) -> Shown:
    if found.text and not computed and (not shown.instance or newest is details_of(found.attributes)):
        return _item_of_row(shown, found)
    return _item(
        _uids(shown, found),
        _picked(shown.study_row, found.attributes),
        _picked(shown.instance, newest or {}),
        computed,
    )


def _item_of_row(shown: Columns, found: Found) -> orjson.Fragment:
    """The item of a study whose row says all of it. Some hundred bytes of JSON are found in the processor's cache
    where the objects that they say would not be."""
    key = shown, found.study, found.text
    item = _items.get(key)
    if item is None:
        data_set = _item(
            _uids(shown, found),
            _picked(shown.study_row, found.attributes),
            _picked(shown.instance, details_of(found.attributes) or {}),
        )
        item = orjson.Fragment(orjson.dumps(data_set))
        _items.add(key, item)
    return item


_items: BoundedDict[tuple[Columns, str, str], orjson.Fragment] = BoundedDict(MOST_REMEMBERED)


async def _newest_of_studies(shown: Columns, found: Sequence[Found], lookups: Lookups) -> dict[str, Metadata]:
    """What is shown of the newest instance of each study, read only where the row of the study does not have it."""
    newest: dict[str, Metadata] = {}
    if shown.instance <= STUDY_DETAILS:
        rows = ((each.study, details_of(each.attributes)) for each in found)
        newest = {study: details for study, details in rows if details is not None}
    keys = await lookups.newest_of_studies(each.study for each in found if each.study not in newest)
    texts = await lookups.metadata(keys.values())
    return newest | {study: texts[key] for study, key in keys.items() if key in texts}


async def _series_items(shown: Columns, found: Sequence[Found], lookups: Lookups) -> list[Item]:
    newest: Mapping[tuple[str, str], Metadata] = {}
    if shown.instance:
        keys = await lookups.newest_of_series((each.study, each.series) for each in found)
        texts = await lookups.metadata(keys.values())
        newest = {series: texts[key] for series, key in keys.items() if key in texts}
    rows: dict[str, Attributes] = {}
    if shown.study_row:
        records = await lookups.studies(each.study for each in found)
        rows = {study: record.attributes for study, record in records.items()}
    computed = await _computed(shown, found, lookups)
    return [
        _item(
            _uids(shown, each),
            _picked(shown.study_row, rows.get(each.study, {})),
            _picked(shown.series_row, each.attributes),
            _picked(shown.instance, newest.get((each.study, each.series), {})),
            extra,
        )
        for each, extra in zip(found, computed, strict=True)
    ]


async def _instance_items(shown: Columns, found: Sequence[Found], lookups: Lookups) -> list[Item]:
    if not shown.instance:
        return [_item(_uids(shown, each)) for each in found]
    keys = [InstanceKey(lookups.partition, each.study, each.series, each.instance) for each in found]
    metadata = await lookups.metadata(keys)
    return [
        _item(_uids(shown, each), _picked(shown.instance, metadata[key]))
        for each, key in zip(found, keys, strict=True)
        if key in metadata
    ]


async def _computed(shown: Columns, found: Sequence[Found], lookups: Lookups) -> list[Item]:
    """The computed attributes of each item, each of a study or a series (QRY-58)."""
    if not shown.computed:
        return [{}] * len(found)
    studies = {each.study for each in found}
    series = await lookups.series(studies)
    return [_computed_item(shown, each, series[each.study]) for each in found]


def _computed_item(shown: Columns, found: Found, series: Sequence[SeriesRecord]) -> Item:
    item: Item = {}
    if MODALITIES_IN_STUDY in shown.computed and (modalities := _modalities(series)):
        item[MODALITIES_IN_STUDY] = {"vr": "CS", "Value": modalities}
    if STUDY_RELATED_INSTANCES in shown.computed:
        item[STUDY_RELATED_INSTANCES] = _count(sum(each.instances for each in series))
    if SERIES_RELATED_INSTANCES in shown.computed:
        item[SERIES_RELATED_INSTANCES] = _count(sum(each.instances for each in series if each.series == found.series))
    return item


def _modalities(series: Sequence[SeriesRecord]) -> list[str]:
    """The distinct modalities, in order of the creation of their series."""
    distinct: dict[str, str] = {}
    for each in series:
        form = form_of(each.attributes, MODALITY)
        if form is not None:
            distinct.setdefault(form, str(each.attributes[MODALITY]["Value"][0]).strip(" \0"))
    return list(distinct.values())


def _count(number: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [number]}


def _uids(shown: Columns, found: Found) -> Item:
    """The UIDs of an entity and of those above it; a study has none below."""
    known = {
        UID_TAGS[Level.STUDY]: found.study,
        UID_TAGS[Level.SERIES]: found.series,
        UID_TAGS[Level.INSTANCE]: found.instance,
    }
    return {tag: {"vr": "UI", "Value": [known[tag]]} for tag in shown.uids}


def _picked(tags: frozenset[str], elements: Metadata) -> Item:
    return {tag: elements[tag] for tag in tags & elements.keys() if elements[tag]["vr"] not in _BULK_VRS}


def _item(*parts: Item) -> Item:
    """One data set with its keys in ascending order (QRY-59)."""
    return dict(sorted((tag, element) for part in parts for tag, element in part.items()))
