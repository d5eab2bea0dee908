"""Searches by value rows: what they read, over months, and what they do where a value leads to too much."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio

from shared.clock import HOUR, Ticks
from shared.composition import Services, open_services
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.query_string import requested_page
from shared.dicomweb.search_parameters import Resource, Search
from shared.services import search_values
from shared.settings import Settings
from shared.storage import months
from shared.storage.records import InstanceKey, NewInstance
from tests.support.searching import found_items
from tests.support.stepping import TestClock

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PARTITION = "Search.ByValue"
MONTH: Ticks = 30 * 24 * HOUR
MONTHS = 6
ODD = ["a/b#c?d|e%20'\"~7e", "Ünïcode 山田 \U0001f600", "x" * 200 + "1", "x" * 200 + "2", "\\back", "~", "7e"]

Find = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clock() -> TestClock:
    return TestClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(azurite_with_value_rows: str, clock: TestClock) -> AsyncIterator[Services]:
    """Five studies a month, oldest first, one of them of ultrasound; the youngest are of this month."""
    settings = Settings(storage_connection=azurite_with_value_rows, value_rows="on")
    opened = await open_services(settings, clock)
    await opened.reset()
    for number in range(5 * MONTHS):
        clock.ahead = -MONTH * (MONTHS - 1 - number // 5)
        modality = "US" if number == 12 else "CT"
        values = {"00100020": f"P{number}", "00080020": f"202401{number + 1:02d}", "00080050": f"A{number % 5}"}
        values |= {"00081030": ODD[number % len(ODD)], "00100010": f"Name{number % 3}^{number}"}
        await store(opened, clock, f"1.7.{number}", values, modality)
    clock.ahead = 0
    yield opened
    await opened.close()


async def store(
    services: Services, clock: TestClock, study: str, values: dict[str, str], modality: str = "CT", instance: str = "1"
) -> None:
    attributes: dict[str, dict[str, Any]] = {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}
    if name := values.get("00100010"):
        attributes["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}
    of_series = {"00080060": {"vr": "CS", "Value": [modality]}}
    key = InstanceKey(PARTITION, study, f"{study}.1", f"{study}.1.{instance}")
    new = NewInstance(
        key=key,
        file=f"{PARTITION}/{study}/{key.series}/{key.instance}/x.dcm",
        size=1,
        transfer_syntax="1.2.840.10008.1.2.1",
        study_attributes=attributes,
        series_attributes=of_series,
        metadata=orjson.dumps({**attributes, **of_series}),
        study_details=of_series,
    )
    await services.committer.store([new], replace=False, expires=None, began=clock())


@contextmanager
def counted(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Point reads, queries and the rows that queries gave, of a process that knows the months and remembers no rows."""
    services.recollection.clear()
    made = {"gets": 0, "queries": 0, "rows": 0}
    get, query = services.storage.get, services.storage.query

    async def counting_get(*arguments: Any) -> Any:
        made["gets"] += arguments[1] != "values"  # whether look-ups are complete: once a minute
        return await get(*arguments)

    async def counting_query(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        made["queries"] += 1
        async for row in query(*arguments, **named):
            made["rows"] += 1
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(months, "LOOK_AGAIN_SECONDS", float("inf"))
        patch.setattr(services.storage, "get", counting_get)
        patch.setattr(services.storage, "query", counting_query)
        yield made


async def found(services: Services, resource: Resource, *pairs: tuple[str, str]) -> list[str]:
    """The last numbers of the UIDs of the studies that the items belong to."""
    fuzzy = ("fuzzymatching", "true") in pairs
    filters = [pair for pair in pairs if pair[0] != "fuzzymatching"]
    search = Search(
        resource,
        requested_page(filters),
        parameters.requested_filters(filters, resource, fuzzy=fuzzy, extended={}),
        parameters.requested_fields(filters),
    )
    items = await found_items(services, PARTITION, search)
    return [item["0020000D"]["Value"][0].rpartition(".")[2] for item in items]


def numbers(*some: int) -> list[str]:
    return [str(number) for number in some]


@pytest.mark.parametrize(
    ("resource", "pair", "expected", "gets", "values", "queries"),
    [
        (parameters.STUDIES, ("PatientID", "p7"), [7], 1, 1, 0),
        (parameters.STUDIES, ("PatientID", "P2*"), [29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 2], 11, 1, 0),
        (parameters.STUDIES, ("PatientID", "P77"), [], 0, 1, 0),
        (parameters.STUDIES, ("StudyDate", "20240104-20240107"), [6, 5, 4, 3], 4, 1, 0),
        (parameters.STUDIES, ("StudyDate", "-20240102"), [1, 0], 2, 1, 0),
        (parameters.STUDIES, ("AccessionNumber", "a3"), [28, 23, 18, 13, 8, 3], 6, 1, 0),
        (parameters.STUDIES, ("ModalitiesInStudy", "US"), [12], 1, 1, 1),
        (parameters.SERIES, ("SeriesInstanceUID", "1.7.3.1,1.7.29.1"), [29, 3], 4, 2, 0),
        (parameters.SERIES, ("Modality", "us"), [12], 2, 1, 0),
        (parameters.SERIES, ("PatientID", "P7"), [7], 2, 1, 1),
        (parameters.INSTANCES, ("PatientID", "P7"), [7], 2, 1, 1),
    ],
)
async def test_requests_of_look_ups(
    services: Services,
    resource: Resource,
    pair: tuple[str, str],
    expected: list[int],
    gets: int,
    values: int,
    queries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """QRY-30 to QRY-42, QRY-70: a query for each of `values` and month, and a point read for each row that they lead
    to; for series and instances also the study row of each item, and a query of the study's partition."""
    there = await services.projections.months.of(PARTITION)
    assert await services.value_lookup.usable()
    with counted(services, monkeypatch) as made:
        assert await found(services, resource, pair) == numbers(*expected)
    assert (made["gets"], made["queries"]) == (gets, len(there) * values + queries)
    assert made["rows"] <= 4 * len(expected)


@pytest.mark.parametrize("pair", [("PatientID", "P*"), ("ModalitiesInStudy", "CT"), ("StudyDate", "20240101-")])
async def test_qry_70_pages_over_months(services: Services, pair: tuple[str, str]) -> None:
    """QRY-70, QRY-71"""
    every = [str(number) for number in reversed(range(5 * MONTHS)) if pair[1] != "CT" or number != 12]
    walked = []
    for offset in range(0, 35, 7):
        walked += await found(services, parameters.STUDIES, pair, ("limit", "7"), ("offset", str(offset)))
    assert walked == every


async def test_unfiltered_searches_read_month_by_month(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """QRY-70: no further than the page needs, and no value rows."""
    await services.projections.months.of(PARTITION)
    with counted(services, monkeypatch) as made:
        assert len(await found(services, parameters.STUDIES, ("limit", "5"))) == 5
    assert made["rows"] <= 6
    names = await found(services, parameters.STUDIES, ("PatientName", "name1"), ("fuzzymatching", "true"))
    assert names == numbers(*range(28, 0, -3))


@pytest.mark.parametrize("most", [0, 3, 10])
async def test_what_leads_to_too_much_is_scanned(
    services: Services, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QRY-19: the result is the same, whichever of the filters is looked up, or none."""
    monkeypatch.setattr(search_values, "MOST_CANDIDATES", most)
    monkeypatch.setattr(search_values, "MOST_STUDIES_OF_MODALITY", most)
    both = [("AccessionNumber", "A2"), ("PatientID", "P1*")]
    with counted(services, monkeypatch) as made:
        assert await found(services, parameters.STUDIES, *both) == numbers(17, 12)
    assert made["gets"] == (6 if most == 10 else 0)
    assert await found(services, parameters.STUDIES, *both, ("ModalitiesInStudy", "US")) == numbers(12)
    assert await found(services, parameters.SERIES, *both, ("Modality", "U*")) == numbers(12)
    assert await found(services, parameters.STUDIES, ("ModalitiesInStudy", "US,MR")) == numbers(12)


@pytest.mark.parametrize("value", ODD)
async def test_qry_19_odd_values(services: Services, value: str) -> None:
    """QRY-19: what keys may not have, and values that are longer than a key."""
    index = ODD.index(value)
    mine = [number for number in reversed(range(5 * MONTHS)) if number % len(ODD) == index]
    assert await found(services, parameters.STUDIES, ("StudyDescription", value)) == numbers(*mine)
    beginning = [number for number in reversed(range(5 * MONTHS)) if ODD[number % len(ODD)].startswith(value[:4])]
    if not set("*?") & set(value[:4]):
        assert await found(services, parameters.STUDIES, ("StudyDescription", value[:4] + "*")) == numbers(*beginning)


async def test_months_that_come_later(
    services: Services, azurite_with_value_rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QRY-70: the month that begins for another host is there at once; one in the past, of a host whose clock is wrong,
    when the months are looked at again."""
    settings = Settings(storage_connection=azurite_with_value_rows, value_rows="on")
    other_clock = TestClock()
    other = await open_services(settings, other_clock)
    try:
        await services.projections.months.of(PARTITION)
        other_clock.ahead = 23 * HOUR
        await store(other, other_clock, "1.8.1", {"00100020": "Later"})
        other_clock.ahead = -20 * MONTH
        await store(other, other_clock, "1.8.2", {"00100020": "Later"})
        assert await found(other, parameters.STUDIES, ("PatientID", "later")) == numbers(1, 2)
        assert (await found(services, parameters.STUDIES, ("PatientID", "later")))[:1] == numbers(1)
        monkeypatch.setattr(months, "LOOK_AGAIN_SECONDS", 0)
        assert await found(services, parameters.STUDIES, ("PatientID", "later")) == numbers(1, 2)
        for study in ("1.8.1", "1.8.2"):
            await other.committer.delete(PARTITION, study)
        assert await found(services, parameters.STUDIES, ("PatientID", "later")) == []
    finally:
        await other.close()
