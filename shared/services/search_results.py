"""The items of a search: which attributes each shows, and where they come from (QRY-50 to QRY-62)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import orjson

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
from ..dicom.normal_form import NormalForms
from ..dicomweb.search_parameters import STUDIES, Resource, Search
from ..storage.newest import details_of
from ..storage.records import Attributes, InstanceKey, Projection, SeriesRecord
from .search_lookups import Lookups, Metadata
from .search_reading import FoundInstance

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

MOST_COLUMNS = 64

MOST_MADE = 4
"""Items that are kept of one row, for searches that show different attributes."""

_COMPUTED = frozenset({MODALITIES_IN_STUDY, STUDY_RELATED_INSTANCES, SERIES_RELATED_INSTANCES})

_BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Never returned (QRY-57)."""

_STUDY_ROW = frozenset(attribute.tag for attribute in INDEXED[Level.STUDY])
_SERIES_ROW = frozenset(attribute.tag for attribute in INDEXED[Level.SERIES])
_UIDS = frozenset(UID_TAGS.values())
_STUDY_UID, _SERIES_UID, _INSTANCE_UID = (UID_TAGS[level] for level in Level)

Item = dict[str, dict[str, Any]]

Elements = Mapping[str, Any]

UIDS, STUDY_ROW, SERIES_ROW, INSTANCE, WORKED_OUT = range(5)
"""Where the attributes of an item are read; positions of the arguments of `_item`."""

_NOTHING: Item = {}

Shown = Item | orjson.Fragment
"""An item, or the JSON that it has."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The attributes that items show, by where they are read: the row of the study, the row of the series, an
    instance. Their UIDs are known beforehand, `computed` are worked out. `ordered` are all of them in ascending order
    (QRY-59), each with its source."""

    study_row: frozenset[str]
    series_row: frozenset[str]
    instance: frozenset[str]
    computed: frozenset[str]
    ordered: tuple[tuple[str, int], ...]


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
    wanted = set(asked)
    for level in resource.levels:
        wanted |= (DEFAULT_RESULT_1 if version_1 else DEFAULT_RESULT)[level]
        if everything:  # the same in both versions
            wanted |= DEFAULT_RESULT[level] | ALL_RESULT[level]
    return _columns_of(resource.item, frozenset(wanted))


@lru_cache(maxsize=MOST_COLUMNS)
def _columns_of(item: Level, wanted: frozenset[str]) -> Columns:
    """Searches that show the same have one and the same `Columns`."""
    study_row, series_row, computed, uids = (wanted & each for each in _sources(item))
    instance = wanted - study_row - series_row - uids - _COMPUTED
    by_source = ((uids, UIDS), (study_row, STUDY_ROW), (series_row, SERIES_ROW), (instance, INSTANCE))
    sources = {tag: source for tags, source in (*by_source, (computed, WORKED_OUT)) for tag in tags}
    return Columns(
        study_row=study_row,
        series_row=series_row,
        instance=instance,
        computed=computed,
        ordered=tuple(sorted(sources.items())),
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


def prepare(study: Projection) -> None:
    """Makes what a search shows of a study that asks for nothing more: lists of many would make all of it at once."""
    if study.made is not None:
        _item_of_row(_plain_columns(), study, study.made)


@cache
def _plain_columns() -> Columns:
    return columns(Search(STUDIES))


async def study_items(shown: Columns, found: Sequence[Projection], lookups: Lookups) -> list[Shown]:
    """One item for each study, in their order."""
    newest = await _newest_of_studies(shown, found, lookups) if shown.instance else {}
    computed = await _computed(shown, found, lookups)
    return [
        _study_item(shown, each, newest.get(each.study), extra) for each, extra in zip(found, computed, strict=True)
    ]


def _study_item(shown: Columns, found: Projection, newest: Metadata | None, computed: Item) -> Shown:
    made = found.made
    if made is not None and not computed and (not shown.instance or newest is details_of(found.attributes)):
        return _item_of_row(shown, found, made)
    return _item(shown, _uids(found), found.attributes, instance=newest or _NOTHING, computed=computed)


def _item_of_row(shown: Columns, found: Projection, made: dict[object, Any]) -> orjson.Fragment:
    """The item of a study whose row says all of it: lists of studies are asked for again and again. Some hundred bytes
    of JSON are found in the processor's cache where the objects that they say would not be."""
    item: orjson.Fragment | None = made.get(shown)
    if item is None:
        details = details_of(found.attributes) or _NOTHING
        item = orjson.Fragment(orjson.dumps(_item(shown, _uids(found), found.attributes, instance=details)))
        if len(made) >= MOST_MADE:
            made.clear()
        made[shown] = item
    return item


async def _newest_of_studies(shown: Columns, found: Sequence[Projection], lookups: Lookups) -> dict[str, Metadata]:
    """What is shown of the newest instance of each study, read only where the row of the study does not have it."""
    newest: dict[str, Metadata] = {}
    if shown.instance <= STUDY_DETAILS:
        rows = ((each.study, details_of(each.attributes)) for each in found)
        newest = {study: details for study, details in rows if details is not None}
    keys = await lookups.newest_of_studies(each.study for each in found if each.study not in newest)
    texts = await lookups.metadata(keys.values())
    return newest | {study: texts[key] for study, key in keys.items() if key in texts}


async def series_items(shown: Columns, found: Sequence[Projection], lookups: Lookups) -> list[Item]:
    """One item for each series, in their order."""
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
            shown,
            _uids(each),
            rows.get(each.study, _NOTHING),
            each.attributes,
            instance=newest.get((each.study, each.series), _NOTHING),
            computed=extra,
        )
        for each, extra in zip(found, computed, strict=True)
    ]


async def instance_items(shown: Columns, found: Sequence[FoundInstance], lookups: Lookups) -> list[Item]:
    """One item for each instance, in their order; what is gone by now is left out."""
    if not shown.instance:
        return [_item(shown, _instance_uids(each)) for each in found]
    keys = [InstanceKey(lookups.partition, each.study, each.series, each.instance) for each in found]
    metadata = await lookups.metadata(keys)
    return [
        _item(shown, _instance_uids(each), instance=metadata[key])
        for each, key in zip(found, keys, strict=True)
        if key in metadata
    ]


async def _computed(shown: Columns, found: Sequence[Projection], lookups: Lookups) -> list[Item]:
    """The computed attributes of each item, each of a study or a series (QRY-58)."""
    if not shown.computed:
        return [{}] * len(found)
    studies = {each.study for each in found}
    series = await lookups.series(studies)
    return [_computed_item(shown, each, series[each.study]) for each in found]


def _computed_item(shown: Columns, found: Projection, series: Sequence[SeriesRecord]) -> Item:
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
        form = NormalForms(each.attributes)[MODALITY]
        if form is not None:
            distinct.setdefault(form, str(each.attributes[MODALITY]["Value"][0]).strip(" \0"))
    return list(distinct.values())


def _count(number: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [number]}


def _uids(found: Projection) -> Item:
    """The UIDs of a study or series and, of a series, of the study above it."""
    study = {_STUDY_UID: {"vr": "UI", "Value": [found.study]}}
    return study | {_SERIES_UID: {"vr": "UI", "Value": [found.series]}} if found.series else study


def _instance_uids(found: FoundInstance) -> Item:
    uids = {_STUDY_UID: found.study, _SERIES_UID: found.series, _INSTANCE_UID: found.instance}
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}


def _item(
    shown: Columns,
    uids: Elements,
    study_row: Elements = _NOTHING,
    series_row: Elements = _NOTHING,
    instance: Elements = _NOTHING,
    computed: Elements = _NOTHING,
) -> Item:
    """One data set: of each source what is shown of it."""
    sources = (uids, study_row, series_row, instance, computed)
    return {
        tag: element
        for tag, source in shown.ordered
        if (element := sources[source].get(tag)) is not None and element["vr"] not in _BULK_VRS
    }
