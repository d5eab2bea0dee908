"""An answer whose body lies in several pieces of memory."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class SegmentedResponse(Response):
    """Sends its segments one after another, with their length in the head.

    Putting half a megabyte together costs fresh memory for it, which is more work than everything else about sending.
    """

    def __init__(self, segments: Sequence[bytes], content_type: str) -> None:
        super().__init__(headers={"Content-Type": content_type, "Content-Length": str(sum(map(len, segments)))})
        self._segments = segments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for segment in self._segments:
            await send({"type": "http.response.body", "body": segment, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
