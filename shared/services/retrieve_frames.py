"""Retrieving frames (PS3.18 10.4.1.1.6; RET-40 to RET-52).

A frame is read by the byte range that was recorded when the instance was stored, whatever the size of the file. Only
what has no ranges that stand by themselves, deflated and big endian files, is read whole.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..dicom import transfer_syntaxes as ts
from ..dicom.frames import Bytes, FrameTable, packed_fragments
from ..dicom.pixels import Undecodable
from ..errors import NotFound
from ..storage.records import InstanceKey, InstanceRecord
from .codecs import CodecResult
from .file_reading import cancel
from .retrieve import Source, find_instance, require_transcodable_size, transcoding_refused

WHOLE_FILE = 1024 * 1024
"""Of a file up to this size everything is read at once where its beginning is needed too."""

_MOST_BYTES_AHEAD = 4 * 1024 * 1024
"""Frames are read ahead until they hold together more than this."""

MOST_FRAMES_AHEAD = 16
"""And no more than so many, however small."""


LARGE_TABLE = 50_000
"""Fragments of a table above which only the last one is remembered: each takes 24 bytes."""

_recent_table = lru_cache(maxsize=16)(FrameTable.unpack)
_last_large_table = lru_cache(maxsize=1)(FrameTable.unpack)
"""Viewers ask for the frames of an instance one by one. To unpack ten thousand takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class RetrievedFrames:
    """Frames in the order asked for: their transfer syntax, the first of them, and the others."""

    transfer_syntax: str
    first: bytes
    following: AsyncGenerator[bytes] | None = None


async def retrieve_frames(
    source: Source, key: InstanceKey, frames: Sequence[int], transfer_syntax: str
) -> RetrievedFrames:
    """The frames, counted from 1, in `transfer_syntax` or as they are stored if that is `ORIGINAL`.

    Raises `NotFound` if the instance or one of the frames is not there, `NotAcceptable` if one cannot be transcoded.
    """
    record = await find_instance(source, key)

    async def read(now: InstanceRecord) -> RetrievedFrames:
        return await _retrieve(source, now, frames, transfer_syntax)

    retrieved = await source.reader.current(record, read)
    if retrieved is None:
        raise NotFound.resource("instance")
    return retrieved


def frame_table(record: InstanceRecord, frames: Sequence[int]) -> FrameTable:
    """Where the frames of an instance are; raises `NotFound` if one of `frames` is nowhere (RET-44, RET-51)."""
    if not record.frames:
        raise NotFound.resource("frame")
    unpacked = _recent_table if packed_fragments(record.frames) <= LARGE_TABLE else _last_large_table
    table = unpacked(record.frames)
    try:
        for frame in frames:
            table.pieces(frame)
    except IndexError as error:
        raise NotFound.resource("frame") from error
    return table


async def read_image(
    source: Source, record: InstanceRecord, table: FrameTable, frames: Sequence[int]
) -> tuple[bytes, list[Bytes]]:
    """The file up to its pixel data, or more, and frames as they are stored; raises `BlobMissing`."""
    ranges = [table.pieces(frame) for frame in frames]
    if record.size <= WHOLE_FILE:
        beginning = await source.reader.read(record)
        # of native frames numpy reads where they lie
        content = memoryview(beginning) if record.transfer_syntax in ts.NATIVE else beginning
        parts = [[content[offset : offset + length] for offset, length in pieces] for pieces in ranges]
    else:
        beginning_end = table.pieces(1)[0][0]
        flat = [(0, beginning_end), *(piece for pieces in ranges for piece in pieces)]
        contents = await source.reader.pieces(record, flat)
        beginning, rest = contents[0], iter(contents[1:])
        parts = [[next(rest) for _ in pieces] for pieces in ranges]
    return beginning, [table.cut(frame, _whole(part)) for frame, part in zip(frames, parts, strict=True)]


def _whole(pieces: Sequence[Bytes]) -> Bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _retrieve(
    source: Source, record: InstanceRecord, frames: Sequence[int], transfer_syntax: str
) -> RetrievedFrames:
    table = frame_table(record, frames)
    stored = record.transfer_syntax
    target = stored if transfer_syntax == ts.ORIGINAL else transfer_syntax
    if target != stored:
        require_transcodable_size(source, record)
    if stored == ts.DEFLATED or (stored == ts.EXPLICIT_BIG_ENDIAN and target != stored):
        require_transcodable_size(source, record)
        return await _from_whole_file(source, record, frames, target)
    if target == stored or (target == ts.EXPLICIT_LITTLE_ENDIAN and stored == ts.IMPLICIT_LITTLE_ENDIAN):
        first = await _stored_frame(source, record, table, frames[0])
        following = _stored_frames(source, record, table, frames[1:]) if len(frames) > 1 else None
        return RetrievedFrames(target, first, following)
    return await _transcoded(source, record, table, frames, target)


async def _stored_frame(source: Source, record: InstanceRecord, table: FrameTable, frame: int) -> bytes:
    """A frame as it lies in the file."""
    return table.cut(frame, b"".join(await source.reader.pieces(record, table.pieces(frame))))


async def _stored_frames(
    source: Source, record: InstanceRecord, table: FrameTable, frames: Sequence[int]
) -> AsyncGenerator[bytes]:
    """Several of them, some read ahead while one is being sent."""
    waiting = deque(frames)
    reading: deque[tuple[int, asyncio.Task[bytes]]] = deque()
    try:
        while waiting or reading:
            while waiting and (not reading or _has_room(reading)):
                frame = waiting.popleft()
                size = sum(length for _, length in table.pieces(frame))
                reading.append((size, asyncio.create_task(_stored_frame(source, record, table, frame))))
            yield await reading.popleft()[1]
    finally:
        await cancel(task for _, task in reading)


def _has_room(reading: Sequence[tuple[int, object]]) -> bool:
    return len(reading) < MOST_FRAMES_AHEAD and sum(size for size, _ in reading) < _MOST_BYTES_AHEAD


async def _from_whole_file(
    source: Source, record: InstanceRecord, frames: Sequence[int], target: str
) -> RetrievedFrames:
    wanted = list(dict.fromkeys(frames))
    pixels = ts.EXPLICIT_LITTLE_ENDIAN if target == ts.DEFLATED else target
    async with source.codecs.turn() as turn:
        content = await source.reader.read(record)
        try:
            result = await turn.run(
                "transcode_frames_of_file",
                [content, record.frames],
                transfer_syntax=record.transfer_syntax,
                target=pixels,
                frames=wanted,
            )
        except Undecodable as error:
            raise transcoding_refused() from error
    return await _given(result, [wanted.index(frame) for frame in frames], target)


async def _transcoded(
    source: Source, record: InstanceRecord, table: FrameTable, frames: Sequence[int], target: str
) -> RetrievedFrames:
    wanted = list(dict.fromkeys(frames))
    async with source.codecs.turn() as turn:
        beginning, contents = await read_image(source, record, table, wanted)
        try:
            result = await turn.run(
                "transcode_frames", [beginning, *contents], transfer_syntax=record.transfer_syntax, target=target
            )
        except Undecodable as error:
            raise transcoding_refused() from error
    return await _given(result, [wanted.index(frame) for frame in frames], target)


async def _given(result: CodecResult, order: Sequence[int], target: str) -> RetrievedFrames:
    """The parts of a result in the order in which they were asked for; the last one gives up the result."""

    async def parts() -> AsyncGenerator[bytes]:
        try:
            for number in order:
                yield await result.part(number)
        finally:
            result.close()

    following = parts()
    first = await anext(following)
    if len(order) == 1:
        await following.aclose()
        return RetrievedFrames(target, first)
    return RetrievedFrames(target, first, following)
