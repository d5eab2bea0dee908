"""The rows of table `workitems` and how they are written down.

Partition `{data partition}|{workitem UID}`, row `workitem`: keys spread over the table by UID, and no two workitems
ever wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from ..dicom.normal_form import projected_name
from .primitives import Entity, Range, Value

ROW = "workitem"

_STATE_COLUMN = projected_name("00741000")
"""ProcedureStepState is kept in the form in which it is searched; its four values have no other letters than
capitals."""

MOST_READ_ALONG = 4_000
"""Bytes of a packed document that searches read together with the rest of the row."""

MOST_IN_ROW = 60_000
"""Bytes of a packed document in a row; what is larger overflows to a blob."""

LONGEST_FORM = 128
"""Characters of a value in a property of its own."""

MOST_FORMS = 16_000
"""Characters of all other values together; where there are more they are worked out from the document again."""

SCANNED = ("PartitionKey", _STATE_COLUMN, "created", "operation", "small", "overflow", "loose", "forms")
"""What a search reads of every row, beside the columns that it compares."""

Forms = Mapping[str, Sequence[str]]
"""The values that searches compare, in their normal form, by column: one for an attribute of the workitem, any number
for an attribute in the items of a sequence."""


@dataclass(frozen=True, slots=True)
class Content:
    """A data set without state and transaction UID, as a DICOM JSON object, and its searchable values."""

    document: bytes
    forms: Forms


@dataclass(frozen=True, slots=True)
class Change:
    """What a workitem becomes; without `content` its data set stays."""

    state: str
    lock: str
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Workitem:
    """A row. `lock` is empty while nobody has claimed the workitem; `operation` names the change that wrote the row.

    `packed` is empty where the document overflowed, or was not read. Columns that are not in `forms` have no values,
    unless `more` says that there are some which only the document knows.
    """

    partition: str
    uid: str
    state: str
    created: int
    operation: str
    etag: str
    lock: str = ""
    complete: bool = False
    packed: bytes = b""
    overflow: str = ""
    forms: Forms = field(default_factory=dict)
    more: bool = False


def partition_key(partition: str, uid: str) -> str:
    return f"{partition}|{uid}"


def partition_range(partition: str) -> Range:
    """All workitems of a data partition."""
    return f"{partition}|", f"{partition}}}"


BLOBS = "workitems/"
"""What the names of the blobs begin with. They have three parts, those of instances five."""


def blob_name(partition: str, uid: str, overflow: str) -> str:
    return f"{BLOBS}{partition}/{uid}-{overflow}"


def owner_of_blob(name: str) -> tuple[str, str, str] | None:
    """(data partition, workitem UID, overflow) of a blob's name; None for a name that is none of ours."""
    parts = name.split("/")
    if len(parts) != 3:
        return None
    uid, separator, overflow = parts[2].rpartition("-")
    return (parts[1], uid, overflow) if separator else None


def state_values(state: str, lock: str) -> dict[str, str]:
    """The properties that a change of state writes."""
    return {_STATE_COLUMN: state.lower(), **({"lock": lock} if lock else {})}


def content_values(forms: Forms, *, packed: bytes = b"", overflow: str = "") -> dict[str, str | bytes | bool]:
    """The properties of a data set: where its document is, and what searches compare.

    A column with one short value is a property of its own, for storage to compare. A row with other columns is marked
    as loose: storage gives it to every search.
    """
    values: dict[str, str | bytes | bool] = {}
    if overflow:
        values["overflow"] = overflow
    else:
        values["small" if len(packed) <= MOST_READ_ALONG else "large"] = packed
    others: dict[str, list[str]] = {}
    for column, several in forms.items():
        if len(several) == 1 and len(several[0]) <= LONGEST_FORM and several[0].isprintable():
            values[projected_name(column)] = several[0]
        elif several:
            others[column] = list(several)
    if others:
        values["loose"] = True
        text = orjson.dumps(others).decode()
        if len(text) <= MOST_FORMS:
            values["forms"] = text
    return values


def workitem(entity: Entity) -> Workitem:
    """The row in the words of the services; of a row read in part, what was not asked for is empty."""
    values = entity.values
    partition, _, uid = entity.partition.rpartition("|")
    packed = values.get("small") or values.get("large")
    return Workitem(
        partition=partition,
        uid=uid,
        state=str(values[_STATE_COLUMN]).upper(),
        created=int(values["created"]),
        operation=str(values["operation"]),
        etag=entity.etag,
        lock=str(values.get("lock", "")),
        complete=bool(values.get("complete")),
        packed=packed if isinstance(packed, bytes) else b"",
        overflow=str(values.get("overflow", "")),
        forms=_forms(values),
        more=bool(values.get("loose")) and "forms" not in values,
    )


def _forms(values: Mapping[str, Value]) -> Forms:
    several: dict[str, list[str]] = orjson.loads(str(values.get("forms", "{}")))
    return several | {name[1:]: [str(value)] for name, value in values.items() if name.startswith("q")}
