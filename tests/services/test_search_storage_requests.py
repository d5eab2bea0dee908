"""How many requests to storage a search costs: the common ones a fixed, small number, whatever is stored besides.

What this process remembers of the studies is forgotten before each; `test_recollection.py` has what that saves."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
import pytest
import pytest_asyncio

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.query_string import query_pairs, requested_page
from shared.dicomweb.search_parameters import Resource, Search
from shared.settings import Settings
from shared.storage.months import CLOCKS_DIFFER
from shared.storage.projection_rows import projection_months
from shared.storage.records import InstanceKey, NewInstance
from tests.support.counted_reads import counted_reads
from tests.support.searching import found_items

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PARTITION = "Search.Requests"
STUDIES = 40

Find = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(azurite: str) -> AsyncIterator[Services]:
    """40 studies of two series of two instances."""
    opened = await open_services(Settings(storage_connection=azurite))
    for study in range(STUDIES):
        new = [
            _new(f"1.5.{study}", f"1.5.{study}.{series}", f"1.5.{study}.{series}.{instance}", study, series)
            for series in (1, 2)
            for instance in (1, 2)
        ]
        await opened.committer.store(new, replace=False, expires=None, began=wall_clock())
    yield opened
    await opened.close()


def _new(study: str, series: str, instance: str, number: int, which: int) -> NewInstance:
    of_study = {"00100020": {"vr": "LO", "Value": [f"P{number}"]}}
    of_series = {"00080060": {"vr": "CS", "Value": [("CT", "MR")[which - 1]]}}
    return NewInstance(
        study_details=of_series,
        key=InstanceKey(PARTITION, study, series, instance),
        file=f"{PARTITION}/{study}/{series}/{instance}/x.dcm",
        size=1,
        transfer_syntax="1.2.840.10008.1.2.1",
        study_attributes=of_study,
        series_attributes=of_series,
        metadata=orjson.dumps({**of_study, **of_series, "0008103E": {"vr": "LO", "Value": ["x"]}}),
    )


@pytest.fixture
def find(services: Services, monkeypatch: pytest.MonkeyPatch) -> Find:
    """A search and the requests that it made: (items, point reads, queries)."""
    storage = services.storage
    made = counted_reads(storage, monkeypatch)

    async def run(resource: Resource, text: str, **path: str) -> tuple[Sequence[Any], int, int]:
        made.update(get=0, query=0)
        services.recollection.clear()
        pairs = query_pairs(text.encode())
        search = Search(
            resource,
            requested_page(pairs),
            parameters.requested_filters(pairs, resource, fuzzy=False, extended={}),
            parameters.requested_fields(pairs),
            **path,  # type: ignore[arg-type]
        )
        found = await found_items(services, PARTITION, search)
        return found, made["get"], made["query"]

    return run


@pytest.mark.parametrize(
    ("query", "items", "gets", "queries"),
    [
        ("PatientID=p7", 1, 0, 1),
        ("PatientID=P1*", 11, 0, 1),
        ("limit=20", 20, 0, 1),
        ("StudyInstanceUID=1.5.7", 1, 1, 0),
        ("StudyInstanceUID=1.5.7,1.5.8,1.5.999", 2, 3, 0),
        ("ModalitiesInStudy=CT&PatientID=P7", 1, 0, 3),
        ("includefield=00080060&limit=30", 30, 0, 1),
        ("includefield=all&PatientID=P7", 1, 0, 1),
        ("includefield=0008103E&PatientID=P7", 1, 2, 1),
    ],
)
async def test_requests_of_searches_for_studies(find: Find, query: str, items: int, gets: int, queries: int) -> None:
    """QRY-01, QRY-54: one query for what filters find, point reads for UIDs; the newest instance is two more, unless
    what is asked of it is kept in the row of the study."""
    found, made_gets, made_queries = await find(parameters.STUDIES, query)
    assert (len(found), made_gets, made_queries) == (items, gets, queries)


async def test_the_newest_studies_cost_a_point_read(find: Find) -> None:
    """QRY-70: from the third time on, as long as no study changes; where there are too few, a query as ever"""
    asked = [await find(parameters.STUDIES, "limit=25") for _ in range(4)]
    months = len(months_to_watch())
    assert [(gets, queries) for _, gets, queries in asked] == [(0, 1), (months, 1), (months, 0), (months, 0)]
    assert all(found == asked[0][0] for found, _, _ in asked)
    asked = [await find(parameters.STUDIES, "limit=150") for _ in range(4)]
    assert [(gets, queries) for _, gets, queries in asked] == [(0, 1)] * 4


def months_to_watch() -> list[str]:
    """This one, and the next if a clock may be there."""
    return projection_months(PARTITION, wall_clock() + CLOCKS_DIFFER, wall_clock())


async def test_qry_54_the_newest_instance_is_deleted(services: Services, find: Find) -> None:
    """QRY-54, STO-150: of the one that is the newest then, until the next store, more has to be read."""
    study = "1.6.1"
    for series in (1, 2):
        new = _new(study, f"{study}.{series}", f"{study}.{series}.1", 100, series)
        await services.committer.store([new], replace=False, expires=None, began=wall_clock())
    query = "PatientID=P100&includefield=00080060"

    async def modality() -> tuple[str, int, int]:
        (item,), gets, queries = await find(parameters.STUDIES, query)
        return item["00080060"]["Value"][0], gets, queries

    assert await modality() == ("MR", 0, 1)
    await services.committer.delete(PARTITION, study, f"{study}.2", f"{study}.2.1")
    assert await modality() == ("CT", 2, 2)
    again = _new(study, f"{study}.2", f"{study}.2.2", 100, 2)
    await services.committer.store([again], replace=False, expires=None, began=wall_clock())
    assert await modality() == ("MR", 0, 1)
    await services.committer.delete(PARTITION, study, f"{study}.2")
    assert await modality() == ("CT", 2, 2)
    await services.committer.delete(PARTITION, study)
    assert await find(parameters.STUDIES, query) == ([], 0, 1)


async def test_qry_42_rows_read_for_series_uids(
    services: Services, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QRY-42: storage returns the series and instances asked for, and no other."""
    read: list[Any] = []

    async def counted(rows: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for row in rows:
            read.append(row)
            yield row

    series = services.projections.series
    monkeypatch.setattr(services.projections, "series", lambda *given, **named: counted(series(*given, **named)))
    found, *_ = await find(parameters.SERIES, "SeriesInstanceUID=1.5.7.1,1.5.9.2&Modality=MR")
    assert ([item["0020000E"]["Value"] for item in found], len(read)) == ([["1.5.9.2"]], 1)
    read.clear()
    query = services.storage.query
    monkeypatch.setattr(services.storage, "query", lambda *given, **named: counted(query(*given, **named)))
    found, *_ = await find(parameters.INSTANCES, "SOPInstanceUID=1.5.7.1.2,1.5.8.2.1,1.5.8.3.1&StudyInstanceUID=1.5.7")
    assert (len(found), len(read)) == (1, 1)
    found, *_ = await find(parameters.INSTANCES, "SOPInstanceUID=1.5.7.1.2")
    assert (len(found), len(read)) == (1, 2)


async def test_requests_of_searches_below_a_study(find: Find) -> None:
    """QRY-01: the partition of the study, and the study row that guards it."""
    found, gets, queries = await find(parameters.SERIES_OF_STUDY, "", study="1.5.7")
    assert (len(found), gets, queries) == (2, 0, 1)
    found, gets, queries = await find(parameters.INSTANCES_OF_SERIES, "", study="1.5.7", series="1.5.7.1")
    assert (len(found), gets, queries) == (2, 1, 1)
    found, gets, queries = await find(parameters.SERIES, "PatientID=P7")
    assert (len(found), gets, queries) == (2, 1, 2)
    found, gets, queries = await find(parameters.INSTANCES, "StudyInstanceUID=1.5.7&SeriesInstanceUID=1.5.7.1")
    assert (len(found), gets, queries) == (2, 3, 1)
    found, gets, queries = await find(parameters.SERIES, "SeriesInstanceUID=1.5.7.1,1.5.9.2,1.5.9.3")
    assert (len(found), gets, queries) == (2, 2, 1)
    found, gets, queries = await find(parameters.INSTANCES, "SeriesInstanceUID=1.5.7.1")
    assert (len(found), gets, queries) == (2, 3, 2)
    assert await find(parameters.INSTANCES, "SeriesInstanceUID=1.5.*") == ([], 0, 0)
    one = "SOPInstanceUID=1.5.7.1.2"
    found, gets, queries = await find(parameters.INSTANCES, f"{one},1.5.8.2.1,1.5.8.3.1")
    assert (len(found), gets, queries) == (2, 4, 1)
    found, gets, queries = await find(parameters.INSTANCES_OF_STUDY, one, study="1.5.7")
    assert (len(found), gets, queries) == (1, 2, 1)
    found, gets, queries = await find(parameters.INSTANCES_OF_SERIES, one, study="1.5.7", series="1.5.7.1")
    assert (len(found), gets, queries) == (1, 2, 0)
    found, gets, queries = await find(parameters.SERIES, "limit=3")
    assert (len(found), queries) == (3, 1)
    assert gets <= 3
