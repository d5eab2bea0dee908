"""Series and instance rows that this process has read or written, to be shown again as long as they are true.

Each change of such a row raises `last` of its study row in the same transaction. So rows that were read after a study
row, or written with it, stand as long as a study row that is read anew has the same `last` (protocol, section 2). A
study is then one point read, where a query sends all rows again and Azurite goes through the whole table for it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter

from .attempt import Attempt
from .memory import StudyKey
from .primitives import Delete, Insert, Operation, Replace
from .records import InstanceKey, InstanceRecord
from .rows import FIRST_ROW, SeriesRow, StudyRow, instance_row, key_of_entity, record

BY_VERSION = attrgetter("version")

MOST_BYTES = 32 * 1024 * 1024

_STUDY_BYTES = 500
_SERIES_BYTES = 1200
_INSTANCE_BYTES = 600
"""About what each takes beside its metadata and frames."""


@dataclass(slots=True)
class _Series:
    """All instances of a series; `metadata` says whether theirs was read."""

    metadata: bool
    instances: dict[str, InstanceRecord] = field(default_factory=dict)
    listed: list[InstanceRecord] | None = None
    """The same in order of their versions, once that was asked for."""


@dataclass(slots=True)
class _Study:
    """What is known of a study at `last`: its series rows, if all are, and the series whose instances are."""

    last: int
    rows: dict[str, SeriesRow] | None = None
    series: dict[str, _Series] = field(default_factory=dict)
    size: int = _STUDY_BYTES


class Recollection:
    """Holds about `limit` bytes; the studies that were used least lately go first. With 0 it holds nothing."""

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self._limit = limit
        self._studies: OrderedDict[StudyKey, _Study] = OrderedDict()
        self._size = 0

    def clear(self) -> None:
        self._studies.clear()
        self._size = 0

    # -- reading

    def last(self, study: StudyKey) -> int | None:
        """Of the study row as it was seen last."""
        known = self._studies.get(study)
        return known.last if known else None

    def has_series(self, study: StudyKey) -> bool:
        """Whether it is worth it to read the study row in order to ask for `series`."""
        known = self._studies.get(study)
        return known is not None and known.rows is not None

    def has_instances(self, study: StudyKey, series: str | None, *, metadata: bool) -> bool:
        """The same for `instances`."""
        known = self._studies.get(study)
        return known is not None and _scopes(known, series, metadata) is not None

    def series(self, study: StudyKey, last: int) -> Mapping[str, SeriesRow] | None:
        """All series rows of the study, if they are known for this `last`."""
        known = self._current(study, last)
        return known.rows if known else None

    def instances(
        self, study: StudyKey, series: str | None, last: int, *, metadata: bool
    ) -> list[InstanceRecord] | None:
        """All instances of the study or series in order of their versions, if they are known for this `last`; nobody
        may change the list."""
        known = self._current(study, last)
        scopes = _scopes(known, series, metadata) if known else None
        if scopes is None:
            return None
        if len(scopes) > 1:
            return sorted(chain.from_iterable(map(_listed, scopes)), key=BY_VERSION)
        return _listed(scopes[0]) if scopes else []

    def instance(self, key: InstanceKey) -> InstanceRecord | None:
        """An instance as it was seen last; whether it still is so has to be asked."""
        known = self._studies.get((key.partition, key.study))
        scope = known.series.get(key.series) if known else None
        return scope.instances.get(key.instance) if scope else None

    def _current(self, study: StudyKey, last: int) -> _Study | None:
        known = self._studies.get(study)
        if known is None or known.last != last:
            return None
        self._studies.move_to_end(study)
        return known

    # -- learning

    def saw(self, study: StudyKey, last: int) -> None:
        """The study row was read."""
        if self._limit and self._current(study, last) is None:
            self._put(study, _Study(last))

    def keep(
        self,
        study: StudyKey,
        last: int,
        *,
        rows: Mapping[str, SeriesRow] | None = None,
        instances: Mapping[str, Iterable[InstanceRecord]] | None = None,
        metadata: bool = False,
    ) -> None:
        """All series rows of the study, or all instances of some of its series, which were read after `saw` had been
        told of this `last`."""
        known = self._current(study, last)
        if known is None:
            return
        if rows is not None:
            known.rows = dict(rows)
        for uid, records in (instances or {}).items():
            known.series[uid] = _Series(metadata, {each.key.instance: each for each in records})
        self._put(study, known, _size(known))

    def committed(self, study: StudyKey, base: StudyRow | None, attempt: Attempt) -> None:
        """A transaction on the study row `base`, or on none, was accepted."""
        if not self._limit:
            return
        known = self._studies.get(study)
        if base is None:
            known = _Study(attempt.row.last, rows={})
        elif known is None or known.last != base.last:
            self.forget(study)
            return
        known.last = attempt.row.last
        size = known.size
        for uid, row in attempt.series.items():
            size += _with_series(known, uid, row)
        for operation in attempt.operations:
            size += _with_instance(known, operation)
        self._put(study, known, size)

    def forget(self, study: StudyKey) -> None:
        known = self._studies.pop(study, None)
        self._size -= known.size if known else 0

    def _put(self, study: StudyKey, known: _Study, size: int = _STUDY_BYTES) -> None:
        """One study has a quarter of the room at most."""
        self.forget(study)
        known.size = size
        if size <= self._limit // 4:
            self._studies[study] = known
            self._size += size
        while self._size > self._limit:
            _, oldest = self._studies.popitem(last=False)
            self._size -= oldest.size


def _scopes(known: _Study, series: str | None, metadata: bool) -> list[_Series] | None:
    if series is None and known.rows is None:
        return None
    wanted = [known.series.get(uid) for uid in ([series] if series is not None else known.rows or ())]
    found = [scope for scope in wanted if scope is not None and (scope.metadata or not metadata)]
    return found if len(found) == len(wanted) else None


def _listed(scope: _Series) -> list[InstanceRecord]:
    if scope.listed is None:
        scope.listed = sorted(scope.instances.values(), key=BY_VERSION)
    return scope.listed


def _with_series(known: _Study, uid: str, row: SeriesRow | None) -> int:
    """The row of a series was written or removed; the bytes that were added."""
    added = 0
    if row is None:
        gone = known.series.pop(uid, None)
        added -= sum(_weight(each) for each in gone.instances.values()) if gone else 0
    if known.rows is None:
        return added
    if known.rows.pop(uid, None) is not None:
        added -= _SERIES_BYTES
    elif row is not None:  # it begins here
        known.series[uid] = _Series(metadata=True)
    if row is not None:
        known.rows[uid] = row
        added += _SERIES_BYTES
    return added


def _with_instance(known: _Study, operation: Operation) -> int:
    """The row of an instance was written or removed, if it is one; the bytes that were added."""
    row = operation.row if isinstance(operation, Delete) else operation.entity.row
    if not row.startswith(FIRST_ROW):
        return 0
    _, series, instance = row.split("|")
    scope = known.series.get(series)
    if scope is None:
        return 0
    scope.listed = None
    before = scope.instances.pop(instance, None)
    added = -_weight(before) if before else 0
    if isinstance(operation, Insert | Replace):
        entity = operation.entity
        now = record(key_of_entity(entity), instance_row(entity))
        scope.instances[instance] = now
        added += _weight(now)
    return added


def _weight(instance: InstanceRecord) -> int:
    return _INSTANCE_BYTES + len(instance.packed_metadata or b"") + len(instance.frames)


def _size(known: _Study) -> int:
    instances = sum(_weight(each) for scope in known.series.values() for each in scope.instances.values())
    return _STUDY_BYTES + _SERIES_BYTES * len(known.rows or ()) + instances
