"""What a process remembers of series and instance rows is shown only while it is true (protocol, section 2)."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
import pytest_asyncio

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.errors import NotFound
from shared.services.retrieve_metadata import find_metadata
from shared.settings import Settings
from shared.storage import recollection
from shared.storage.index import Index
from shared.storage.recollection import Recollection
from shared.storage.records import InstanceKey, InstanceRecord, NewInstance, UpdatedInstance
from shared.storage.tag_columns import stamped
from shared.storage.tag_indexing import StudyValues

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PARTITION = "Recollection"
SERIES = ("1.1", "1.2", "1.3")
INSTANCES = ("1", "2", "3", "4")


@dataclass
class Processes:
    """Two that write and remember, and a reader that remembers nothing."""

    one: Services
    other: Services
    plain: Index

    @property
    def writers(self) -> tuple[Services, Services]:
        return self.one, self.other


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(azurite: str) -> AsyncIterator[Processes]:
    one, other = [await open_services(Settings(storage_connection=azurite)) for _ in range(2)]
    yield Processes(one, other, Index(one.storage, one.files, Recollection(0)))
    await one.close()
    await other.close()


@pytest.fixture
def study() -> str:
    return f"1.{secrets.randbelow(10**12)}"


def new(study: str, series: str, instance: str) -> NewInstance:
    key = InstanceKey(PARTITION, study, series, f"{series}.{instance}")
    return NewInstance(
        key=key,
        file=f"{PARTITION}/{study}/{series}/{key.instance}/{secrets.token_hex(4)}.dcm",
        size=1,
        transfer_syntax="1.2.840.10008.1.2.1",
        study_attributes={"00100020": {"vr": "LO", "Value": [secrets.token_hex(2)]}},
        series_attributes={"00080060": {"vr": "CS", "Value": [secrets.token_hex(2)]}},
        metadata=orjson.dumps({"00080018": {"vr": "UI", "Value": [key.instance]}, "x": secrets.token_hex(20)}),
        frames=secrets.token_bytes(8),
    )


async def store(services: Services, *instances: NewInstance, replace: bool = False) -> None:
    await services.committer.store(instances, replace=replace, expires=None, began=wall_clock())


async def update(services: Services, study: str, series: str | None) -> None:
    """A bulk update of the instances of a series or the study."""
    operation = secrets.token_hex(16)
    found = await services.index.instances(PARTITION, study, series)
    items = [
        UpdatedInstance(new(study, each.key.series, each.key.instance.rpartition(".")[2]), each.file, operation)
        for each in found
    ]
    await services.committer.update((PARTITION, study), items, began=wall_clock())


async def change(services: Services, study: str, random: random.Random) -> None:
    """Something of everything that changes rows."""
    series, instance = random.choice(SERIES), random.choice(INSTANCES)
    kind = random.random()
    if kind < 0.6:
        some = {(random.choice(SERIES), random.choice(INSTANCES)) for _ in range(random.choice((1, 1, 4)))}
        await store(services, *(new(study, *each) for each in some), replace=random.random() < 0.5)
        return
    try:
        if kind < 0.7:
            await update(services, study, random.choice((series, None)))
        elif kind < 0.8:
            await services.committer.delete(PARTITION, study, series, f"{series}.{instance}")
        elif kind < 0.87:
            await services.committer.delete(PARTITION, study, series)
        elif kind < 0.92:
            await services.committer.delete(PARTITION, study)
        else:
            values = stamped({"00100040.9": {"vr": "CS", "Value": [secrets.token_hex(2)]}}, wall_clock())
            await services.committer.index_tags(PARTITION, study, StudyValues(values, {series: values}))
    except NotFound:
        pass


async def arrays(services: Services, plain: Index, study: str) -> None:
    """RET-61, RET-75: what is sent as metadata, from memory or not, is what is stored."""
    for series in (None, *SERIES):
        try:
            found = await find_metadata(services.index, PARTITION, study, series)
        except NotFound:
            continue
        there = await plain.instances(PARTITION, study, series, metadata=True)
        objects = [await plain.metadata(each) for each in there]
        for _ in range(2):
            assert services.metadata_arrays.of(found) == b"[" + b",".join(objects) + b"]"


async def shown(index: Index, study: str) -> list[object]:
    """All that an index says of the study, in every way of asking."""
    keys = [InstanceKey(PARTITION, study, series, f"{series}.{each}") for series in SERIES for each in INSTANCES]
    answers: list[object] = [await index.series(PARTITION, study)]
    for metadata in (False, True):
        for series in (None, *SERIES):
            found = await index.instances(PARTITION, study, series, metadata=metadata)
            answers.append([_as_asked(each, metadata) for each in found])
            originals = await index.originals(found, metadata=metadata)
            answers.append([_as_asked(each, metadata) for each in originals])
        for some in (keys, keys[:2]):
            current = await index.current(some, metadata=metadata)
            answers.append({key: each if metadata else (each.version, each.file) for key, each in current.items()})
    return answers


def _as_asked(record: InstanceRecord, metadata: bool) -> InstanceRecord:
    return record if metadata else replace(record, packed_metadata=None)


def check_sizes(memory: Recollection) -> None:
    sizes = [recollection._size(known) for known in memory._studies.values()]
    assert sizes == [known.size for known in memory._studies.values()]
    assert sum(sizes) == memory._size <= memory._limit


@pytest.mark.parametrize("limit", [recollection.MOST_BYTES, 100_000])
@pytest.mark.parametrize("seed", range(2))
async def test_what_is_shown_is_what_is_there(
    processes: Processes, study: str, seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RET-28, RET-70, QRY-01, CHG-13: after each change by either process both show what is stored, also while others
    read, and the room that is taken is counted right. 25 changes each."""
    choose = random.Random(seed)
    for services in processes.writers:
        services.recollection.clear()
        monkeypatch.setattr(services.recollection, "_limit", limit)
    stop = asyncio.Event()

    async def read_on(services: Services) -> None:
        while not stop.is_set():
            await shown(services.index, study)
            await asyncio.sleep(0.05)

    readers = [asyncio.create_task(read_on(each)) for each in processes.writers]
    try:
        for _ in range(25):
            await change(choose.choice(processes.writers), study, choose)
            expected = await shown(processes.plain, study)
            for services in processes.writers:
                assert await shown(services.index, study) == expected
                await arrays(services, processes.plain, study)
                check_sizes(services.recollection)
    finally:
        stop.set()
        await asyncio.gather(*readers)


async def test_many_studies_are_forgotten_in_turn(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = processes.one.recollection
    memory.clear()
    monkeypatch.setattr(memory, "_limit", 60_000)
    studies = [f"1.{secrets.randbelow(10**12)}" for _ in range(30)]
    for study in studies:
        await store(processes.one, new(study, "1.1", "1"))
        check_sizes(memory)
    remembered = [study for _, study in memory._studies]
    assert 5 < len(remembered) < 30
    assert remembered == studies[-len(remembered) :]
    large = [new(studies[0], "1.1", str(number)) for number in range(40)]
    await store(processes.one, *large)
    assert (PARTITION, studies[0]) not in memory._studies


# ---------------------------------------------------------------- requests

Ask = Callable[[Index, str], Awaitable[object]]

QUESTIONS: dict[str, Ask] = {
    "series": lambda index, study: index.series(PARTITION, study),
    "instances of the study": lambda index, study: index.instances(PARTITION, study, metadata=True),
    "instances of a series": lambda index, study: index.instances(PARTITION, study, "1.1", metadata=True),
    "some instances": lambda index, study: index.current(
        [InstanceKey(PARTITION, study, "1.1", f"1.1.{each}") for each in INSTANCES], metadata=True
    ),
}


@pytest.fixture
def asked(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests of the first process."""
    made: list[str] = []

    def count(kind: str) -> None:
        inner = getattr(processes.one.storage, kind)

        def counting(*given: Any, **named: Any) -> Any:
            made.append(kind)
            return inner(*given, **named)

        monkeypatch.setattr(processes.one.storage, kind, counting)

    count("get")
    count("query")
    return made


@pytest.mark.parametrize("question", QUESTIONS)
async def test_what_was_stored_here_costs_one_point_read(
    processes: Processes, study: str, asked: list[str], question: str
) -> None:
    """RET-70, QRY-01."""
    await store(processes.one, *(new(study, "1.1", each) for each in INSTANCES[:2]))
    await store(processes.one, *(new(study, each, "3") for each in SERIES))
    asked.clear()
    await QUESTIONS[question](processes.one.index, study)
    assert asked == ["get"]


@pytest.mark.parametrize("question", [name for name in QUESTIONS if name != "some instances"])
async def test_what_was_read_before_costs_one_point_read(
    processes: Processes, study: str, asked: list[str], question: str
) -> None:
    """RET-70, QRY-01: once the study row had been seen before the rows were read."""
    await store(processes.other, *(new(study, each, "1") for each in SERIES))
    for _ in range(2):
        asked.clear()
        await QUESTIONS[question](processes.one.index, study)
        assert "query" in asked
    asked.clear()
    await QUESTIONS[question](processes.one.index, study)
    assert asked == ["get"]
    await store(processes.other, new(study, "1.1", "2"))
    asked.clear()
    await QUESTIONS[question](processes.one.index, study)
    assert "query" in asked
