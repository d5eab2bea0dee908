"""The change feed: pages by time (version 2) or by sequence (version 1), and its last entry (CHG-01 to CHG-31)."""

from collections.abc import Iterable

from starlette.responses import Response

from ...dicomweb.change_feed_entries import entry_json
from ...dicomweb.change_feed_parameters import include_metadata, sequence_window, time_window
from ...dicomweb.query_string import query_pairs
from ...services import change_feed
from ...services.change_feed import ReadEntry
from ..call import Call

JSON = "application/json; charset=utf-8"


async def read_change_feed(call: Call) -> Response:
    """A page; an empty one is `[]`, never 204."""
    query = _query(call)
    if call.rules.feed_by_time:
        window = time_window(query)
        entries = await change_feed.page(
            call.services,
            start=window.start,
            end=window.end,
            offset=window.offset,
            limit=window.limit,
            with_metadata=window.include_metadata,
        )
    else:
        span = sequence_window(query)
        entries = await change_feed.after(call.services, span.after, span.limit, span.include_metadata)
    return _answer(entries)


async def read_latest_change(call: Call) -> Response:
    """The last entry of the feed; 204 without one (CHG-18)."""
    entry = await change_feed.latest(call.services, include_metadata(_query(call)))
    if entry is None:
        return Response(status_code=204)
    return Response(_json(entry), media_type=JSON)


def _query(call: Call) -> list[tuple[str, str]]:
    return query_pairs(call.request.scope["query_string"])


def _answer(entries: Iterable[ReadEntry]) -> Response:
    return Response(b"[" + b",".join(_json(entry) for entry in entries) + b"]", media_type=JSON)


def _json(entry: ReadEntry) -> bytes:
    return entry_json(entry.entry, entry.state, entry.metadata)
