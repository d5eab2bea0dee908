"""Retrieving studies, series and instances (PS3.18 10.4; RET-02 to RET-38).

Everything that can be refused is refused before a first byte is given away; then bytes pass through as storage
delivers them. Requests for the original version of an updated instance (RET-110) differ in the row that they start
from, and in nothing else.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..dicom import transfer_syntaxes as ts
from ..dicom.pixels import Undecodable
from ..errors import NotAcceptable, NotFound
from ..storage.files import Files
from ..storage.index import Index
from ..storage.records import InstanceKey, InstanceRecord
from .codecs import CodecResult, Codecs
from .file_reading import FileChunk, FileReader


@dataclass(frozen=True, slots=True)
class Source:
    """What retrieval works with. Files above `transcode_limit` bytes are neither transcoded nor rendered; `original`
    asks for the versions that were stored, before any bulk update."""

    index: Index
    files: Files
    codecs: Codecs
    transcode_limit: int
    original: bool = False

    @property
    def reader(self) -> FileReader:
        return FileReader(self.index, self.files, original=self.original)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One file on its way out: the beginning of its bytes, or all of them, and what follows."""

    transfer_syntax: str
    size: int
    first: bytes
    following: AsyncGenerator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class RetrievedChunk:
    """Bytes of one of several files; `begins` is the transfer syntax of the file that starts with them."""

    content: bytes
    begins: str = ""


async def find_instances(
    source: Source, partition: str, study: str, series: str | None = None
) -> Sequence[InstanceRecord]:
    """The instances of a study or series in the order of their versions (RET-28); raises `NotFound` (RET-03)."""
    records = await source.index.instances(partition, study, series)
    if source.original:
        records = await source.index.originals(records)
    if not records:
        raise NotFound.resource("study" if series is None else "series")
    return records


async def find_instance(source: Source, key: InstanceKey) -> InstanceRecord:
    """One instance; raises `NotFound` (RET-03, RET-04)."""
    record = await source.reader.find(key)
    if record is None:
        raise NotFound.resource("instance")
    return record


async def retrieve_instance(source: Source, key: InstanceKey, transfer_syntax: str) -> Retrieved:
    """The file of an instance: as it is if `transfer_syntax` is its own or `ORIGINAL`, else transcoded.

    Raises `NotFound` if it is not there (RET-03, RET-04), `NotAcceptable` if it cannot be transcoded (RET-34, RET-35).
    """
    beginning = await source.reader.standing(key, _beginning(source, transfer_syntax))
    return await _retrieved(source, beginning, transfer_syntax)


async def retrieve_file(source: Source, record: InstanceRecord, transfer_syntax: str) -> Retrieved:
    """The same of a record that was just read; raises `NotFound` if it is deleted meanwhile."""
    beginning = await source.reader.current(record, _beginning(source, transfer_syntax))
    return await _retrieved(source, beginning, transfer_syntax)


def _beginning(source: Source, transfer_syntax: str) -> Callable[[InstanceRecord], Awaitable[FileChunk]]:
    """Reads the beginning of a file, or nothing if it has to be transcoded."""

    async def read(record: InstanceRecord) -> FileChunk:
        if transfer_syntax not in (ts.ORIGINAL, record.transfer_syntax):
            return FileChunk(b"", begins=record)
        return await source.reader.first_chunk(record)

    return read


async def _retrieved(source: Source, beginning: FileChunk | None, transfer_syntax: str) -> Retrieved:
    if beginning is None or beginning.begins is None:
        raise NotFound.resource("instance")
    record, content = beginning.begins, beginning.content
    if transfer_syntax not in (ts.ORIGINAL, record.transfer_syntax):
        return await _transcode(source, record, transfer_syntax)
    following = source.reader.rest(record, len(content)) if record.size > len(content) else None
    return Retrieved(record.transfer_syntax, record.size, content, following)


async def retrieve_files(
    source: Source, records: Sequence[InstanceRecord], transfer_syntax: str
) -> AsyncGenerator[RetrievedChunk]:
    """The files of several instances, as they are; raises `NotAcceptable` for every named transfer syntax (RET-26)."""
    if transfer_syntax != ts.ORIGINAL:
        raise NotAcceptable(
            f"Accept transfer syntax '{transfer_syntax}' is not supported when multiple instances are matched. "
            "Matching instances can be retrieved with their original transfer syntax by specifying "
            "'transfer-syntax=*' in the Accept header."
        )
    return (
        RetrievedChunk(chunk.content, chunk.begins.transfer_syntax if chunk.begins else "")
        async for chunk in source.reader.whole(records)
    )


def require_transcodable_size(source: Source, record: InstanceRecord) -> None:
    """Raises `NotAcceptable` for a file above the limit (RET-35)."""
    if record.size > source.transcode_limit:
        raise NotAcceptable(
            f"Requested DICOM instance size is above the supported limit of {source.transcode_limit}. "
            "The entire instance can be retrieved with the original transfer syntax by specifying "
            "'transfer-syntax=*' in the Accept header."
        )


def transcoding_refused() -> NotAcceptable:
    """RET-34."""
    return NotAcceptable("The specified transcoding is not supported.")


async def _transcode(source: Source, record: InstanceRecord, target: str) -> Retrieved:
    require_transcodable_size(source, record)

    async def read(now: InstanceRecord) -> tuple[InstanceRecord, bytes]:
        return await source.index.with_frames(now), await source.reader.read(now)

    async with source.codecs.turn() as turn:
        loaded = await source.reader.current(record, read)
        if loaded is None:
            raise NotFound.resource("instance")
        now, content = loaded
        if now.transfer_syntax == target:
            return Retrieved(target, now.size, content)
        try:
            result = await turn.run(
                "transcode_file", [content, now.frames], transfer_syntax=now.transfer_syntax, target=target
            )
        except Undecodable as error:
            raise transcoding_refused() from error
    return Retrieved(target, result.size, b"", _drained(result))


async def _drained(result: CodecResult) -> AsyncGenerator[bytes]:
    try:
        async for chunk in result.chunks():
            yield chunk
    finally:
        result.close()
