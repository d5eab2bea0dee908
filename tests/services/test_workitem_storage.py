"""Workitems on either storage: what each transaction costs, and searches against a plain reference."""

import random
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio

from shared.composition import Services, open_services
from shared.dicom.workitem_attributes import SEARCHABLE, StepState
from shared.dicomweb.query_string import query_pairs
from shared.dicomweb.workitem_datasets import read_dataset
from shared.dicomweb.workitem_search_parameters import WorkitemSearch, workitem_search
from shared.errors import DicomServiceError
from shared.services import workitem_search as searches
from shared.services import workitems
from shared.services.workitem_contents import search_forms
from shared.services.workitems import StateRequest
from shared.settings import Settings
from shared.storage.azure_odata import MOST_COMPARISONS
from tests.support.worklist import STATE, Dataset, code, complete, performed, request, short, study_of, text

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["azurite", "embedded"])
async def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    settings = Settings(store="embedded", store_path=str(tmp_path_factory.mktemp("store")))
    if request.param == "azurite":
        settings = Settings(storage_connection=request.getfixturevalue("azurite"))
    opened = await open_services(settings)
    yield opened
    await opened.close()


# ---------------------------------------------------------------- requests

Cost = dict[str, int]


@pytest.fixture
def cost(services: Services, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cost]:
    """The requests to storage since the last call, by kind."""
    made: Cost = {}

    def count(kind: str) -> None:
        inner = getattr(services.storage, kind)

        def counting(*arguments: Any, **named: Any) -> Any:
            made[kind] = made.get(kind, 0) + 1
            return inner(*arguments, **named)

        monkeypatch.setattr(services.storage, kind, counting)

    for kind in ("get", "write", "transact", "query", "put_blob", "get_blob", "delete_blob", "list_blobs"):
        count(kind)

    def taken() -> Cost:
        copy = dict(made)
        made.clear()
        return copy

    return taken


async def search(services: Services, partition: str, query: str) -> list[Dataset]:
    items = searches.search_workitems(services, partition, workitem_search(query_pairs(query.encode())))
    return [orjson.loads(item) async for item in items if item is not None]


@pytest.mark.parametrize("large", [False, True])
async def test_ups_94_requests_of_each_transaction(services: Services, cost: Callable[[], Cost], large: bool) -> None:
    """UPS-94: one write and, where something is decided, one read before it; a blob more for a large data set, but a
    claim does not touch it."""
    partition, uid = secrets.token_hex(6), "1.2.3"
    blob = int(large)

    def expected(**counts: int) -> Cost:
        return {kind: number for kind, number in counts.items() if number}

    async def change(target: StepState) -> None:
        await workitems.change_workitem_state(services, partition, uid, StateRequest(target, "9.9"))

    sent = complete() | ({"00404021": study_of(400_000)} if large else {})
    await workitems.create_workitem(services, partition, uid, sent, 1000)
    assert cost() == expected(write=1, put_blob=blob)
    await workitems.retrieve_workitem(services, partition, uid)
    assert cost() == expected(get=1, get_blob=blob)
    await change(StepState.IN_PROGRESS)
    assert cost() == expected(get=1, write=1)
    await workitems.update_workitem(services, partition, uid, "9.9", performed(), 1000)
    assert cost() == expected(get=1, write=1, get_blob=blob, put_blob=blob)
    await change(StepState.COMPLETED)
    assert cost() == expected(get=1, write=1, get_blob=blob)
    assert len(await search(services, partition, "PatientID=PAT001")) == 1
    assert cost() == expected(query=1, get=blob, get_blob=blob)
    assert await search(services, partition, "PatientID=other") == []
    assert cost() == expected(query=1)


async def test_ups_69_a_page_of_small_ones_is_one_query(services: Services, cost: Callable[[], Cost]) -> None:
    """UPS-69: their data sets come along with the rows."""
    partition = secrets.token_hex(6)
    for number in range(120):
        await workitems.create_workitem(services, partition, f"1.{number}", short(f"P{number % 2}"), 1000)
    cost()
    assert len(await search(services, partition, "")) == 100
    assert len(await search(services, partition, "PatientID=p1&limit=200")) == 60
    assert cost() == {"query": 2}


async def test_ups_94_what_the_row_knows_is_not_looked_up(services: Services, cost: Callable[[], Cost]) -> None:
    """UPS-94: a workitem with more values than its row holds is read only if they decide."""
    partition = secrets.token_hex(6)
    many = {"0040A370": text("SQ", *(request(f"A{number}{'y' * 200}") for number in range(100)))}
    await workitems.create_workitem(services, partition, "1.2", short() | many | {"00404021": study_of(400_000)}, 1000)
    cost()
    assert await search(services, partition, "PatientID=other") == []
    assert await search(services, partition, "ProcedureStepState=CANCELED&0040A370.00080050=a1") == []
    assert cost() == {"query": 2}
    assert await search(services, partition, "0040A370.00080050=a1") == []
    assert cost() == {"query": 1, "get": 1, "get_blob": 1}
    assert len(await search(services, partition, f"0040A370.00080050=a1{'y' * 200}")) == 1
    assert cost() == {"query": 1, "get": 2, "get_blob": 2}


async def test_filters_fit_into_one_query(services: Services) -> None:
    """UPS-62: all of them at once, ranges and odd values among them."""
    partition = secrets.token_hex(6)
    dataset = complete() | {"0020000D": text("UI", "1.2.3")}
    await workitems.create_workitem(services, partition, "1.2", dataset, 1000)
    filters = {
        "PatientName": "doe^john",
        "PatientID": "pat001",
        "StudyInstanceUID": "1.2.3",
        "ProcedureStepState": "scheduled",
        "ScheduledProcedureStepStartDateTime": "2024-2025",
        "ReferencedRequestSequence.AccessionNumber": "acc1",
        "ReferencedRequestSequence.RequestedProcedureID": "rp1",
        "ScheduledStationNameCodeSequence.CodeValue": "station1",
        "ScheduledStationClassCodeSequence.CodeValue": "class1",
        "ScheduledStationGeographicLocationCodeSequence.CodeValue": "place1",
    }
    assert len(filters) == len(SEARCHABLE)
    assert len(filters) + 1 <= MOST_COMPARISONS
    assert len(await search(services, partition, "&".join(f"{key}={value}" for key, value in filters.items()))) == 1
    for key in filters:
        others = filters | {key: "1999-2000" if "Start" in key else "other"}
        assert await search(services, partition, "&".join(f"{k}={value}" for k, value in others.items())) == []


# ---------------------------------------------------------------- against a reference

NAMES = ["Doe^John", "Doe^Jane", "Müller^Zoé", "O'Neil^Ann", ""]
CODES = ["A", "a", "B", "B C", "it's", "x" * 200, "ß"]
STARTS = ["2024", "20240501", "20240501100000", "20240501100000.5", "soon", "20250101+0100"]
RANGES = ["2024-2024", "20240501100000-", "-20240501100000.4", "2024-2025"]


def made(chance: random.Random) -> Dataset:
    """A workitem with values by chance, some of them several, long, large or missing."""

    def codes() -> dict[str, Any]:
        return text("SQ", *(code(chance.choice(CODES)) for _ in range(chance.choice([0, 1, 1, 1, 2, 3]))))

    requests = [request(chance.choice(CODES), chance.choice(CODES)) for _ in range(chance.choice([0, 1, 2]))]
    if chance.random() < 0.1:
        requests = [request(f"R{number}{'y' * 200}", "A") for number in range(100)]
    dataset: Dataset = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": chance.choice(NAMES)}]},
        "00100020": text("LO", chance.choice(["P1", "p1", "P2"]), "ignored"),
        "0020000D": text("UI", chance.choice(["1.2", "1.3"])),
        "00404005": text("DT", chance.choice(STARTS)),
        "0040A370": text("SQ", *requests),
        "00404025": codes(),
        "00404026": codes(),
        "00404027": codes(),
    }
    if chance.random() < 0.1:
        dataset["00404021"] = study_of(chance.choice([20_000, 300_000]))
    return {tag: element for tag, element in dataset.items() if chance.random() < 0.8}


def asked(chance: random.Random) -> str:
    """A query by chance."""
    possible = {
        "PatientName": ["doe^john", "MULLER^ZOE", "doe", "do ja", "o'neil"],
        "PatientID": ["p1", "P2", "ignored"],
        "StudyInstanceUID": ["1.2", "1.3,1.2"],
        "ProcedureStepState": ["SCHEDULED", "in progress", "CANCELED"],
        "ScheduledProcedureStepStartDateTime": STARTS[:4] + RANGES,
        "ReferencedRequestSequence.AccessionNumber": [*CODES, f"r99{'y' * 200}"],
        "ReferencedRequestSequence.RequestedProcedureID": CODES,
        "ScheduledStationNameCodeSequence.CodeValue": CODES,
        "ScheduledStationClassCodeSequence.CodeValue": CODES,
        "ScheduledStationGeographicLocationCodeSequence.CodeValue": CODES,
    }
    keys = chance.sample(sorted(possible), chance.choice([0, 1, 1, 2, 3]))
    pairs = [f"{key}={chance.choice(possible[key])}" for key in keys]
    pairs += [f"limit={chance.choice([1, 3, 200])}", f"offset={chance.choice([0, 0, 2, 40])}"]
    return "&".join([*pairs, "fuzzymatching=true"] if chance.random() < 0.3 else pairs)


def reference(stored: list[Dataset], search_: WorkitemSearch) -> list[str]:
    """UIDs of what should be found, newest first."""
    found = []
    for dataset in reversed(stored):
        forms = search_forms(dataset) | {STATE: (dataset[STATE]["Value"][0].lower(),)}
        values = [(each, forms.get(each.attribute.column, ())) for each in search_.filters]
        if all(any(each.matcher.matches(form) for form in several) for each, several in values):
            found.append(dataset["00080018"]["Value"][0])
    return found[search_.page.offset : search_.page.end]


async def test_ups_60_to_ups_67_random_searches(services: Services) -> None:
    """UPS-60 to UPS-67 (200 searches of 60 workitems that change meanwhile): the plan never changes a result."""
    chance, partition = random.Random(7), secrets.token_hex(6)
    stored: list[Dataset] = []
    for number in range(60):
        uid = f"1.{number}"
        sent = read_dataset(orjson.dumps(made(chance)))
        await workitems.create_workitem(services, partition, uid, sent, 1000)
        stored.append(orjson.loads(await workitems.retrieve_workitem(services, partition, uid)))
    hits = 0
    for _ in range(200):
        changed = chance.randrange(len(stored))
        uid = stored[changed]["00080018"]["Value"][0]
        try:
            what = chance.choice(["claim", "cancel", "update"])
            if what == "claim":
                wanted = StateRequest(StepState.IN_PROGRESS, "9.9")
                await workitems.change_workitem_state(services, partition, uid, wanted)
            elif what == "cancel":
                await workitems.request_cancellation(services, partition, uid, {}, 0)
            else:
                sent = {"00404025": text("SQ", code(chance.choice(CODES)))}
                await workitems.update_workitem(services, partition, uid, None, sent, 1000)
        except DicomServiceError:
            pass
        stored[changed] = orjson.loads(await workitems.retrieve_workitem(services, partition, uid))
        query = asked(chance)
        expected = reference(stored, workitem_search(query_pairs(query.encode())))
        found = await search(services, partition, query)
        assert [item["00080018"]["Value"][0] for item in found] == expected, query
        hits += bool(expected)
    assert hits > 50
