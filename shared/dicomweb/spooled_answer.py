"""A JSON array whose length and status are known only when its last item is there: kept on the disk while it grows."""

import asyncio
import tempfile
from collections.abc import AsyncIterator

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

MOST_IN_MEMORY = 8 * 1024 * 1024
CHUNK = 1024 * 1024


class SpooledArray:
    """Takes items, then becomes an answer. Close it if it does not."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 - closed with the answer
        self._size = 0
        self.items = 0

    async def add(self, item: bytes) -> None:
        """`item` is a JSON value."""
        await self._write((b"," if self.items else b"[") + item)
        self.items += 1

    async def response(self, status: int, media_type: str) -> Response:
        """The array of all items; it closes the spool when it has been sent."""
        await self._write(b"]" if self.items else b"[]")
        self._file.seek(0)
        if self._size <= MOST_IN_MEMORY:
            with self._file:
                return Response(self._file.read(), status, media_type=media_type)
        headers = {"Content-Length": str(self._size)}
        closing = BackgroundTask(self.close)
        return StreamingResponse(self._pieces(), status, headers, media_type=media_type, background=closing)

    def close(self) -> None:
        """Lets go of memory and temporary file."""
        self._file.close()

    async def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_IN_MEMORY:
            await asyncio.to_thread(self._file.write, data)
        else:
            self._file.write(data)

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(self._file.read, CHUNK):
                yield piece
        finally:
            self.close()
