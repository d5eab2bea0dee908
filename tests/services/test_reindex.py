"""The life of extended query tags on a real storage: reindex in steps, values, errors, removal."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from shared.clock import HOUR, wall_clock
from shared.composition import Services, open_services
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.extended_query_tag_requests import requested_tags
from shared.dicomweb.query_string import Page
from shared.dicomweb.search_parameters import Resource, Search
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.services import extended_query_tags as tags
from shared.services import maintenance, operation_progress, reindex
from shared.services.extended_query_tags import ReindexRunning, searchable_tags
from shared.services.operations import get_operation
from shared.services.reindex import run_reindex_step
from shared.services.tag_values import index_instances
from shared.settings import Settings
from shared.storage import names
from shared.storage.extended_query_tags import TagStatus
from shared.storage.operations import OperationStatus
from shared.storage.records import InstanceKey, NewInstance
from tests.support.azurites import NewAccount
from tests.support.searching import found_items

pytestmark = pytest.mark.integration

PARTITION = "Microsoft.Default"

Elements = dict[str, dict[str, Any]]


@pytest.fixture(params=["azurite", "embedded"])
async def services(
    request: pytest.FixtureRequest, tmp_path: Any, new_azure_account: NewAccount
) -> AsyncIterator[Services]:
    """A store of its own: tags hold for all of it."""
    if request.param == "embedded":
        settings = Settings(store="embedded", store_path=str(tmp_path / "store"))
    else:
        settings = Settings(storage_connection=new_azure_account())
    opened = await open_services(settings)
    yield opened
    await opened.close()


async def store(services: Services, uid: str, expires: int | None = None, **elements: Any) -> InstanceKey:
    """Stores instance `study/series/instance`; elements by tag with an `x` in front, as (VR, value) or (VR,)."""
    study, series, instance = uid.split("/")
    key = InstanceKey(PARTITION, f"1.{study}", f"1.{study}.{series}", f"1.{study}.{series}.{instance}")
    metadata = {
        name[1:]: {"vr": given[0], "Value": list(given[1:])} if given[1:] else {"vr": given[0]}
        for name, given in elements.items()
    }
    services.tags.forget()
    known = await services.tags.known()
    new = NewInstance(
        key=key,
        file=f"{PARTITION}/{key.study}/{key.series}/{key.instance}/{random.random()}.dcm",
        size=1,
        transfer_syntax="1.2.840.10008.1.2.1",
        study_attributes={"00100020": {"vr": "LO", "Value": ["p"]}},
        series_attributes={},
        metadata=orjson.dumps(metadata),
        tag_values=known.values(orjson.dumps(metadata)),
    )
    await services.committer.store([new], replace=True, expires=expires, began=wall_clock())
    return key


async def add(services: Services, *wanted: tuple[str, str], **more: str) -> str:
    return await tags.add_tags(
        services, requested_tags([{"path": path, "level": level, **more} for path, level in wanted])
    )


async def finish(services: Services, operation: str) -> int:
    """Runs the steps; how many there were."""
    steps = 0
    while not (await get_operation(services, operation)).operation.status.finished:
        await run_reindex_step(services, operation)
        steps += 1
    return steps


async def found(services: Services, resource: Resource, *filters: tuple[str, str], **path: str) -> list[str]:
    """The ends of the UIDs of what is found."""
    extended = await searchable_tags(services)
    search = Search(
        resource,
        filters=parameters.requested_filters(filters, resource, fuzzy=False, extended=extended),
        **path,  # type: ignore[arg-type]
    )
    tag = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}[resource.item.value]
    return sorted(item[tag]["Value"][0][2:] for item in await found_items(services, PARTITION, search))


async def test_tag_20_tag_22_what_is_stored_becomes_searchable(services: Services) -> None:
    """TAG-01, TAG-20, TAG-21, TAG-22, TAG-23, OPS-03, OPS-05"""
    for study in range(4):
        for series in (1, 2):
            age, time = ("AS", f"00{study}Y"), ("TM", f"1{series}")
            await store(services, f"{study}/{series}/1", x00101010=age, x00080031=time, x00200013=("IS", 1))
            await store(services, f"{study}/{series}/2", x00101010=age, x00080031=time, x00200013=("IS", 2))
    operation = await add(services, ("PatientAge", "study"), ("SeriesTime", "series"), ("00200013", "instance"))
    assert await searchable_tags(services) == {}
    state = await get_operation(services, operation)
    assert state.operation.status is OperationStatus.NOT_STARTED
    assert state.tags == ["00101010", "00080031", "00200013"]
    messages = await services.storage.receive_messages(names.OPERATIONS_QUEUE, 1, 1)
    assert messages == [], "the first step waits until every process knows the tags"
    await finish(services, operation)
    state = await get_operation(services, operation)
    assert (state.operation.status, state.operation.percent) == (OperationStatus.SUCCEEDED, 100)
    assert [each.tag.status for each in await tags.list_tags(services, Page())] == [TagStatus.READY] * 3
    assert await found(services, parameters.STUDIES, ("PatientAge", "002Y")) == ["2"]
    assert await found(services, parameters.SERIES, ("PatientAge", "002y")) == ["2.1", "2.2"]
    assert await found(services, parameters.SERIES, ("SeriesTime", "12-1230"), ("PatientAge", "001Y")) == ["1.2"]
    assert await found(services, parameters.SERIES_OF_STUDY, ("00080031", "11"), study="1.3") == ["3.1"]
    assert len(await found(services, parameters.INSTANCES, ("InstanceNumber", "+02"))) == 8
    scope = {"study": "1.3", "series": "1.3.1"}
    assert await found(services, parameters.INSTANCES_OF_SERIES, ("InstanceNumber", "2"), **scope) == ["3.1.2"]
    assert await found(services, parameters.INSTANCES_OF_SERIES, ("InstanceNumber", "3"), **scope) == []
    both = ("InstanceNumber", "1"), ("SeriesTime", "12"), ("PatientAge", "000Y")
    assert await found(services, parameters.INSTANCES, *both) == ["0.2.1"]


async def test_ops_04_more_series_in_one_study_than_a_transaction_has_rows(services: Services) -> None:
    """OPS-04, TAG-20, TAG-22: a page of instances, each of a series of its own, and the study row beside them."""
    values: Any = {"x00101010": ("AS", "001Y"), "x00080031": ("TM", "10")}
    await asyncio.gather(*(store(services, f"1/{series}/1", **values) for series in range(100)))
    operation = await add(services, ("PatientAge", "study"), ("SeriesTime", "series"))
    await finish(services, operation)
    assert (await get_operation(services, operation)).operation.status is OperationStatus.SUCCEEDED
    assert len(await found(services, parameters.SERIES, ("SeriesTime", "10"))) == 100
    assert await found(services, parameters.STUDIES, ("PatientAge", "001Y")) == ["1"]


async def test_ops_04_steps_survive_kills_and_doubled_messages(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPS-03, OPS-04: resumed where it was; progress never falls; two steps at once do no harm."""
    for study in range(12):
        await store(services, f"{study}/1/1", x00101010=("AS", "001Y"), x00200013=("IS", study))
    operation = await add(services, ("PatientAge", "study"), ("InstanceNumber", "instance"))
    monkeypatch.setattr(reindex, "PAGE", 3)
    monkeypatch.setattr(operation_progress, "STEP_SECONDS", 0)
    percents = []

    async def killed(*arguments: Any) -> Any:
        await index_instances(*arguments)
        raise ConnectionError("killed between the values and the cursor")

    for step in range(20):
        monkeypatch.setattr(reindex, "index_instances", killed if step % 2 else index_instances)
        results = await asyncio.gather(
            run_reindex_step(services, operation), run_reindex_step(services, operation), return_exceptions=True
        )
        assert step % 2 or list(results) == [None, None]
        state = (await get_operation(services, operation)).operation
        percents.append(state.percent)
        if state.status.finished:
            break
    assert state.status is OperationStatus.SUCCEEDED
    assert percents == sorted(percents)
    assert len(percents) > 4
    assert percents[-1] == 100
    assert len(await found(services, parameters.STUDIES, ("PatientAge", "001Y"))) == 12
    assert await found(services, parameters.INSTANCES, ("InstanceNumber", "7")) == ["7.1.1"]


async def test_tag_25_the_newest_instance_that_has_a_value_sets_it(services: Services) -> None:
    """TAG-25, QRY-60"""
    await store(services, "1/2/1", x00101010=("AS", "001Y"), x00080031=("TM", "10"))
    await store(services, "1/1/9", x00101010=("AS", "002Y"), x00080031=("TM", "11"))
    await store(services, "1/2/0", x00101010=("AS", "003Y"), x00080031=("TM", "12"))
    await store(services, "1/3/3")
    await finish(services, await add(services, ("PatientAge", "study"), ("SeriesTime", "series")))
    assert await found(services, parameters.STUDIES, ("PatientAge", "003Y")) == ["1"]
    assert await found(services, parameters.STUDIES, ("PatientAge", "002Y")) == []
    assert await found(services, parameters.SERIES, ("SeriesTime", "12")) == ["1.2"]
    assert await found(services, parameters.SERIES, ("SeriesTime", "10")) == []
    assert await found(services, parameters.SERIES_OF_STUDY, ("SeriesTime", "11"), study="1.1") == ["1.1"]


async def test_tag_26_private_tags(services: Services) -> None:
    """TAG-26: found through the creator, whichever block it has."""
    await store(services, "1/1/1", x12050011=("LO", "ACME"), x12051103=("SH", "here"))
    await store(services, "2/1/1", x12050010=("LO", "OTHER"), x12051003=("SH", "here"))
    await finish(services, await add(services, ("12051003", "study"), vr="SH", privateCreator="ACME"))
    assert await found(services, parameters.STUDIES, ("12051003", "HERE")) == ["1"]


async def test_tag_30_tag_31_tag_32_errors(services: Services) -> None:
    """TAG-14, TAG-20, TAG-30, TAG-31, TAG-32, OPS-04"""
    await store(services, "1/1/1", x00101010=("LO", "x"))
    await store(services, "1/1/2", x00101010=("AS",))
    await store(services, "2/1/1", x00101010=("AS", "001Y"))
    operation = await add(services, ("PatientAge", "study"), ("00200010", "study"))
    await finish(services, operation)
    assert (await get_operation(services, operation)).operation.status is OperationStatus.SUCCEEDED
    counted = await tags.get_tag(services, "00101010")
    assert (counted.errors, counted.tag.enabled, counted.tag.status) == (2, False, TagStatus.READY)
    errors = await tags.tag_errors(services, "00101010", Page())
    assert sorted((error.key.instance, error.message) for error in errors) == [
        ("1.1.1.1", "The extended query tag VR is not expected."),
        ("1.1.1.2", "Value length is not expected."),
    ]
    assert len(await tags.tag_errors(services, "00101010", Page(limit=1, offset=1))) == 1
    with pytest.raises(InvalidRequest, match=r"^Query is disabled on specified attribute 'PatientAge'"):
        await found(services, parameters.STUDIES, ("PatientAge", "001Y"))
    await tags.switch_tag(services, "00101010", enabled=True)
    assert await found(services, parameters.STUDIES, ("PatientAge", "001Y")) == ["2"]
    extended = await searchable_tags(services)
    filters = parameters.requested_filters(
        [("PatientAge", "x"), ("00200010", "y")], parameters.STUDIES, fuzzy=False, extended=extended
    )
    assert await tags.erroneous_keys(services, filters) == ["PatientAge"]
    await tags.forget_errors(services, PARTITION, "1.1", "1.1.1", "1.1.1.1")
    assert (await tags.get_tag(services, "00101010")).errors == 1
    await tags.forget_errors(services, PARTITION, "1.2")
    await tags.forget_errors(services, PARTITION, "1.1", "1.1.2")
    assert (await tags.get_tag(services, "00101010")).errors == 1
    await tags.forget_errors(services, PARTITION, "1.1", "1.1.1")
    assert (await tags.get_tag(services, "00101010")).errors == 0
    assert await tags.erroneous_keys(services, filters) == []


async def test_tag_13_a_tag_begins_a_new_life_when_it_is_added_again(services: Services) -> None:
    """TAG-13: other level, nothing of before; the instances stay."""
    await store(services, "1/1/1", x00101010=("AS", "001Y"))
    await store(services, "1/2/1", x00101010=("LO", "x"))
    await finish(services, await add(services, ("PatientAge", "study")))
    assert (await tags.get_tag(services, "00101010")).errors == 1
    await tags.remove_tag(services, "00101010")
    for again in (tags.remove_tag(services, "00101010"), tags.get_tag(services, "00101010")):
        with pytest.raises(NotFound, match=r"^The specified extended query tag with tag path 00101010 cannot be found"):
            await again
    with pytest.raises(InvalidRequest, match="is not queryable"):
        await found(services, parameters.STUDIES, ("PatientAge", "001Y"))
    await store(services, "1/1/1", x00101010=("AS", "009Y"))
    await finish(services, await add(services, ("PatientAge", "series")))
    await tags.switch_tag(services, "00101010", enabled=True)
    assert await found(services, parameters.SERIES, ("PatientAge", "009Y")) == ["1.1"]
    assert await found(services, parameters.SERIES, ("PatientAge", "001Y")) == []
    with pytest.raises(InvalidRequest, match="is not queryable"):
        await found(services, parameters.STUDIES, ("PatientAge", "009Y"))


async def test_sto_152_errors_go_with_expired_studies(services: Services) -> None:
    """STO-123, STO-152, TAG-32: and with those that a process deleted that died before it came to the errors."""
    first = await store(services, "1/1/1", x00101010=("AS",))
    gone = await store(services, "2/1/1", x00101010=("AS",))
    for study, expires in ((3, wall_clock() - 1), (4, wall_clock() + HOUR)):
        await store(services, f"{study}/1/1", expires=expires, x00101010=("AS",))
    await finish(services, await add(services, ("PatientAge", "study")))
    assert (await tags.get_tag(services, "00101010")).errors == 4
    await services.committer.delete(PARTITION, gone.study)
    await maintenance.repair(services)
    left = await tags.tag_errors(services, "00101010", Page())
    assert [error.key.study for error in left] == [first.study, "1.4"]
    tag = await tags.get_tag(services, "00101010")
    assert (tag.errors, tag.tag.enabled) == (2, False)


async def test_tag_13_values_of_removed_tags_go_with_the_next_store(services: Services) -> None:
    """TAG-13: out of the rows of study and series, in the index and in what searches read; those of new tags stay."""
    time = ("TM", "10")
    key = await store(services, "1/1/1", x00101010=("AS", "001Y"), x00080031=time)
    await finish(services, await add(services, ("PatientAge", "study"), ("SeriesTime", "series")))
    for path in ("00101010", "00080031"):
        await tags.remove_tag(services, path)
    await finish(services, await add(services, ("PatientAge", "study")))

    async def columns() -> list[set[str]]:
        study = await services.index.study(PARTITION, key.study)
        [series] = await services.index.series(PARTITION, key.study)
        [of_studies] = [each async for each in services.projections.studies(PARTITION)]
        assert study is not None
        rows = (study.attributes, series.attributes, of_studies.attributes)
        return [{column for column in row if "_" in column} for row in rows]

    assert await columns() == [{"00101010_1", "00101010_3"}, {"00080031_2"}, {"00101010_1", "00101010_3"}]
    await store(services, "1/1/2", x00080031=time)
    assert await columns() == [{"00101010_3"}, set(), {"00101010_3"}]
    assert await found(services, parameters.STUDIES, ("PatientAge", "001Y")) == ["1"]


async def test_tag_08_tag_09_one_reindex_at_a_time_and_128_tags(services: Services) -> None:
    """TAG-08, TAG-09, TAG-13"""
    operation = await add(services, ("PatientAge", "study"))
    with pytest.raises(ReindexRunning) as caught:
        await add(services, ("nonsense", "study"))
    assert str(caught.value) == f"There is already an active re-index operation with ID '{operation}'."
    await tags.remove_tag(services, "00101010")
    await finish(services, operation)
    assert (await get_operation(services, operation)).tags == []
    private = [(f"1205{number:04X}", "study") for number in range(0x1000, 0x1000 + 127)]
    await finish(services, await add(services, *private, vr="SH", privateCreator="ACME"))
    with pytest.raises(Conflict, match=r"^One or more extended query tags already exist"):
        await add(services, private[5], vr="SH", privateCreator="ACME")
    with pytest.raises(InvalidRequest, match=r"^Extended query tags exceeds max allowed count '128'"):
        await add(services, ("PatientAge", "study"), ("00200010", "study"))
    await finish(services, await add(services, ("PatientAge", "study")))
    listed = await tags.list_tags(services, Page(limit=200))
    assert [each.tag.path for each in listed] == [*(path for path, _ in private), "00101010"]
    assert await tags.list_tags(services, Page(limit=200, offset=128)) == []


async def test_ops_04_a_reindex_that_cannot_run_fails(services: Services) -> None:
    """OPS-04: the way is free for another one; the tag is not searchable."""
    operation = await add(services, ("PatientAge", "study"))
    await reindex.fail_reindex(services, operation, "out of luck")
    state = (await get_operation(services, operation)).operation
    assert (state.status, state.reason) == (OperationStatus.FAILED, "out of luck")
    assert await searchable_tags(services) == {}
    await finish(services, await add(services, ("00200010", "study")))
    assert list(await searchable_tags(services)) == ["00200010"]
