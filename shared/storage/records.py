"""What rows of the store say, as values: the words in which services and storage speak with each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

import orjson

from ..clock import Ticks
from ..dicom.normal_form import NormalForms

Attributes = dict[str, dict[str, Any]]
"""DICOM JSON elements by tag, eight upper-case hex digits (PS3.18 F.2)."""

DEFAULT_PARTITION = "Microsoft.Default"

MOST_PARSED = 512
"""Rows whose attributes are kept as objects, some 5 KB each: more than two pages."""


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """Identity of an instance: the data partition and the three UIDs, without padding."""

    partition: str
    study: str
    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class TagValues:
    """What an instance contributes to extended query tags.

    Elements by column for the rows of its study and its series, normal forms by property for its own row. `columns` are
    those of all tags that there are, `serial` is the greatest number that a tag has been given: what a row has under
    another column up to that number is of a tag that was removed.
    """

    study: Attributes = field(default_factory=dict)
    series: Attributes = field(default_factory=dict)
    instance: Mapping[str, str] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()
    serial: int = 0


@dataclass(frozen=True, slots=True)
class NewInstance:
    """What a store hands over for commit, once its file has been uploaded.

    `study_attributes` and `series_attributes` are the valid, non-empty searchable attributes of the instance.
    `metadata` is the DICOM JSON object that metadata retrieval gives; `frames` a packed `FrameTable`, empty without.
    `study_details` are what lists of studies show of the instance while it is the newest one, None if not known.
    """

    key: InstanceKey
    file: str
    size: int
    transfer_syntax: str
    study_attributes: Attributes
    series_attributes: Attributes
    metadata: bytes
    frames: bytes = b""
    tag_values: TagValues = field(default_factory=TagValues)
    study_details: Attributes | None = None


@dataclass(frozen=True, slots=True)
class UpdatedInstance:
    """A new version of an instance, made by a bulk update (PLT-74), once its file has been uploaded.

    `made_from` is the file of the version that it was made from, `operation` the id of the bulk update. Of
    `new.study_attributes` and `new.tag_values` only those of the study count, and those are what the update sets: what
    it does not name, or sets to nothing, stays in the index as it is (PLT-78).
    """

    new: NewInstance
    made_from: str
    operation: str


class UpdateOutcome(Enum):
    """What became of one instance of a bulk update."""

    UPDATED = "updated"
    ALREADY = "already"  # by the same operation, before
    REPLACED = "replaced"  # the instance is another version by now than the one that the new one was made from
    GONE = "gone"
    FAILED = "failed"  # too late after its upload: nothing of it is stored


class Outcome(Enum):
    """What became of one instance of a store."""

    CREATED = "created"
    REPLACED = "replaced"
    DUPLICATE = "duplicate"  # POST of an instance that is there: 45070
    FAILED = "failed"  # 272


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study that has instances. `created` orders studies; `last` grows with every change of the study."""

    partition: str
    study: str
    created: int
    last: int
    instances: int
    attributes: Attributes
    expiry: Ticks | None
    newest: InstanceKey | None = None
    """The instance that was stored last; None if it was deleted since."""


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    study: str
    series: str
    created: int
    instances: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance as it stands.

    `packed_metadata` is set when it was asked for; read it with `Index.metadata`. `frames` is a packed `FrameTable`,
    empty without one. `overflow` tells the index what of the record lies in a blob. `operation` is the id of the bulk
    update that made this version, empty for one that was stored; `original` then tells the index of the version that
    was stored.
    """

    key: InstanceKey
    version: int
    file: str
    size: int
    transfer_syntax: str
    frames: bytes
    packed_metadata: bytes | None = None
    overflow: int = 0
    operation: str = ""
    original: str = ""


class Action(Enum):
    """What a change feed entry tells of (CHG-04)."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"


class State(Enum):
    """What has become of the instance since (CHG-13)."""

    CURRENT = "Current"
    REPLACED = "Replaced"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of the change feed; it never changes. `old` names the files that the change made garbage."""

    sequence: int
    key: InstanceKey
    action: Action
    version: int
    timestamp: Ticks
    old: str = ""
    id: str = ""


_parsed: Callable[[str], Attributes] = lru_cache(maxsize=MOST_PARSED)(orjson.loads)


@dataclass(frozen=True, slots=True)
class _Text:
    """Attributes as they are written in a row."""

    text: str

    def get(self, tag: str) -> dict[str, Any] | None:
        return _parsed(self.text).get(tag)


@dataclass(frozen=True, slots=True)
class Projection:
    """A study (`series` empty) or series as search sees it, with its original searchable elements as a row has them in
    `text`, or `given`. `made` is for what searches make of a row that is kept, to have it as long as the row."""

    study: str
    series: str
    created: int
    given: Attributes | None = None
    text: str = "{}"
    made: dict[object, Any] | None = field(default=None, compare=False, repr=False)
    forms: NormalForms = field(init=False, compare=False, repr=False)
    """Of the attributes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "forms", NormalForms(_Text(self.text) if self.given is None else self.given))

    @property
    def attributes(self) -> Attributes:
        """Nobody may change them."""
        return _parsed(self.text) if self.given is None else self.given
