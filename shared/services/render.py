"""Pictures of frames (PS3.18 10.4.1.1.3; RET-80 to RET-101)."""

import asyncio
import contextlib
import sys

from ..dicom import transfer_syntaxes as ts
from ..dicom.frames import Bytes, FrameTable
from ..dicom.pixels import TooLarge, Undecodable
from ..errors import NotAcceptable, NotFound
from ..storage.records import InstanceKey, InstanceRecord
from ..under_way import alone
from .retrieve import Source
from .retrieve_frames import frame_table, read_image

SMALL_FRAME = 1024 * 1024
"""Bytes of samples that are rendered within a few milliseconds."""

SHORT_HEADER = 64 * 1024
"""Bytes before the pixel data that are read as quickly. Functional groups of thousands of frames have megabytes."""

LARGE_FRAME = 64 * 1024 * 1024
"""Bytes of samples above which a frame goes to a process of its own, whatever decodes it: pictures take several times
as much memory, and a file of a few MB may announce a thousand."""

_RENDERER = "shared.dicom.render"

_WHOLE_FILES = frozenset({ts.DEFLATED, ts.EXPLICIT_BIG_ENDIAN})
_PLAIN = frozenset({ts.IMPLICIT_LITTLE_ENDIAN, ts.EXPLICIT_LITTLE_ENDIAN})
_IN_THREAD = _PLAIN | {ts.JPEG_BASELINE, ts.JPEG_EXTENDED}
"""What numpy, Pillow and simplejpeg do alone: mostly without the interpreter's lock, and with any input. The codecs of
all other transfer syntaxes have a process of their own."""


async def render_picture(source: Source, key: InstanceKey, frame: int, media_type: str, quality: int) -> bytes:
    """The picture of a frame, counted from 1, as `image/jpeg` or `image/png`.

    Raises `NotFound` if the instance or the frame is not there, `NotAcceptable` if it cannot be rendered.
    """

    async def read(now: InstanceRecord) -> bytes:
        if now.size > source.transcode_limit:
            raise NotAcceptable(
                f"Requested DICOM instance size is above the supported limit of {source.transcode_limit} for "
                "rendering. Please retrieve the whole file in the original transfer syntax instead of rendering "
                "to image media type."
            )
        table = frame_table(now, [frame])
        try:
            return await _Rendering(source, now, table, frame, media_type, quality).picture()
        except Undecodable as error:
            raise NotAcceptable(
                "An error was encountered when attempting to convert the dicom file into an image"
            ) from error

    picture = await source.reader.standing(key, read)
    if picture is None:
        raise NotFound.resource("instance")
    return picture


class _Rendering:
    """One picture under way."""

    def __init__(
        self, source: Source, record: InstanceRecord, table: FrameTable, frame: int, media_type: str, quality: int
    ) -> None:
        self._source = source
        self._record = record
        self._table = table
        self._frame = frame
        self._media_type = media_type
        self._quality = quality

    async def picture(self) -> bytes:
        """Where it is made depends on whose code decodes it, and on how large it is; raises `Undecodable`."""
        syntax = self._record.transfer_syntax
        if syntax in _IN_THREAD:
            with contextlib.suppress(TooLarge):
                return await self._picture_here()
        async with self._source.codecs.turn() as turn:
            blobs: list[Bytes]
            if syntax in _WHOLE_FILES:
                task = "render_frame_of_file"
                blobs = [await self._source.reader.read(self._record), self._record.frames]
            else:
                beginning, content = await self._read()
                task, blobs = "render_frame", [beginning, content]
                if await asyncio.to_thread(self._needs_first_frame, beginning):
                    blobs.append(await self._first_frame())
            result = await turn.run(
                task,
                blobs,
                transfer_syntax=syntax,
                frame=self._frame,
                media_type=self._media_type,
                quality=self._quality,
            )
        picture = b"".join([chunk async for chunk in result.chunks()])
        result.close()
        return picture

    async def _picture_here(self) -> bytes:
        """Raises `Undecodable`, and `TooLarge` for frames above `LARGE_FRAME`."""
        async with self._source.codecs.thread():
            beginning, content = await self._read()
            picture = await self._rendered(beginning, content, None)
            if picture is None:
                picture = await self._rendered(beginning, content, await self._first_frame())
            assert picture is not None
            return picture

    async def _rendered(self, beginning: bytes, content: Bytes, first: Bytes | None) -> bytes | None:
        """In a thread, unless it is quickly done and nobody waits; numpy and Pillow are loaded in a thread, too."""
        small = len(content) <= SMALL_FRAME and self._table.pieces(1)[0][0] <= SHORT_HEADER
        plain = self._record.transfer_syntax in _PLAIN
        if small and plain and alone() and _RENDERER in sys.modules:
            return self._render(beginning, content, first)
        return await asyncio.to_thread(self._render, beginning, content, first)

    def _render(self, beginning: bytes, content: Bytes, first: Bytes | None) -> bytes | None:
        """None if the first frame is needed, too."""
        from ..dicom.render import render_frame  # with numpy and Pillow behind it

        if first is None and self._needs_first_frame(beginning):
            return None
        return render_frame(
            beginning,
            self._record.transfer_syntax,
            self._frame,
            content,
            first,
            self._media_type,
            self._quality,
            most=LARGE_FRAME,
        )

    async def _read(self) -> tuple[bytes, Bytes]:
        """The file up to its pixel data, and the frame."""
        beginning, [content] = await read_image(self._source, self._record, self._table, [self._frame])
        return beginning, content

    async def _first_frame(self) -> Bytes:
        pieces = await self._source.reader.pieces(self._record, self._table.pieces(1))
        return self._table.cut(1, b"".join(pieces))

    def _needs_first_frame(self, beginning: bytes) -> bool:
        from ..dicom.render import needs_first_frame

        return self._frame > 1 and needs_first_frame(beginning, self._record.transfer_syntax, self._frame)
