"""What must hold of a store whenever nothing is under way: index, change feed and search tell the same story."""

import itertools
from collections import Counter
from collections.abc import Collection

from shared.composition import Services
from shared.storage import names
from shared.storage.primitives import Storage
from shared.storage.records import DEFAULT_PARTITION, Action, FeedEntry, InstanceKey
from shared.storage.rows import STUDY_ROW, InstanceRow, files_called, instance_row, key_of_entity, study_row
from shared.storage.value_rows import forms_of, value_row


async def whole_feed(services: Services) -> list[FeedEntry]:
    """Every entry, read by offset."""
    entries: list[FeedEntry] = []
    while page := await services.change_feed.page(0, None, len(entries), 200):
        entries += page
    return entries


async def check_store(services: Services, storage: Storage, *, files: bool = True) -> list[FeedEntry]:
    """Asserts everything below and returns the feed; `files` false where storage may have lost some."""
    feed = await whole_feed(services)
    assert [entry.sequence for entry in feed] == list(range(1, len(feed) + 1)), "the feed is contiguous"
    assert all(a.timestamp <= b.timestamp for a, b in itertools.pairwise(feed)), "its times never fall"
    doubles = [id_ for id_, count in Counter(entry.id for entry in feed).items() if count > 1]
    assert not doubles, "no event is in it twice"
    rows = {}
    originals = {}
    async for entity in storage.query(names.INDEX):
        if entity.row == STUDY_ROW:
            assert not study_row(entity).dirty, f"nothing is left open: {study_row(entity)}"
        elif entity.row.startswith("instance|"):
            rows[key_of_entity(entity)] = instance_row(entity)
        elif entity.row.startswith("first|"):
            originals[key_of_entity(entity)] = instance_row(entity)
    updated = {key: row.original for key, row in rows.items() if row.original}
    assert updated == {key: row.called for key, row in originals.items()}, "originals have rows, and nothing else has"
    if files:
        await _check_files(storage, feed, rows)
    newest: dict[InstanceKey, FeedEntry] = {}
    for entry in feed:
        before = newest.get(entry.key)
        assert before is None or before.version < entry.version, f"entries of an instance are in order: {entry}"
        if entry.action is Action.CREATE:
            assert before is None or before.action is Action.DELETE, f"created once a life: {entry}"
        else:
            assert before is not None, f"{entry} of what never was"
            assert before.action is not Action.DELETE, f"{entry} of what was deleted"
        newest[entry.key] = entry
    living = {key: entry for key, entry in newest.items() if entry.action is not Action.DELETE}
    unknown = [(key, row.version) for key, row in rows.items() if key not in living]
    assert not unknown, f"the feed knows what is there: {unknown}"
    absent = [entry for key, entry in living.items() if key not in rows]
    assert not absent, f"what the feed shows is there: {absent}"
    for key, row in rows.items():
        assert living[key].version == row.version, f"the newest entry of {key} is the current one"
    await _check_search(services, rows.keys())
    if storage.value_rows:
        await check_value_rows(storage)
    return feed


async def _check_files(storage: Storage, feed: list[FeedEntry], rows: dict[InstanceKey, InstanceRow]) -> None:
    named = {file for key, row in rows.items() for file, _ in files_called(row.garbage, key)}
    there = {item.name async for item in storage.list_blobs(names.DICOM)}
    assert named <= there, "every file that a row names is there"
    wrong = {file for entry in feed for file, _ in files_called(entry.old, entry.key)} & named
    assert not wrong, "none of them is called garbage"


async def check_value_rows(storage: Storage) -> None:
    """Asserts that there is one for each value that is shown, and no other."""
    expected: set[tuple[str, str]] = set()
    found: set[tuple[str, str]] = set()
    async for entity in storage.query(names.STUDIES):
        if entity.row.startswith("value|"):
            found.add((entity.partition, entity.row))
        elif entity.row.startswith(("study|", "series|")):
            assert entity.values["values"] == 1, "the row knows of them"
            forms = forms_of(entity.row, entity.values).items()
            assert entity.values["shown"] or not forms, "a tombstone has none"
            expected |= {(entity.partition, value_row(column, form, entity.row)) for column, form in forms}
    assert found == expected


async def _check_search(services: Services, keys: Collection[InstanceKey]) -> None:
    shown = [projection.study async for projection in services.projections.studies(DEFAULT_PARTITION)]
    assert sorted(shown) == sorted({key.study for key in keys}), "search shows each study once"
    series = [(each.study, each.series) async for each in services.projections.series(DEFAULT_PARTITION)]
    assert sorted(series) == sorted({(key.study, key.series) for key in keys}), "and each series"
    async for projection in services.projections.studies(DEFAULT_PARTITION):
        study = await services.index.study(DEFAULT_PARTITION, projection.study)
        assert study is not None
        assert study.attributes == projection.attributes, "with the values that the index has"
        assert study.instances == sum(key.study == study.study for key in keys), "counts are right"
