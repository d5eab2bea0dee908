"""All rows of a study as one query gives them: what deletions start from (protocol, rule 8)."""

from dataclasses import dataclass

from ..clock import Clock
from . import names
from .attempt import Doomed, Held
from .memory import StudyKey, StudyMemory, StudyView
from .primitives import Storage
from .rows import (
    FIRST_ROW,
    HEAD_PROPERTIES,
    STUDY_ROW,
    SeriesRow,
    StudyRow,
    instance_row,
    key_of_entity,
    partition_key,
    series_row,
    study_row,
)

_PROPERTIES = (
    *HEAD_PROPERTIES,
    "last",
    "created",
    "live",
    "expiry",
    "a",
    "pending",
    "unprojected",
    "deleting",
    "newest",
)


@dataclass(frozen=True, slots=True)
class StudyPartition:
    """`view` knows every series of the study."""

    view: StudyView
    instances: list[Doomed]

    def of_series(self, series: str) -> list[Doomed]:
        return [each for each in self.instances if each.series == series]


async def read_partition(storage: Storage, memory: StudyMemory, clock: Clock, study: StudyKey) -> StudyPartition:
    """Reads until the rows and the counts in the study row agree; remembered.

    One page of a query is a snapshot, a query of several pages is none: a row that was added behind the reader's back
    shows in the count, since the study row comes last.
    """
    while True:
        study_: StudyRow | None = None
        etag = ""
        series: dict[str, SeriesRow | None] = {}
        instances: list[Doomed] = []
        seen = clock()
        async for entity in storage.query(
            names.INDEX, partition_key(*study), rows=(FIRST_ROW, None), select=_PROPERTIES
        ):
            if entity.row == STUDY_ROW:
                study_, etag = study_row(entity), entity.etag
            elif entity.row.startswith("series|"):
                series[entity.row.removeprefix("series|")] = series_row(entity)
            else:
                key = key_of_entity(entity)
                instances.append(Doomed(key.series, key.instance, Held(instance_row(entity), entity.etag)))
        if (study_.live if study_ else 0) == len(instances):
            view = memory.recall(study).reread(study_, etag, series, seen)
            memory.keep(study, view)
            return StudyPartition(view, instances)
