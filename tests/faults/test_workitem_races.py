"""Clients of two worker processes race for workitems, on either store."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.support.made_files import new_uid
from tests.support.processes import LocalHost, local_host
from tests.support.worklist import DICOM_JSON, STATE, TRANSACTION, Dataset, short, study_of, text

pytestmark = pytest.mark.integration

CLIENTS = 12
ROUNDS = 12

HEADERS = {"Content-Type": DICOM_JSON, "Accept": DICOM_JSON}


@pytest.fixture(scope="module")
def host(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    """The app in two worker processes."""
    log = tmp_path_factory.mktemp("races") / "host.log"
    with local_host(store_settings, workers=2, log=log, under_func=under_func) as host:
        yield host


@pytest.fixture
async def client(host: LocalHost) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a host with two workers."""
    limits = httpx.Limits(max_keepalive_connections=0)  # a connection a request, so that both get their share
    async with httpx.AsyncClient(base_url=f"{host.url}/v2/workitems", timeout=60, limits=limits) as client:
        yield client


async def send(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> httpx.Response:
    return await client.request(method, path, content=b"" if body is None else json.dumps(body), headers=HEADERS)


async def create(client: httpx.AsyncClient, dataset: Dataset | None = None) -> str:
    uid = new_uid()
    assert (await send(client, "POST", f"?{uid}", short() if dataset is None else dataset)).status_code == 201
    return uid


async def change(client: httpx.AsyncClient, uid: str, state: str, transaction: str) -> httpx.Response:
    body = {STATE: text("CS", state), TRANSACTION: text("UI", transaction)}
    return await send(client, "PUT", f"/{uid}/state", body)


async def dataset(client: httpx.AsyncClient, uid: str) -> Dataset:
    found: Dataset = (await send(client, "GET", f"/{uid}")).raise_for_status().json()
    return found


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def number(answer: httpx.Response) -> str:
    """The number that a refused transition ends with."""
    return str(answer.json()).rstrip(".").rpartition(" ")[2]


LARGE: Dataset = {"00404021": study_of(1_000_000)}
"""A megabyte that does not fit in a row."""


@pytest.mark.parametrize("large", [False, True])
async def test_ups_10_one_claim_wins(client: httpx.AsyncClient, large: bool) -> None:
    """UPS-10: of many clients that claim a workitem at once exactly one gets it, and its transaction UID is the key."""
    for _ in range(3 if large else ROUNDS):
        uid = await create(client, short() | (LARGE if large else {}))
        transactions = [new_uid() for _ in range(CLIENTS)]
        answers = await asyncio.gather(*(change(client, uid, "IN PROGRESS", each) for each in transactions))
        assert statuses(answers) == {200: 1, 400: CLIENTS - 1}
        assert {number(answer) for answer in answers if answer.status_code == 400} == {"C301"}
        winner = transactions[[answer.status_code for answer in answers].index(200)]
        finals = await asyncio.gather(*(change(client, uid, "COMPLETED", each) for each in transactions))
        for transaction, final in zip(transactions, finals, strict=True):
            assert final.status_code == (200 if transaction == winner else 400)
        assert (await dataset(client, uid))[STATE] == text("CS", "COMPLETED")


async def test_ups_10_one_claim_wins_though_all_send_the_same(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-42"""
    for _ in range(ROUNDS):
        uid, transaction = await create(client), new_uid()
        answers = await asyncio.gather(*(change(client, uid, "IN PROGRESS", transaction) for _ in range(CLIENTS)))
        assert statuses(answers) == {200: 1, 400: CLIENTS - 1}
        assert {number(answer) for answer in answers if answer.status_code == 400} == {"C302"}


async def test_ups_10_ups_16_one_create_wins(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-16"""
    for round_ in range(ROUNDS):
        uid = new_uid()
        datasets = [short(f"P{number}") for number in range(CLIENTS)]
        if round_ == 0:
            datasets = [each | LARGE for each in datasets]
        answers = await asyncio.gather(*(send(client, "POST", f"?{uid}", each) for each in datasets))
        assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
        winner = datasets[[answer.status_code for answer in answers].index(201)]
        assert (await dataset(client, uid))["00100020"] == winner["00100020"]


async def test_ups_10_claim_or_cancellation(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-53: a workitem is claimed or canceled, never both."""
    outcomes: Counter[str] = Counter()
    for _ in range(ROUNDS):
        uid, transaction = await create(client), new_uid()
        claims = [change(client, uid, "IN PROGRESS", transaction)]
        cancellations = [send(client, "POST", f"/{uid}/cancelrequest") for _ in range(3)]
        claim, *canceled = await asyncio.gather(*claims, *cancellations)
        state = str((await dataset(client, uid))[STATE]["Value"][0])
        outcomes[state] += 1
        if claim.status_code == 200:
            assert state == "IN PROGRESS"
            assert [number(answer) for answer in canceled] == ["C312"] * 3
        else:
            assert (state, number(claim)) == ("CANCELED", "C300")
            assert statuses(canceled) == {202: 1, 409: 2}
    assert sum(outcomes.values()) == ROUNDS


async def test_ups_10_one_end(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-43: of an owner's parallel requests one finishes the workitem."""
    for _ in range(ROUNDS):
        uid, transaction = await create(client), new_uid()
        assert (await change(client, uid, "IN PROGRESS", transaction)).status_code == 200
        targets = ["COMPLETED", "CANCELED"] * (CLIENTS // 2)
        answers = await asyncio.gather(*(change(client, uid, target, transaction) for target in targets))
        state = str((await dataset(client, uid))[STATE]["Value"][0])
        for target, answer in zip(targets, answers, strict=True):
            assert answer.status_code == (200 if target == state else 400)
        assert [answer.status_code for answer in answers if "warning" not in answer.headers] == [200]


async def test_ups_10_ups_32_no_update_is_lost(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-32, UPS-36: each update that was answered by 200 is there, together with all the others."""
    for round_ in range(4):
        uid = await create(client, short() | (LARGE if round_ == 0 else {}))
        tags = [f"0009{number:04X}" for number in range(0x1001, 0x1001 + CLIENTS)]
        updates = [{tag: text("LO", f"value {tag}")} for tag in tags]
        answers = await asyncio.gather(*(send(client, "PUT", f"/{uid}", update) for update in updates))
        assert set(statuses(answers)) <= {200, 409}
        assert statuses(answers)[200] >= 1
        found = await dataset(client, uid)
        for tag, update, answer in zip(tags, updates, answers, strict=True):
            assert (found.get(tag) == update[tag]) is (answer.status_code == 200)


async def test_ups_10_ups_68_searches_meanwhile(client: httpx.AsyncClient) -> None:
    """UPS-10, UPS-68: a search that runs while workitems change shows each at most once, in a state that it had."""
    patient = new_uid()
    uids = [await create(client, short(patient) | (LARGE if each < 2 else {})) for each in range(12)]
    running = True

    async def search(state: str) -> int:
        count = 0
        while running:
            answer = await send(client, "GET", f"?PatientID={patient}&ProcedureStepState={state}")
            assert answer.status_code in (200, 204), answer.text
            items = answer.json() if answer.status_code == 200 else []
            found = [item["00080018"]["Value"][0] for item in items]
            assert len(set(found)) == len(found)
            assert all(item[STATE]["Value"] == [state] for item in items)
            count += 1
        return count

    async def work(uid: str) -> None:
        transaction = new_uid()
        assert (await send(client, "PUT", f"/{uid}", {"00400400": text("LT", "x")})).status_code == 200
        assert (await change(client, uid, "IN PROGRESS", transaction)).status_code == 200
        assert (await send(client, "PUT", f"/{uid}?{transaction}", {"00400400": text("LT", "y")})).status_code == 200
        assert (await change(client, uid, "COMPLETED", transaction)).status_code == 200

    searches = [asyncio.create_task(search(state)) for state in ("SCHEDULED", "IN PROGRESS", "COMPLETED")]
    await asyncio.gather(*map(work, uids))
    running = False
    assert min(await asyncio.gather(*searches)) > 0
    answer = await send(client, "GET", f"?PatientID={patient}&ProcedureStepState=COMPLETED")
    assert {item["00080018"]["Value"][0] for item in answer.json()} == set(uids)
