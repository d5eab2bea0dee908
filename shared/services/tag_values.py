"""What instances contribute to the values of extended query tags (TAG-21 to TAG-30), at store and when reindexed."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..dicom.attributes import Level
from ..dicom.indexed_values import find_element, indexing_fault
from ..dicom.normal_form import normal_form, projected_name
from ..storage.extended_query_tags import ExtendedQueryTag
from ..storage.records import Attributes, InstanceKey
from ..storage.tag_indexing import StudyValues, TagIndexing, Visited, newer, stamped
from .parallel import in_parallel

WriteStudyValues = Callable[[str, str, StudyValues], Awaitable[None]]
"""Gives a study (data partition, study) and its series their values: `Committer.index_tags`."""


@dataclass(frozen=True, slots=True)
class TagValues:
    """The values of one instance: elements by column for the rows of its study and its series, normal forms by
    property for its own; and the tags by which it cannot be indexed, with the reason."""

    study: Attributes = field(default_factory=dict)
    series: Attributes = field(default_factory=dict)
    instance: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[ExtendedQueryTag, str]] = field(default_factory=list)


def tag_values(tags: Iterable[ExtendedQueryTag], metadata: bytes) -> TagValues:
    """Reads the values of `tags` out of the metadata of an instance."""
    values = TagValues()
    if not tags:
        return values
    elements: dict[str, dict[str, Any]] = orjson.loads(metadata)
    for tag in tags:
        element = find_element(elements, tag.path, tag.creator or None)
        if element is None:
            continue
        fault = indexing_fault(tag.vr, element)
        if fault is not None:
            values.faults.append((tag, fault))
            continue
        form = normal_form(tag.vr, dict(element))
        if form is None:
            continue
        kept = {"vr": tag.vr, "Value": element["Value"][:1]}
        if tag.level == Level.STUDY.value:
            values.study[tag.column] = kept
        elif tag.level == Level.SERIES.value:
            values.series[tag.column] = kept
        else:
            values.instance[projected_name(tag.column)] = form
    return values


async def index_instances(
    tagged: TagIndexing, write: WriteStudyValues, tags: Sequence[ExtendedQueryTag], instances: Iterable[Visited]
) -> list[tuple[InstanceKey, ExtendedQueryTag, str]]:
    """Writes the values of instances that are stored already; returns those that cannot be indexed, and why.

    An instance that is replaced or deleted meanwhile is left to whoever does so.
    """
    studies: dict[tuple[str, str], list[tuple[Visited, TagValues]]] = {}
    for visited in instances:
        study = (visited.key.partition, visited.key.study)
        studies.setdefault(study, []).append((visited, tag_values(tags, visited.metadata)))

    async def of_study(study: tuple[str, str]) -> None:
        found = studies[study]
        await tagged.write([(visited, values.instance) for visited, values in found if values.instance])
        values = _study_values(found)
        if not values.nothing:
            await write(*study, values)

    await in_parallel(of_study, studies)
    return [
        (visited.key, tag, fault)
        for found in studies.values()
        for visited, values in found
        for tag, fault in values.faults
    ]


def _study_values(found: Iterable[tuple[Visited, TagValues]]) -> StudyValues:
    """The newest values among some instances of one study (TAG-25)."""
    study: Attributes = {}
    series: dict[str, Attributes] = {}
    for visited, values in found:
        study = newer(study, stamped(values.study, visited.version))
        uid = visited.key.series
        series[uid] = newer(series.get(uid, {}), stamped(values.series, visited.version))
    return StudyValues(study, {uid: values for uid, values in series.items() if values})
