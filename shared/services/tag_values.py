"""What instances contribute to the values of extended query tags (TAG-21 to TAG-30), at store and when reindexed."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from ..dicom.attributes import Level
from ..dicom.indexed_values import find_element, indexing_fault
from ..dicom.normal_form import normal_form, projected_name
from ..storage.extended_query_tags import ExtendedQueryTag
from ..storage.records import Attributes, InstanceKey, TagValues
from ..storage.tag_columns import newer, stamped
from ..storage.tag_indexing import StudyValues, TagIndexing, Visited
from .parallel import in_parallel

WriteStudyValues = Callable[[str, str, StudyValues], Awaitable[None]]
"""Gives a study (data partition, study) and its series their values: `Committer.index_tags`."""


Fault = tuple[ExtendedQueryTag, str]
"""A tag by which an instance cannot be indexed, and why."""


def tag_values(tags: Iterable[ExtendedQueryTag], metadata: bytes) -> tuple[TagValues, list[Fault]]:
    """Reads the values of `tags` out of the metadata of an instance."""
    study: Attributes = {}
    series: Attributes = {}
    instance: dict[str, str] = {}
    faults: list[Fault] = []
    elements: dict[str, dict[str, Any]] = orjson.loads(metadata)
    for tag in tags:
        element = find_element(elements, tag.path, tag.creator or None)
        if element is None:
            continue
        fault = indexing_fault(tag.vr, element)
        if fault is not None:
            faults.append((tag, fault))
            continue
        form = normal_form(tag.vr, dict(element))
        if form is None:
            continue
        kept = {"vr": tag.vr, "Value": element["Value"][:1]}
        if tag.level == Level.STUDY.value:
            study[tag.column] = kept
        elif tag.level == Level.SERIES.value:
            series[tag.column] = kept
        else:
            instance[projected_name(tag.column)] = form
    return TagValues(study, series, instance), faults


async def index_instances(
    tagged: TagIndexing, write: WriteStudyValues, tags: Sequence[ExtendedQueryTag], instances: Iterable[Visited]
) -> list[tuple[InstanceKey, ExtendedQueryTag, str]]:
    """Writes the values of instances that are stored already; returns those that cannot be indexed, and why.

    An instance that is deleted meanwhile has none; one that is changed is read again, as an update keeps its values.
    """
    studies: dict[tuple[str, str], list[tuple[Visited, TagValues]]] = {}
    faults: list[tuple[InstanceKey, ExtendedQueryTag, str]] = []
    for visited in instances:
        values, found = tag_values(tags, visited.metadata)
        studies.setdefault((visited.key.partition, visited.key.study), []).append((visited, values))
        faults += [(visited.key, tag, fault) for tag, fault in found]

    async def of_study(study: tuple[str, str]) -> None:
        found = studies[study]
        left = found
        while changed := await tagged.write([(seen, values.instance) for seen, values in left if values.instance]):
            left = [(seen, tag_values(tags, seen.metadata)[0]) for seen in await tagged.of_instances(changed)]
        of_rows = _study_values(found)
        if not of_rows.nothing:
            await write(*study, of_rows)

    await in_parallel(of_study, studies)
    return faults


def _study_values(found: Iterable[tuple[Visited, TagValues]]) -> StudyValues:
    """The newest values among some instances of one study (TAG-25)."""
    study: Attributes = {}
    series: dict[str, Attributes] = {}
    for visited, values in found:
        study = newer(study, stamped(values.study, visited.version))
        uid = visited.key.series
        series[uid] = newer(series.get(uid, {}), stamped(values.series, visited.version))
    return StudyValues(study, {uid: values for uid, values in series.items() if values})
