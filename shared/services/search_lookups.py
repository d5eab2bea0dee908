"""Reads of the index that several parts of one search need, each made once."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ..storage.index import Index
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord, SeriesRecord, StudyRecord
from .parallel import in_parallel

MOST_ATTEMPTS = 5
"""To read the metadata of an instance that is replaced again and again meanwhile."""

Metadata = Mapping[str, dict[str, Any]]


class Lookups:
    """What the index says of the studies of one data partition; studies and series are remembered."""

    def __init__(self, index: Index, partition: str) -> None:
        self.index = index
        self.partition = partition
        self._studies: dict[str, StudyRecord | None] = {}
        self._series: dict[str, list[SeriesRecord]] = {}

    async def studies(self, studies: Iterable[str]) -> dict[str, StudyRecord]:
        """Those of the studies that there are."""
        wanted = sorted(set(studies))
        missing = [study for study in wanted if study not in self._studies]
        records = await in_parallel(lambda study: self.index.study(self.partition, study), missing)
        self._studies.update(zip(missing, records, strict=True))
        return {study: record for study in wanted if (record := self._studies[study])}

    async def series(self, studies: Iterable[str]) -> dict[str, list[SeriesRecord]]:
        """The series of each study, oldest first; none of a study that there is not."""
        wanted = sorted(set(studies))
        missing = [study for study in wanted if study not in self._series]
        records = await in_parallel(lambda study: self.index.series(self.partition, study), missing)
        self._series.update(zip(missing, records, strict=True))
        return {study: self._series[study] for study in wanted}

    async def newest_of_studies(self, studies: Iterable[str]) -> dict[str, InstanceKey]:
        """The instance of each study that was stored last (QRY-54): its row names it, unless that one was deleted."""
        known = {study: record.newest for study, record in (await self.studies(studies)).items()}
        unnamed = [study for study, newest in known.items() if newest is None]
        found = await in_parallel(lambda study: self.index.instances(self.partition, study), unnamed)
        known.update({study: records[-1].key for study, records in zip(unnamed, found, strict=True) if records})
        return {study: newest for study, newest in known.items() if newest is not None}

    async def newest_of_series(self, series: Iterable[tuple[str, str]]) -> dict[tuple[str, str], InstanceKey]:
        """The instance of each series (study, series) that was stored last; one query for the series of a study."""
        studies: dict[str, list[str]] = {}
        for study, one in series:
            studies.setdefault(study, []).append(one)

        async def of_study(study: str) -> list[InstanceRecord]:
            only = studies[study][0] if len(studies[study]) == 1 else None
            return await self.index.instances(self.partition, study, only)

        found = await in_parallel(of_study, studies)
        return {(record.key.study, record.key.series): record.key for records in found for record in records}

    async def metadata(self, keys: Iterable[InstanceKey]) -> dict[InstanceKey, Metadata]:
        """The metadata of the instances that are there."""
        found: dict[InstanceKey, Metadata] = {}
        left = list(dict.fromkeys(keys))
        for _ in range(MOST_ATTEMPTS):
            records = await self._current(left)
            texts = await in_parallel(self._text, records)
            found.update(
                (record.key, orjson.loads(text))
                for record, text in zip(records, texts, strict=True)
                if text is not None
            )
            left = [record.key for record, text in zip(records, texts, strict=True) if text is None]
            if not left:
                break
        return found

    async def _current(self, keys: Iterable[InstanceKey]) -> list[InstanceRecord]:
        studies: dict[str, list[InstanceKey]] = {}
        for key in keys:
            studies.setdefault(key.study, []).append(key)
        found = await in_parallel(lambda some: self.index.current(some, metadata=True), studies.values())
        return [record for records in found for record in records.values()]

    async def _text(self, record: InstanceRecord) -> bytes | None:
        """None for an instance that was replaced or deleted since it was read."""
        try:
            return await self.index.metadata(record)
        except BlobMissing:
            return None
