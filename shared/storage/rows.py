"""The rows of table `index` and how they are written down (protocol, section 1).

One study is one partition: the row `study`, a row for each series and one for each instance, and one more for an
instance that a bulk update has changed: its original. Property names are short because every row carries them.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ..clock import Ticks
from ..dicom.normal_form import projected_name
from .primitives import Entity
from .records import Action, Attributes, InstanceKey, InstanceRecord

STUDY_ROW = "study"
FIRST_ROW = "instance|"
"""Before every row of a study's partition but those of originals: instances, then series, then the study itself."""

MOST_PROPERTY_BYTES = 60_000
"""A binary property takes 64 KB; what is larger overflows to a blob."""

LONGEST_PLAIN = 1024
"""Bytes of lists that are not compressed: a compressor takes longer to set up than such a list to write."""


def partition_key(partition: str, study: str) -> str:
    return f"{partition}|{study}"


def split_partition_key(key: str) -> tuple[str, str]:
    """(data partition, study)."""
    partition, _, study = key.rpartition("|")
    return partition, study


def series_row_key(series: str) -> str:
    return f"series|{series}"


def instance_row_key(series: str, instance: str) -> str:
    return f"instance|{series}|{instance}"


def instance_rows_of(series: str) -> tuple[str, str]:
    """The range of row keys of a series' instances."""
    return f"instance|{series}|", f"instance|{series}}}"


def original_row_key(series: str, instance: str) -> str:
    """Before the rows of instances, so that who reads those does not come by."""
    return f"first|{series}|{instance}"


def original_rows_of(series: str | None) -> tuple[str, str]:
    """The range of row keys of a series' originals, or of those of all series."""
    return ("first|", "first}") if series is None else (f"first|{series}|", f"first|{series}}}")


# ---------------------------------------------------------------- names of files


def file_name(key: InstanceKey, upload: str) -> str:
    """Blob name of an upload of the instance (rule 4)."""
    return f"{key.partition}/{key.study}/{key.series}/{key.instance}/{upload}.dcm"


def upload_of(file: str) -> str:
    """The upload's own part of a blob name."""
    return file.rpartition("/")[2].removesuffix(".dcm")


def key_of_file(file: str) -> InstanceKey | None:
    """The instance whose upload the blob was; None for a name that is none of ours."""
    parts = file.split("/")
    return InstanceKey(*parts[:4]) if len(parts) == 5 else None


def files_called(names: str, key: InstanceKey) -> list[tuple[str, bool]]:
    """Files of an instance by what an event or a row calls them (`InstanceRow.called`), and whether any of each
    overflowed."""
    return [(file_name(key, name.removesuffix("+")), name.endswith("+")) for name in names.split()]


# ---------------------------------------------------------------- what is not finished


@dataclass(frozen=True, slots=True)
class Event:
    """A change that may not be in the feed yet.

    `old` says which uploads the change made garbage: none, one, or two with a blank between them, each with `+` behind
    it if something of it overflowed; `after` is a position of the feed that was taken before the commit: the event
    cannot be at or before it.
    """

    id: str
    action: Action
    series: str
    instance: str
    version: int
    old: str
    after: int

    @property
    def operation(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Mark:
    """What may be older in `studies` than here: the study (`series` empty) or one of its series."""

    series: str
    created: int
    version: int

    @property
    def begins_life(self) -> bool:
        return self.version == self.created


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion in progress of the study, or of one series."""

    id: str
    series: str = ""


_ACTIONS = {Action.CREATE: "c", Action.UPDATE: "u", Action.DELETE: "d"}
_ACTION_OF = {letter: action for action, letter in _ACTIONS.items()}


def pack_events(events: tuple[Event, ...]) -> bytes:
    return _packed([[e.id, _ACTIONS[e.action], e.series, e.instance, e.version, e.old, e.after] for e in events])


def unpack_events(packed: bytes) -> tuple[Event, ...]:
    return tuple(
        Event(id_, _ACTION_OF[action], series, instance, version, old, after)
        for id_, action, series, instance, version, old, after in _unpacked(packed)
    )


def pack_marks(marks: tuple[Mark, ...]) -> bytes:
    return _packed([[m.series, m.created, m.version] for m in marks])


def unpack_marks(packed: bytes) -> tuple[Mark, ...]:
    return tuple(Mark(*row) for row in _unpacked(packed))


def _packed(rows: list[list[Any]]) -> bytes:
    """JSON, compressed if it is long."""
    text = orjson.dumps(rows)
    return text if len(text) <= LONGEST_PLAIN else zlib.compress(text, 6)


def _unpacked(packed: bytes) -> list[list[Any]]:
    rows: list[list[Any]] = orjson.loads(packed if packed.startswith(b"[") else zlib.decompress(packed))
    return rows


# ---------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class StudyRow:
    """The row that guards its partition: every change of the study replaces it under its ETag (rule 1).

    `last` is the greatest version given out and never goes back; `created` the version with which the present life of
    the study began; `live` the number of instance rows; `newest` names the instance that was stored last, and is empty
    after its deletion.
    """

    last: int = 0
    created: int = 0
    live: int = 0
    expiry: Ticks | None = None
    attributes: Attributes = field(default_factory=dict)
    pending: tuple[Event, ...] = ()
    unprojected: tuple[Mark, ...] = ()
    deleting: Deletion | None = None
    newest: str = ""

    @property
    def dirty(self) -> bool:
        return bool(self.pending or self.unprojected or self.deleting)

    @property
    def gone(self) -> bool:
        """Whether readers of study and series level must not see the study (rule 23)."""
        return not self.live or (self.deleting is not None and not self.deleting.series)

    def hides(self, series: str) -> bool:
        """Whether readers must not see this series."""
        return self.gone or (self.deleting is not None and self.deleting.series == series)


def study_entity(key: str, row: StudyRow) -> Entity:
    values: dict[str, str | int | float | bool | bytes] = {
        "last": row.last,
        "created": row.created,
        "live": row.live,
    }
    if row.expiry is not None:
        values["expiry"] = row.expiry
    if row.attributes:
        values["a"] = orjson.dumps(row.attributes).decode()
    if row.newest:
        values["newest"] = row.newest
    if row.pending:
        values["pending"] = pack_events(row.pending)
    if row.unprojected:
        values["unprojected"] = pack_marks(row.unprojected)
    if row.deleting:
        values["deleting"] = f"{row.deleting.id}|{row.deleting.series}"
    if row.dirty:
        values["dirty"] = True
    return Entity(key, STUDY_ROW, values)


def study_row(entity: Entity) -> StudyRow:
    values = entity.values
    deleting = str(values.get("deleting", ""))
    expiry = values.get("expiry")
    return StudyRow(
        last=int(values["last"]),
        created=int(values["created"]),
        live=int(values["live"]),
        expiry=None if expiry is None else int(expiry),
        attributes=_attributes(entity),
        pending=unpack_events(_binary(entity, "pending")) if "pending" in values else (),
        unprojected=unpack_marks(_binary(entity, "unprojected")) if "unprojected" in values else (),
        deleting=Deletion(*deleting.split("|")) if deleting else None,
        newest=str(values.get("newest", "")),
    )


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """`created` is the version with which the present life of the series began."""

    created: int
    live: int
    attributes: Attributes = field(default_factory=dict)


def series_entity(key: str, series: str, row: SeriesRow) -> Entity:
    values: dict[str, str | int | float | bool | bytes] = {"created": row.created, "live": row.live}
    if row.attributes:
        values["a"] = orjson.dumps(row.attributes).decode()
    return Entity(key, series_row_key(series), values)


def series_row(entity: Entity) -> SeriesRow:
    return SeriesRow(int(entity.values["created"]), int(entity.values["live"]), _attributes(entity))


OVERFLOWED_METADATA = 1
OVERFLOWED_FRAMES = 2


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """All that retrieval needs. `overflow` says what of it lies in a blob named after the upload.

    Of a version that a bulk update made, `operation` is the id of that, and `original` what the upload of the version
    that was stored is called, which a row of its own describes.
    """

    version: int
    upload: str
    size: int
    transfer_syntax: str
    metadata: bytes = b""
    frames: bytes = b""
    overflow: int = 0
    operation: str = ""
    original: str = ""
    tag_values: Mapping[str, str] = field(default_factory=dict)
    """Properties of their own; `TagIndexing` asks for them by name."""

    @property
    def called(self) -> str:
        """How the change feed names this upload once it is replaced or deleted."""
        return self.upload + "+" * bool(self.overflow)

    @property
    def garbage(self) -> str:
        """Its uploads, as the change feed names them when the instance is replaced by a store, or deleted."""
        return f"{self.called} {self.original}".rstrip()


INSTANCE_UID_PROPERTY = projected_name("00080018")
"""For searches that know neither study nor series: keys begin with these."""

HEAD_PROPERTIES = ("PartitionKey", "RowKey", "v", "f", "ov", "by", "of")
"""What a writer reads of an instance row."""

RECORD_PROPERTIES = (*HEAD_PROPERTIES, "n", "ts", "fr")
METADATA_PROPERTIES = (*RECORD_PROPERTIES, "md")
_OF_ITS_OWN = {*METADATA_PROPERTIES, INSTANCE_UID_PROPERTY}


def instance_entity(key: InstanceKey, row: InstanceRow) -> Entity:
    values: dict[str, str | int | float | bool | bytes] = {
        **row.tag_values,
        "v": row.version,
        "f": row.upload,
        "n": row.size,
        "ts": row.transfer_syntax,
        INSTANCE_UID_PROPERTY: key.instance,
    }
    if row.metadata:
        values["md"] = row.metadata
    if row.frames:
        values["fr"] = row.frames
    if row.overflow:
        values["ov"] = row.overflow
    if row.original:
        values |= {"by": row.operation, "of": row.original}
    return Entity(partition_key(key.partition, key.study), instance_row_key(key.series, key.instance), values)


def original_entity(key: InstanceKey, row: InstanceRow) -> Entity:
    """What was stored of an instance, kept beside its first update. No search finds it."""
    entity = instance_entity(key, replace(row, tag_values={}))
    del entity.values[INSTANCE_UID_PROPERTY]
    return Entity(entity.partition, original_row_key(key.series, key.instance), entity.values)


def instance_row(entity: Entity) -> InstanceRow:
    """Of a row read in part, what was not asked for is empty; `tag_values` always is."""
    values = entity.values
    return InstanceRow(
        version=int(values["v"]),
        upload=str(values["f"]),
        size=int(values.get("n", 0)),
        transfer_syntax=str(values.get("ts", "")),
        metadata=_binary(entity, "md"),
        frames=_binary(entity, "fr"),
        overflow=int(values.get("ov", 0)),
        operation=str(values.get("by", "")),
        original=str(values.get("of", "")),
    )


def tag_values(entity: Entity) -> Mapping[str, str]:
    """The values of extended query tags in an instance row that was read whole."""
    return {name: str(value) for name, value in entity.values.items() if name not in _OF_ITS_OWN}


def key_of_entity(entity: Entity) -> InstanceKey:
    """The instance that a row of `index` stands for."""
    partition, study = split_partition_key(entity.partition)
    _, series, instance = entity.row.split("|")
    return InstanceKey(partition, study, series, instance)


def record(key: InstanceKey, row: InstanceRow) -> InstanceRecord:
    """The row in the words of the services."""
    return InstanceRecord(
        key=key,
        version=row.version,
        file=file_name(key, row.upload),
        size=row.size,
        transfer_syntax=row.transfer_syntax,
        frames=row.frames,
        packed_metadata=row.metadata or None,
        overflow=row.overflow,
        operation=row.operation,
        original=row.original,
    )


def _attributes(entity: Entity) -> Attributes:
    text = entity.values.get("a")
    attributes: Attributes = orjson.loads(text) if isinstance(text, str) else {}
    return attributes


def _binary(entity: Entity, name: str) -> bytes:
    value = entity.values.get(name, b"")
    return value if isinstance(value, bytes) else b""
