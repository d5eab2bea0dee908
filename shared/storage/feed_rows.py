"""The rows of table `changefeed`: entries at contiguous positions from 1, and at most one seal behind the last.

Position n lies at partition n // 1000, row n, both zero-padded (protocol, rule 3).
"""

from .primitives import Entity
from .records import Action, FeedEntry, InstanceKey
from .rows import Event

POSITIONS_PER_PARTITION = 1000

_ACTIONS = {Action.CREATE: "c", Action.UPDATE: "u", Action.DELETE: "d"}
_ACTION_OF = {letter: action for action, letter in _ACTIONS.items()}


def feed_partition(position: int) -> str:
    return f"{position // POSITIONS_PER_PARTITION:016d}"


def feed_row(position: int) -> str:
    return f"{position:019d}"


def left_in_partition(position: int) -> int:
    """How many positions from this one on lie in its partition."""
    return POSITIONS_PER_PARTITION - position % POSITIONS_PER_PARTITION


def entry_of(partition: str, study: str, event: Event, position: int, timestamp: int) -> FeedEntry:
    """The entry that tells of the event."""
    return FeedEntry(
        sequence=position,
        key=InstanceKey(partition, study, event.series, event.instance),
        action=event.action,
        version=event.version,
        timestamp=timestamp,
        old=event.old,
        id=event.id,
    )


def entry_entity(entry: FeedEntry) -> Entity:
    values: dict[str, str | int | float | bool | bytes] = {
        "id": entry.id,
        "a": _ACTIONS[entry.action],
        "p": entry.key.partition,
        "st": entry.key.study,
        "se": entry.key.series,
        "sop": entry.key.instance,
        "v": entry.version,
        "ts": entry.timestamp,
    }
    if entry.old:
        values["old"] = entry.old
    return Entity(feed_partition(entry.sequence), feed_row(entry.sequence), values)


def feed_entry(entity: Entity) -> FeedEntry:
    values = entity.values
    return FeedEntry(
        sequence=int(entity.row),
        key=InstanceKey(str(values["p"]), str(values["st"]), str(values["se"]), str(values["sop"])),
        action=_ACTION_OF[str(values["a"])],
        version=int(values["v"]),
        timestamp=int(values["ts"]),
        old=str(values.get("old", "")),
        id=str(values["id"]),
    )


def seal_entity(position: int, until: int) -> Entity:
    """A seal: no entry with a time below `until` will ever take this position or a later one."""
    return Entity(feed_partition(position), feed_row(position), {"until": until})


def is_seal(entity: Entity) -> bool:
    return "until" in entity.values
