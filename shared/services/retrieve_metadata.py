"""Retrieving metadata (PS3.18 10.4.1.1.2; RET-60 to RET-79).

It was made DICOM JSON when the instance was stored and lies in the row of the instance: here stored objects are only
put one behind the other.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ..errors import NotFound
from ..storage.index import Index, metadata_at_hand
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord

CHUNK_SIZE = 256 * 1024
"""Objects are gathered into pieces of about this size."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was found at one level, of the latest versions or of the originals; `etag` names this state of it (RET-75),
    by the latest versions in either case (RET-114)."""

    etag: str
    records: Sequence[InstanceRecord]
    original: bool = False


async def find_metadata(
    index: Index, partition: str, study: str, series: str | None = None, *, original: bool = False
) -> Metadata:
    """The metadata of a study or series; raises `NotFound` (RET-70)."""
    records = await index.instances(partition, study, series, metadata=True)
    etag = f"{max((record.version for record in records), default=0)}-{len(records)}"
    if original:
        records = await index.originals(records, metadata=True)
    if not records:
        raise NotFound.resource("study" if series is None else "series")
    return Metadata(etag, records, original)


async def find_instance_metadata(index: Index, key: InstanceKey, *, original: bool = False) -> Metadata:
    """The metadata of one instance; raises `NotFound` (RET-70)."""
    latest = await index.instance(key, metadata=True)
    record = await index.original(latest, metadata=True) if original and latest else latest
    if latest is None or record is None:
        raise NotFound.resource("instance")
    return Metadata(str(latest.version), [record], original)


async def metadata_array(index: Index, metadata: Metadata) -> AsyncGenerator[bytes]:
    """The JSON array in pieces, one object for each instance (RET-61); instances that are gone meanwhile are left out.

    Objects are read one by one, so that those that lie in blobs of their own are never in memory together.
    """
    gathered = [b"["]
    size = 0
    first = True
    for record in metadata.records:
        content = metadata_at_hand(record)
        if content is None:
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
