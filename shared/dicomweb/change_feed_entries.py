"""Change feed entries as JSON (CHG-03, CHG-04, CHG-06)."""

import orjson

from ..clock import Ticks
from ..storage.records import FeedEntry, State
from .change_feed_parameters import printed_time


def entry_json(entry: FeedEntry, state: State, metadata: bytes | None) -> bytes:
    """One entry; `metadata` is a DICOM JSON object and left out when there is none."""
    members: dict[str, object] = {
        "sequence": entry.sequence,
        "partitionName": entry.key.partition,
        "studyInstanceUid": entry.key.study,
        "seriesInstanceUid": entry.key.series,
        "sopInstanceUid": entry.key.instance,
        "action": entry.action.value,
        "timestamp": timestamp(entry.timestamp),
        "state": state.value,
    }
    if metadata is not None:
        members["metadata"] = orjson.Fragment(metadata)
    return orjson.dumps(members)


def timestamp(ticks: Ticks) -> str:
    """Seven digits after the second at most, without zeros at their end; the zone is always `+00:00`."""
    moment, _, zone = printed_time(ticks).partition("+")
    return f"{moment.rstrip('0').rstrip('.')}+{zone}"
