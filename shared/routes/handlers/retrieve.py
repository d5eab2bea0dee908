"""WADO-RS: studies, series, instances, frames, metadata and pictures (RET-01); checks in the order of RET-06."""

from collections.abc import AsyncGenerator

from starlette.responses import Response, StreamingResponse

from ...dicomweb import accept, multipart_writer
from ...dicomweb.accept import Choice
from ...dicomweb.multipart_writer import Piece, part_type
from ...dicomweb.retrieve_request import (
    frame_list,
    frame_number,
    requested_quality,
    require_positive,
    require_quality,
    wants_original,
)
from ...dicomweb.segmented_response import SegmentedResponse
from ...errors import InvalidRequest, NotAcceptable
from ...services import retrieve, retrieve_metadata
from ...services import retrieve_frames as frame_service
from ...services.render import render_picture
from ...services.retrieve import Retrieved, Source
from ...services.retrieve_frames import RetrievedFrames
from ...services.retrieve_metadata import Metadata
from ...storage.records import InstanceKey
from ..call import Call

METADATA_TYPE = "application/dicom+json; charset=utf-8"


async def retrieve_study(call: Call) -> Response:
    """All instances of a study."""
    return await _all_instances(call, call.uid("study"), None)


async def retrieve_series(call: Call) -> Response:
    """All instances of a series."""
    return await _all_instances(call, call.uid("study"), call.uid("series"))


async def retrieve_instance(call: Call) -> Response:
    """One instance, in a part or as it is."""
    key = _key(call)
    choice = accept.negotiate(_accept(call), accept.SINGLE_OBJECT)
    source = _source(call, original=_wants_original(call))
    return _file_response(choice, await retrieve.retrieve_instance(source, key, choice.transfer_syntax))


async def retrieve_frames(call: Call) -> Response:
    """Frames by their numbers, their pixels only."""
    frames = frame_list(call.path["frames"])
    key = _key(call)
    require_positive(frames)
    choice = accept.negotiate(_accept(call), accept.FRAMES)
    if not choice.multipart and len(frames) > 1:
        raise InvalidRequest(
            "The accept header is supported for single frame retrieval, use multi-part accept header instead."
        )
    found = await frame_service.retrieve_frames(_source(call), key, frames, choice.transfer_syntax)
    return _frames_response(choice, found)


async def study_metadata(call: Call) -> Response:
    """Metadata of all instances of a study."""
    _require_dicom_json(call)
    return await _all_metadata(call, call.uid("study"), None)


async def series_metadata(call: Call) -> Response:
    """Metadata of all instances of a series."""
    _require_dicom_json(call)
    return await _all_metadata(call, call.uid("study"), call.uid("series"))


async def instance_metadata(call: Call) -> Response:
    """Metadata of one instance."""
    _require_dicom_json(call)
    key, original = _key(call), _wants_original(call)
    found = await retrieve_metadata.find_instance_metadata(call.services.index, key, original=original)
    return await _metadata_response(call, found)


async def rendered_instance(call: Call) -> Response:
    """The picture of the first frame (RET-86)."""
    return await _rendered(call, 1)


async def rendered_frame(call: Call) -> Response:
    """The picture of one frame."""
    return await _rendered(call, frame_number(call.path["frame"]))


async def _all_instances(call: Call, study: str, series: str | None) -> Response:
    choice = accept.negotiate(_accept(call), accept.OBJECTS)
    source = _source(call, original=_wants_original(call))
    records = await retrieve.find_instances(source, call.partition, study, series)
    if len(records) == 1:
        return _file_response(choice, await retrieve.retrieve_file(source, records[0], choice.transfer_syntax))
    chunks = await retrieve.retrieve_files(source, records, choice.transfer_syntax)
    media_type = choice.media_type
    return _streamed_parts(
        choice,
        (Piece(chunk.content, part_type(media_type, chunk.begins) if chunk.begins else "") async for chunk in chunks),
    )


def _file_response(choice: Choice, found: Retrieved) -> Response:
    """One file: a body of known length where it is in memory already, else a stream."""
    kind = part_type(choice.media_type, found.transfer_syntax)
    if choice.multipart:
        if found.following is None:
            return _parts(choice, [Piece(found.first, kind)])
        return _streamed_parts(choice, _continued(Piece(found.first, kind), found.following))
    if found.following is None:
        return Response(found.first, headers={"Content-Type": kind})
    headers = {"Content-Type": kind, "Content-Length": str(found.size)}
    return StreamingResponse(_joined(found.first, found.following), headers=headers)


def _frames_response(choice: Choice, found: RetrievedFrames) -> Response:
    kind = part_type(choice.media_type, found.transfer_syntax)
    if not choice.multipart:
        return Response(found.first, headers={"Content-Type": kind})
    if found.following is None:
        return _parts(choice, [Piece(found.first, kind)])
    return _streamed_parts(choice, _continued(Piece(found.first, kind), found.following, each=kind))


def _parts(choice: Choice, parts: list[Piece]) -> Response:
    boundary = multipart_writer.new_boundary()
    content_type = multipart_writer.content_type(boundary, choice.media_type)
    return SegmentedResponse(multipart_writer.body(parts, boundary), content_type)


def _streamed_parts(choice: Choice, pieces: AsyncGenerator[Piece]) -> Response:
    boundary = multipart_writer.new_boundary()
    headers = {"Content-Type": multipart_writer.content_type(boundary, choice.media_type)}
    return StreamingResponse(multipart_writer.stream(pieces, boundary), headers=headers)


async def _continued(first: Piece, following: AsyncGenerator[bytes], each: str = "") -> AsyncGenerator[Piece]:
    """`each` is the Content-Type of every further piece that is a part of its own."""
    yield first
    async for content in following:
        yield Piece(content, each)


async def _joined(first: bytes, following: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    if first:
        yield first
    async for content in following:
        yield content


async def _all_metadata(call: Call, study: str, series: str | None) -> Response:
    found = await retrieve_metadata.find_metadata(
        call.services.index, call.partition, study, series, original=_wants_original(call)
    )
    return await _metadata_response(call, found)


async def _metadata_response(call: Call, found: Metadata) -> Response:
    headers = {"ETag": found.etag}
    asked = call.request.headers.get("if-none-match", "").lower()
    if asked in (found.etag, f'"{found.etag}"'):
        return Response(status_code=304)
    array = call.services.metadata_arrays.of(found)
    if array is not None:
        return Response(array, headers=headers, media_type=METADATA_TYPE)
    pieces = retrieve_metadata.metadata_array(call.services.index, found)
    first, second = await anext(pieces), await anext(pieces, None)
    if second is None:
        return Response(first, headers=headers, media_type=METADATA_TYPE)
    return StreamingResponse(_joined(first + second, pieces), headers=headers, media_type=METADATA_TYPE)


async def _rendered(call: Call, frame: int) -> Response:
    quality = requested_quality(call.request.scope["query_string"])
    key = _key(call)
    require_positive([frame])
    require_quality(quality)
    media_type = accept.picture_type(_accept(call))
    picture = await render_picture(_source(call), key, frame, media_type, quality)
    return Response(picture, media_type=media_type)


def _accept(call: Call) -> list[str]:
    return call.request.headers.getlist("accept")


def _require_dicom_json(call: Call) -> None:
    if not accept.covers_dicom_json(_accept(call)):
        raise NotAcceptable


def _key(call: Call) -> InstanceKey:
    return InstanceKey(call.partition, call.uid("study"), call.uid("series"), call.uid("instance"))


def _wants_original(call: Call) -> bool:
    return wants_original(call.request.headers.get("msdicom-request-original"))


def _source(call: Call, *, original: bool = False) -> Source:
    services = call.services
    return Source(services.index, services.files, services.codecs, services.settings.transcode_limit_bytes, original)
