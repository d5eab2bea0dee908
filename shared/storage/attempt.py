"""What one transaction of a change looks like (protocol, rules 10, 23 and 24): pure functions from what was read.

Operation 0 is the study row; it carries the guard of the whole partition, so the series rows need none of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..clock import Ticks
from .memory import StudyKey, StudyView
from .newest import goes, naming, with_details, without_details
from .primitives import ANY, Delete, Insert, Operation, Replace, Upsert
from .records import Action, Attributes, InstanceKey, NewInstance, Outcome, UpdatedInstance, UpdateOutcome
from .rows import (
    Deletion,
    Event,
    InstanceRow,
    Mark,
    SeriesRow,
    StudyRow,
    instance_entity,
    instance_row_key,
    original_entity,
    original_row_key,
    partition_key,
    series_entity,
    series_row_key,
    study_entity,
)
from .tag_columns import differ, stamped, without_removed

MOST_ROWS = 100
"""Rows in one transaction."""

MOST_BYTES = 3_500_000
"""Bytes of a transaction as JSON; the service takes 4 MB."""

MOST_DELETED = MOST_ROWS - 1
"""Rows beside the study row."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transaction and the study as it will be once the transaction is accepted."""

    row: StudyRow
    series: dict[str, SeriesRow | None]
    operations: list[Operation]
    after: int

    def accepted(self, etag: str, base: StudyView, seen: Ticks) -> StudyView:
        """The view after the commit; what was known to be done of the base stays known."""
        return StudyView(self.row, etag, base.series | self.series, seen, base.fed, base.projected)


@dataclass(frozen=True, slots=True)
class Held:
    """An instance row that is there, with the ETag that guards it."""

    row: InstanceRow
    etag: str

    @property
    def rows(self) -> int:
        """How many rows it takes: an original has one of its own."""
        return 2 if self.row.original else 1


@dataclass(slots=True)
class Storing:
    """One instance on its way into the index: its row, but for the version, what is known of the one there, and what
    becomes of it if the attempt under way is accepted."""

    new: NewInstance
    row: InstanceRow
    replace: bool
    expires: Ticks | None
    began: Ticks
    held: Held | None = None
    outcome: Outcome = Outcome.FAILED

    @property
    def key(self) -> InstanceKey:
        return self.new.key

    @property
    def weight(self) -> int:
        return weight_of(self.row)


def weight_of(row: InstanceRow) -> int:
    """About how many bytes the row takes in a transaction."""
    return 1000 + (len(row.metadata) + len(row.frames)) * 4 // 3


@dataclass(slots=True)
class Updating:
    """One instance on its way to a new version: its row, as for `Storing`, and the one there, read whole. `outcome`
    None: not in the attempt under way, but to be tried again."""

    update: UpdatedInstance
    row: InstanceRow
    held: Held | None = None
    outcome: UpdateOutcome | None = None

    @property
    def key(self) -> InstanceKey:
        return self.update.new.key

    @property
    def committed(self) -> bool:
        """Whether the row names the very upload."""
        return self.held is not None and self.held.row.upload == self.row.upload


@dataclass(frozen=True, slots=True)
class Doomed:
    """An instance row that a deletion removes."""

    series: str
    instance: str
    held: Held


@dataclass(slots=True)
class _Draft:
    """What a transaction does to the study, collected row by row."""

    base: StudyRow
    version: int
    operation: str
    after: int
    events: list[Event] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def event(self, action: Action, series: str, instance: str, version: int, old: str) -> None:
        id_ = f"{self.operation}.{version - self.version}"
        self.events.append(Event(id_, action, series, instance, version, old, self.after))


def _draft(view: StudyView, operation: str, now: Ticks, after: int) -> _Draft:
    base = view.row or StudyRow()
    return _Draft(base, max(base.last + 1, now), operation, after)


def _guard(study: StudyKey, view: StudyView, row: StudyRow) -> Operation:
    entity = study_entity(partition_key(*study), row)
    return Insert(entity) if view.row is None else Replace(entity, view.etag)


def _marks(view: StudyView, new: Iterable[Mark]) -> tuple[Mark, ...]:
    """What was there less what is known to be written, a new mark taking the place of an older one of its row."""
    marks = {(mark.series, mark.created): mark for mark in view.unprojected}
    marks.update({(mark.series, mark.created): mark for mark in new})
    return tuple(marks.values())


# ---------------------------------------------------------------- store


def store_attempt(
    study: StudyKey, view: StudyView, items: Sequence[Storing], operation: str, now: Ticks, after: int
) -> Attempt:
    """Inserts the instances that are not known to be there and replaces the others (STO-103, STO-121)."""
    draft = _draft(view, operation, now, after)
    alive = draft.base.live > 0
    attributes = dict(draft.base.attributes) if alive else {}
    series: dict[str, SeriesRow] = {}
    rows: list[Operation] = []
    added = 0
    for index, item in enumerate(items):
        version = draft.version + index
        key = item.key
        held = item.held
        entity = instance_entity(key, replace(item.row, version=version))
        rows.append(Insert(entity) if held is None else Replace(entity, held.etag))
        rows += _without_original(study, key.series, key.instance, held)
        action = Action.CREATE if held is None else Action.UPDATE
        draft.event(action, key.series, key.instance, version, held.row.garbage if held else "")
        added += held is None
        attributes |= item.new.study_attributes | stamped(item.new.tag_values.study, version)
        there = series.get(key.series) or view.series.get(key.series)
        of_series = item.new.series_attributes | stamped(item.new.tag_values.series, version)
        of_row = without_removed(there.attributes, item.new.tag_values) if there else {}
        series[key.series] = _with_instance(there, version, held is None, of_row | of_series)
    newest = items[-1]
    attributes = with_details(without_removed(attributes, newest.new.tag_values), newest.new.study_details)
    created = draft.base.created if alive else draft.version
    if not alive or differ(attributes, draft.base.attributes):
        draft.marks.append(Mark("", created, draft.version))
    for uid, now_ in series.items():
        before = view.series.get(uid)
        if before is None:
            draft.marks.append(Mark(uid, now_.created, now_.created))
        elif differ(before.attributes, now_.attributes):
            draft.marks.append(Mark(uid, now_.created, draft.version))
    row = replace(
        draft.base,
        last=draft.version + len(items) - 1,
        created=created,
        live=(draft.base.live if alive else 0) + added,
        expiry=items[-1].expires,
        attributes=attributes,
        pending=(*view.unfed, *draft.events),
        unprojected=_marks(view, draft.marks),
        newest=naming(newest.key.series, newest.key.instance),
    )
    operations = [_guard(study, view, row)]
    for uid, series_row in series.items():
        series_entity_ = series_entity(partition_key(*study), uid, series_row)
        operations.append(Insert(series_entity_) if view.series.get(uid) is None else Replace(series_entity_, ANY))
    return Attempt(row, dict(series), operations + rows, after)


def _with_instance(row: SeriesRow | None, version: int, added: bool, attributes: Attributes) -> SeriesRow:
    if row is None:
        return SeriesRow(version, 1, attributes)
    return SeriesRow(row.created, row.live + added, attributes)


# ---------------------------------------------------------------- update


def update_attempt(
    study: StudyKey, view: StudyView, items: Sequence[Updating], operation: str, now: Ticks, after: int
) -> Attempt:
    """Gives instances a new version; what was stored of each is kept in a row of its own (PLT-77).

    The values of the study follow what the updates set (PLT-78); series rows say nothing that an update may change.
    """
    assert view.row is not None
    draft = _draft(view, operation, now, after)
    attributes = draft.base.attributes
    rows: list[Operation] = []
    for index, item in enumerate(items):
        assert item.held is not None
        version = draft.version + index
        key, new, there = item.key, item.update.new, item.held.row
        row = replace(
            item.row,
            version=version,
            operation=item.update.operation,
            original=there.original or there.called,
            tag_values=there.tag_values,
        )
        rows.append(Replace(instance_entity(key, row), item.held.etag))
        if not there.original:
            rows.append(Upsert(original_entity(key, there)))
        draft.event(Action.UPDATE, key.series, key.instance, version, there.called if there.original else "")
        attributes = attributes | new.study_attributes | stamped(new.tag_values.study, version)
        if draft.base.newest == naming(key.series, key.instance):
            attributes = with_details(attributes, new.study_details)
    attributes = without_removed(attributes, items[-1].update.new.tag_values)
    if differ(attributes, draft.base.attributes):
        draft.marks.append(Mark("", draft.base.created, draft.version))
    row_ = replace(
        draft.base,
        last=draft.version + len(items) - 1,
        attributes=attributes,
        pending=(*view.unfed, *draft.events),
        unprojected=_marks(view, draft.marks),
    )
    return Attempt(row_, {}, [_guard(study, view, row_), *rows], after)


def _without_original(study: StudyKey, series: str, instance: str, held: Held | None) -> list[Operation]:
    """What removes the row of an instance's original, if it has one."""
    if held is None or not held.row.original:
        return []
    return [Delete(partition_key(*study), original_row_key(series, instance), ANY)]


# ---------------------------------------------------------------- delete


def delete_attempt(
    study: StudyKey, view: StudyView, doomed: Sequence[Doomed], operation: str, now: Ticks, after: int
) -> Attempt:
    """Removes instance rows, the series rows that lose their last instance, and empties the study with its last."""
    assert view.row is not None
    draft = _draft(view, operation, now, after)
    series, rows = _removals(study, view, doomed, draft)
    live = view.row.live - len(doomed)
    left = view.row if live else replace(view.row, attributes={}, newest="")
    if goes(left.newest, ((each.series, each.instance) for each in doomed)):
        left = _without_newest(left)
    if not live or left.attributes != view.row.attributes:
        draft.marks.append(Mark("", view.row.created, draft.version))
    row = replace(
        left,
        last=draft.version + len(doomed) - 1,
        live=live,
        pending=(*view.unfed, *draft.events),
        unprojected=_marks(view, draft.marks),
        expiry=view.row.expiry if live else None,
    )
    return Attempt(row, series, [_guard(study, view, row), *rows], after)


def mark_attempt(study: StudyKey, view: StudyView, series: str, operation: str, now: Ticks, after: int) -> Attempt:
    """Says that the study, or one series of it, is being deleted: from here on it is gone for readers (rule 23)."""
    assert view.row is not None
    draft = _draft(view, operation, now, after)
    left = view.row
    if series:
        there = view.series[series]
        assert there is not None
        draft.marks.append(Mark(series, there.created, draft.version))
        if left.newest.startswith(naming(series, "")):
            left = _without_newest(left)
    else:
        left = replace(left, attributes={}, newest="")
    if not series or left.attributes != view.row.attributes:
        draft.marks.append(Mark("", view.row.created, draft.version))
    row = replace(
        left,
        last=draft.version,
        deleting=Deletion(operation, series),
        expiry=view.row.expiry if series else None,
        pending=view.unfed,
        unprojected=_marks(view, draft.marks),
    )
    return Attempt(row, {}, [_guard(study, view, row)], after)


def piece_attempt(
    study: StudyKey, view: StudyView, doomed: Sequence[Doomed], last_piece: bool, now: Ticks, after: int
) -> Attempt:
    """Removes some rows of a deletion in progress; the last piece takes the mark off (rule 24)."""
    assert view.row is not None
    assert view.row.deleting is not None
    deletion = view.row.deleting
    draft = _draft(view, deletion.id, now, after)
    # the version in the ids of events makes those of different pieces differ
    draft.operation = f"{deletion.id}.{draft.version}"
    series, rows = _removals(study, view, doomed, draft)
    live = view.row.live - len(doomed)
    if deletion.series and not live:
        draft.marks.append(Mark("", view.row.created, draft.version))
    row = replace(
        view.row,
        last=draft.version + max(len(doomed) - 1, 0),
        live=live,
        deleting=None if last_piece else deletion,
        attributes=view.row.attributes if live else {},
        expiry=view.row.expiry if live else None,
        pending=tuple(draft.events),
        unprojected=_marks(view, draft.marks),
    )
    return Attempt(row, series, [_guard(study, view, row), *rows], after)


def _without_newest(row: StudyRow) -> StudyRow:
    return replace(row, attributes=without_details(row.attributes), newest="")


def _removals(
    study: StudyKey, view: StudyView, doomed: Sequence[Doomed], draft: _Draft
) -> tuple[dict[str, SeriesRow | None], list[Operation]]:
    """Operations on series and instance rows; `draft` gets the events and the marks of the series that end."""
    key = partition_key(*study)
    rows: list[Operation] = []
    left: dict[str, SeriesRow | None] = {}
    for index, each in enumerate(doomed):
        version = draft.version + index
        draft.event(Action.DELETE, each.series, each.instance, version, each.held.row.garbage)
        rows.append(Delete(key, instance_row_key(each.series, each.instance), each.held.etag))
        rows += _without_original(study, each.series, each.instance, each.held)
        there = left.get(each.series) or view.series[each.series]
        assert there is not None
        left[each.series] = replace(there, live=there.live - 1)
    series: list[Operation] = []
    for uid, row in left.items():
        assert row is not None
        if row.live:
            series.append(Replace(series_entity(key, uid, row), ANY))
        else:
            draft.marks.append(Mark(uid, row.created, draft.version))
            series.append(Delete(key, series_row_key(uid), ANY))
            left[uid] = None
    return left, [*series, *rows]
