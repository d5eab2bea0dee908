"""Retrieving metadata (PS3.18 10.4.1.1.2; RET-60 to RET-79).

It was made DICOM JSON when the instance was stored and lies in the row of the instance: here stored objects are only
put one behind the other.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ..errors import NotFound
from ..storage.index import Index, metadata_at_hand
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord

CHUNK_SIZE = 256 * 1024
"""Objects are gathered into pieces of about this size."""


MOST_KEPT_BYTES = 16 * 1024 * 1024

Subject = tuple[str, str, str, str]
"""Data partition, study, and series and instance, as far as one is meant."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was found at one level, of the latest versions or of the originals; `etag` names this state of it (RET-75),
    by the latest versions in either case (RET-114)."""

    subject: Subject
    etag: str
    records: Sequence[InstanceRecord]
    original: bool = False


async def find_metadata(
    index: Index, partition: str, study: str, series: str | None = None, *, original: bool = False
) -> Metadata:
    """The metadata of a study or series; raises `NotFound` (RET-70)."""
    records: Sequence[InstanceRecord] = await index.instances(partition, study, series, metadata=True)
    etag = f"{records[-1].version if records else 0}-{len(records)}"
    if original:
        records = await index.originals(records, metadata=True)
    if not records:
        raise NotFound.resource("study" if series is None else "series")
    return Metadata((partition, study, series or "", ""), etag, records, original)


async def find_instance_metadata(index: Index, key: InstanceKey, *, original: bool = False) -> Metadata:
    """The metadata of one instance; raises `NotFound` (RET-70)."""
    latest = await index.instance(key, metadata=True)
    record = await index.original(latest, metadata=True) if original and latest else latest
    if latest is None or record is None:
        raise NotFound.resource("instance")
    return Metadata((key.partition, key.study, key.series, key.instance), str(latest.version), [record], original)


class MetadataArrays:
    """The arrays that were put together last, while their ETags are those of what is there.

    Of one study or series no ETag comes back: versions only grow, and of those up to a given one, instances only go.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Subject, bool], tuple[str, bytes]] = OrderedDict()
        self._size = 0

    def clear(self) -> None:
        """The store was emptied."""
        self._kept.clear()
        self._size = 0

    def of(self, metadata: Metadata) -> bytes | None:
        """The whole array, if it is no longer than a piece and no part of it has to be read."""
        key = metadata.subject, metadata.original
        etag, array = self._kept.pop(key, ("", b""))
        self._size -= len(array)
        if etag != metadata.etag:
            at_hand = _array_at_hand(metadata.records)
            if at_hand is None:
                return None
            array = at_hand
        self._kept[key] = metadata.etag, array
        self._size += len(array)
        while self._size > MOST_KEPT_BYTES:
            self._size -= len(self._kept.popitem(last=False)[1][1])
        return array


def _array_at_hand(records: Sequence[InstanceRecord]) -> bytes | None:
    objects: list[bytes] = []
    size = 0
    for record in records:
        content = metadata_at_hand(record)
        size += len(content or b"")
        if content is None or size > CHUNK_SIZE:
            return None
        objects.append(content)
    return b"[" + b",".join(objects) + b"]"


async def metadata_array(index: Index, metadata: Metadata) -> AsyncGenerator[bytes]:
    """The JSON array in pieces, one object for each instance (RET-61); instances that are gone meanwhile are left out.

    Objects are read one by one, so that those that lie in blobs of their own are never in memory together.
    """
    gathered = [b"["]
    size = 0
    first = True
    for record in metadata.records:
        content = await _object(index, record, metadata.original)
        if content is None:
            continue
        gathered += [content] if first else [b",", content]
        first = False
        size += len(content)
        if size >= CHUNK_SIZE:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    gathered.append(b"]")
    yield b"".join(gathered)


async def _object(index: Index, record: InstanceRecord, original: bool) -> bytes | None:
    """The DICOM JSON object of an instance; that of the version in its place if it was replaced (rule 31)."""
    found: InstanceRecord | None = record
    while found is not None:
        try:
            return await index.metadata(found)
        except BlobMissing:
            before, found = found, await index.instance(record.key, metadata=True)
            if found is not None and original:
                found = await index.original(found, metadata=True)
            if found is not None and found.file == before.file:
                raise
    return None
