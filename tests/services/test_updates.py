"""What bulk updates do to values, details and rows, on both engines; who changes what first is for `tests/faults`."""

import io
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicom.normal_form import projected_name
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.extended_query_tag_requests import requested_tags
from shared.dicomweb.search_parameters import Resource, Search
from shared.services import extended_query_tags as tags
from shared.services.extended_query_tags import searchable_tags
from shared.services.operations import get_operation
from shared.services.reindex import run_reindex_step
from shared.services.tag_values import index_instances
from shared.settings import Settings
from shared.storage import names
from shared.storage.lost_instances import lost_instances
from shared.storage.primitives import Operation
from shared.storage.records import (
    DEFAULT_PARTITION,
    InstanceKey,
    InstanceRecord,
    NewInstance,
    UpdatedInstance,
    UpdateOutcome,
)
from shared.storage.rows import instance_row_key, original_row_key, partition_key
from shared.storage.tag_indexing import START, TagIndexing
from tests.support.azurites import NewAccount
from tests.support.counted_reads import counted_reads
from tests.support.made_files import made_file
from tests.support.searching import found_items
from tests.support.stow import Triple, new_triple
from tests.support.updating import of_file, update

pytestmark = pytest.mark.integration


@pytest.fixture(params=["azurite", "embedded"])
async def services(
    request: pytest.FixtureRequest, tmp_path: Path, new_azure_account: NewAccount
) -> AsyncIterator[Services]:
    if request.param == "embedded":
        settings = Settings(store="embedded", store_path=str(tmp_path / "store"))
    else:
        settings = Settings(storage_connection=new_azure_account(), local_copies_bytes=0)
    opened = await open_services(settings)
    yield opened
    await opened.close()


def key_of(triple: Triple) -> InstanceKey:
    return InstanceKey(DEFAULT_PARTITION, triple.study, triple.series, triple.instance)


async def store(services: Services, *triples: Triple, **elements: Any) -> None:
    """Stores small files with these elements."""
    services.tags.forget()
    began = wall_clock()
    known = await services.tags.known()
    new = [
        await of_file(services, key_of(each), made_file(each.study, each.series, each.instance, **elements), known)
        for each in triples
    ]
    await services.committer.store(new, replace=True, expires=None, began=began)


async def record(services: Services, triple: Triple) -> InstanceRecord:
    found = await services.index.instance(key_of(triple), metadata=True)
    assert found is not None
    return found


async def add_tags(services: Services, *wanted: tuple[str, str]) -> None:
    operation = await tags.add_tags(
        services, requested_tags([{"path": path, "level": level} for path, level in wanted])
    )
    while not (await get_operation(services, operation)).operation.status.finished:
        await run_reindex_step(services, operation)
    services.tags.forget()


async def found(services: Services, resource: Resource, *filters: tuple[str, str]) -> int:
    extended = await searchable_tags(services)
    asked = parameters.requested_filters(filters, resource, fuzzy=False, extended=extended)
    return len(await found_items(services, DEFAULT_PARTITION, Search(resource, filters=asked)))


async def test_search_follows_the_study(services: Services) -> None:
    """PLT-78: found by the new values and not by the old ones; what the update does not name stays as it is."""
    triple = new_triple()
    await store(services, triple, PatientID="1", PatientName="Old", StudyDescription="same", AccessionNumber="a")
    assert await update(services, triple.study, PatientID="2", PatientName="New") == [UpdateOutcome.UPDATED]
    studies = parameters.STUDIES
    for filters, expected in (
        ([("PatientID", "2"), ("PatientName", "New"), ("StudyDescription", "same"), ("AccessionNumber", "a")], 1),
        ([("PatientID", "1")], 0),
        ([("PatientName", "Old")], 0),
    ):
        assert await found(services, studies, *filters) == expected


async def test_what_is_emptied_stays_in_the_index(services: Services) -> None:
    """PLT-78: the file says nothing any more, the index what it said."""
    triple = new_triple()
    await store(services, triple, PatientID="1", AccessionNumber="a")
    await update(services, triple.study, AccessionNumber="")
    assert await found(services, parameters.STUDIES, ("AccessionNumber", "a")) == 1
    latest = await record(services, triple)
    content = await services.files.read_whole(latest.file, latest.size)
    assert dcmread(io.BytesIO(content)).AccessionNumber == ""


async def test_values_of_other_instances_do_not_come_back(services: Services) -> None:
    """PLT-78, TAG-25: an update of all instances brings only what it sets, not what an older instance said of the
    study."""
    first = new_triple()
    await store(services, first, PatientID="1", StudyDescription="first")
    await store(services, first.sibling(), PatientID="1", StudyDescription="second")
    await update(services, first.study, PatientID="2")
    assert await found(services, parameters.STUDIES, ("PatientID", "2"), ("StudyDescription", "second")) == 1


async def test_extended_query_tags(services: Services) -> None:
    """PLT-78: tags of studies are indexed anew, those of series and instances are not, also by a second update."""
    triple = new_triple()
    await add_tags(services, ("PatientAge", "study"), ("MilitaryRank", "series"), ("PatientSex", "instance"))
    await store(services, triple, PatientAge="001Y", MilitaryRank="10", PatientSex="M")
    for age in ("002Y", "003Y"):
        await update(services, triple.study, PatientAge=age, MilitaryRank="20", PatientSex="F")
        assert await found(services, parameters.STUDIES, ("PatientAge", age)) == 1
    assert await found(services, parameters.STUDIES, ("PatientAge", "001Y")) == 0
    for rank, expected in (("10", 1), ("20", 0)):
        assert await found(services, parameters.SERIES, ("MilitaryRank", rank)) == expected
    for sex, expected in (("M", 1), ("F", 0)):
        assert await found(services, parameters.INSTANCES, ("PatientSex", sex)) == expected
    await store(services, triple, PatientAge="004Y", MilitaryRank="30", PatientSex="O")
    assert await found(services, parameters.INSTANCES, ("PatientSex", "O")) == 1
    assert await found(services, parameters.INSTANCES, ("PatientSex", "M")) == 0


async def test_reindex_meets_an_update(services: Services) -> None:
    """TAG-22: what is updated between the reindex's look at it and its write gets its value all the same."""
    triple = new_triple()
    await store(services, triple, PatientAge="001Y", InstanceNumber="7")
    await tags.add_tags(services, requested_tags([{"path": "InstanceNumber", "level": "instance"}]))
    services.tags.forget()
    [tag] = (await services.tags.known()).tags
    tagged = TagIndexing(services.storage, services.index)
    seen = await tagged.after(START, 10)
    await update(services, triple.study, PatientAge="002Y")
    await index_instances(tagged, services.committer.index_tags, [tag], seen)
    row = await services.storage.get(names.INDEX, *seen[0].cursor)
    assert row is not None
    assert row.values["v"] != seen[0].version
    assert projected_name(tag.column) in row.values


@pytest.mark.parametrize("newest", [True, False])
async def test_details_of_the_newest_instance(services: Services, newest: bool) -> None:
    """QRY-54: study lists show the new values of the instance stored last, and of no other."""
    first = new_triple()
    second = first.sibling()
    await store(services, first, PatientID="1", PatientAge="001Y")
    await store(services, second, PatientID="1", PatientAge="002Y")
    before = await services.index.study(DEFAULT_PARTITION, first.study)
    await update(services, first.study, {(second if newest else first).instance}, PatientAge="099Y")
    search = Search(parameters.STUDIES, fields=parameters.Fields(all=True))
    [item] = await found_items(services, DEFAULT_PARTITION, search)
    assert item["00101010"]["Value"] == ["099Y" if newest else "002Y"]
    after = await services.index.study(DEFAULT_PARTITION, first.study)
    assert before is not None
    assert after is not None
    assert (after.newest, after.created, after.expiry, after.instances) == (
        key_of(second),
        before.created,
        before.expiry,
        2,
    )


async def test_reads(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """RET-110, RET-115: who does not ask for originals reads what was read before there were any; who does reads no
    more where there are none, and one query or a few rows where there are."""
    plain, updated = new_triple(), new_triple()
    for triple in (plain, updated):
        await store(services, triple, *(triple.sibling() for _ in range(5)), PatientName="Old")
    await update(services, updated.study, PatientName="New")
    services.recollection.clear()
    made = counted_reads(services.storage, monkeypatch)

    async def reads(triple: Triple, *, original: bool) -> tuple[dict[str, int], dict[str, int]]:
        answers = []
        for series in (None, triple.series):
            made.update(get=0, query=0)
            services.recollection.clear()
            there = await services.index.instances(DEFAULT_PARTITION, triple.study, series, metadata=True)
            if original:
                assert len(await services.index.originals(there, metadata=True)) == 6
            answers.append(dict(made))
        return answers[0], answers[1]

    before = ({"get": 0, "query": 1}, {"get": 1, "query": 1})
    assert await reads(plain, original=False) == before
    assert await reads(updated, original=False) == before
    assert await reads(plain, original=True) == before
    assert await reads(updated, original=True) == ({"get": 0, "query": 2}, {"get": 1, "query": 2})


async def test_frames_that_lie_in_a_blob(services: Services) -> None:
    """STO-105, RET-113: the frame table of an original is found wherever it is."""
    key = key_of(new_triple())
    tables = [secrets.token_bytes(100_000), secrets.token_bytes(100_000)]

    async def new(frames: bytes) -> NewInstance:
        file = await services.files.upload(key, b"x")
        return NewInstance(key, file, 1, "1.2.840.10008.1.2.1", {}, {}, b"{}", frames)

    await services.committer.store([await new(tables[0])], replace=False, expires=None, began=wall_clock())
    before = await services.index.instance(key)
    assert before is not None
    item = UpdatedInstance(await new(tables[1]), before.file, "op")
    assert await services.committer.update((key.partition, key.study), [item], began=wall_clock()) == [
        UpdateOutcome.UPDATED
    ]
    latest = await services.index.instance(key)
    assert latest is not None
    assert latest.frames == tables[1]
    assert await services.index.original(latest) == before


async def test_what_is_large_goes_in_several_transactions(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-105, PLT-74: of 40 instances of 50 KB a row, all are updated, and no transaction is refused for its size."""
    first = new_triple()
    keys = [key_of(first), *(key_of(first.sibling()) for _ in range(39))]

    async def new(key: InstanceKey) -> NewInstance:
        file = await services.files.upload(key, b"x")
        return NewInstance(key, file, 1, "1.2.840.10008.1.2.1", {}, {}, b"{}", secrets.token_bytes(50_000))

    stored = [await new(key) for key in keys]
    await services.committer.store(stored, replace=False, expires=None, began=wall_clock())
    transact, sizes = services.storage.transact, []

    async def counting(table: str, operations: Sequence[Operation]) -> list[str]:
        etags = await transact(table, operations)
        sizes.extend([len(operations)] if table == names.INDEX else [])
        return etags

    monkeypatch.setattr(services.storage, "transact", counting)
    items = [UpdatedInstance(await new(each.key), each.file, "op") for each in stored]
    outcomes = await services.committer.update((DEFAULT_PARTITION, first.study), items, began=wall_clock())
    assert outcomes == [UpdateOutcome.UPDATED] * 40
    assert len(sizes) == 2
    assert sum(sizes) == 2 + 2 * 40
    for item, before in zip(items, stored, strict=True):
        latest = await services.index.instance(item.new.key)
        assert latest is not None
        assert latest.frames == item.new.frames
        original = await services.index.original(latest)
        assert original is not None
        assert (original.file, original.frames) == (before.file, before.frames)


async def test_properties_of_rows(services: Services) -> None:
    """PLT-77: a row has what it had, with the new version and what names the original; that has a row which no search
    finds."""
    triple = new_triple()
    await add_tags(services, ("InstanceNumber", "instance"))
    await store(services, triple, PatientName="Old", InstanceNumber="7")
    partition, keys = partition_key(DEFAULT_PARTITION, triple.study), (triple.series, triple.instance)
    before = await services.storage.get(names.INDEX, partition, instance_row_key(*keys))
    await update(services, triple.study, PatientName="New")
    after = await services.storage.get(names.INDEX, partition, instance_row_key(*keys))
    original = await services.storage.get(names.INDEX, partition, original_row_key(*keys))
    assert before is not None
    assert after is not None
    assert original is not None
    assert after.values.keys() == before.values.keys() | {"by", "of"}
    hidden = {name for name in before.values if name.startswith("q")}
    assert len(hidden) == 2, "its UID and the value of the tag"
    assert original.values == {name: value for name, value in before.values.items() if name not in hidden}


def _missing(found: Iterable[Any]) -> set[str]:
    return {each.file for each in found}


async def test_check_of_the_store_names_lost_originals(services: Services) -> None:
    """PLT-77: an original whose file is not there is a lost instance as any other."""
    triple = new_triple()
    await store(services, triple, PatientName="Old")
    original = await record(services, triple)
    await update(services, triple.study, PatientName="New")
    assert [each async for each in lost_instances(services.storage, {})] == []
    await services.files.discard(original.file)
    lost = [each async for each in lost_instances(services.storage, {})]
    assert _missing(lost) == {f"dicom/{original.file}"}
    latest = await record(services, triple)
    await services.files.discard(latest.file)
    assert _missing([each async for each in lost_instances(services.storage, {})]) == {
        f"dicom/{original.file}",
        f"dicom/{latest.file}",
    }
