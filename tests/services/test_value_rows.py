"""Value rows follow the rows of studies and series through their lives, and come to those that had none."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from shared.clock import HOUR, from_datetime
from shared.composition import Services, open_services
from shared.settings import Settings
from shared.storage import names
from shared.storage.azure import AzureStorage
from shared.storage.garbage import Ages, GarbageCollector
from shared.storage.months import Months
from shared.storage.primitives import ANY, Delete, Entity, Storage
from shared.storage.records import DEFAULT_PARTITION
from shared.storage.value_completion import ValueCompletion
from shared.storage.value_lookup import ValueLookup
from shared.storage.value_rows import beginning_with
from tests.support.invariants import check_store, check_value_rows
from tests.support.stepping import Process

pytestmark = pytest.mark.integration

NAME = "00100010"


@pytest.fixture
async def storage(azurite_with_value_rows: str) -> AsyncIterator[Storage]:
    """An empty store, written with value rows; `storage.value_rows = False` is a process that writes none."""
    engine = AzureStorage(Settings(storage_connection=azurite_with_value_rows, value_rows="on"))
    await engine.prepare()
    await engine.reset()
    yield engine
    await engine.close()


def process_without(storage: Storage) -> Process:
    """A process that writes no value rows."""
    process = Process(storage, "old")
    process.gate.value_rows = False
    return process


async def value_rows(storage: Storage) -> list[str]:
    return [entity.row async for entity in storage.query(names.STUDIES, rows=("value|", "value}"))]


async def look_up(process: Process, name: str) -> list[str]:
    """The rows that names with this beginning lead to."""
    rows = [beginning_with(NAME, name)]
    found = await process.services.value_lookup.candidates(DEFAULT_PARTITION, rows, 100)
    assert found is not None
    return [row.split("|")[2] for _, row in found]


async def test_a_life(storage: Storage) -> None:
    """QRY-60, STO-150: values come, change and go with what has them; of a tombstone there are none, and nothing stays
    when it is removed (rule 35)."""
    a, b = Process(storage, "A"), Process(storage, "B")
    await a.store("1", name="First")
    assert await look_up(a, "first") == ["1.2"]
    await b.store("2", name="Second")  # by a process that has to read the row
    await b.store("3", name="Third")  # and by one that remembers it
    assert (await look_up(a, "first"), await look_up(a, "second"), await look_up(a, "third")) == ([], [], ["1.2"])
    await check_value_rows(storage)
    await a.store("1", study="1.3", series="1.3.1", name="Thirst")
    assert await look_up(b, "thir") == ["1.3", "1.2"]
    await a.delete(series="1.2.3")
    assert await look_up(b, "thir") == ["1.3"]
    await check_value_rows(storage)
    await b.delete(study="1.3")
    assert await value_rows(storage) == []
    for study in ("1.2", "1.3"):
        await a.repair(study)
    a.clock.ahead = 73 * HOUR
    garbage = GarbageCollector(a.gate, a.services.files, a.services.change_feed, a.clock, Ages())
    await garbage.remove_old_rows()
    assert [entity.row async for entity in storage.query(names.STUDIES)] == ["stamp"]


async def test_more_series_than_one_transaction_takes(storage: Storage) -> None:
    """Each row goes into one transaction with its value rows, of at most 100 operations (rule 10)."""
    a = Process(storage, "A")
    for number in range(14):
        await a.store("1", study="1.2", series=f"1.2.{number}", name=f"Name {number}")
    await check_value_rows(storage)
    await a.delete(study="1.2")  # ends all of them at once
    assert await value_rows(storage) == []
    await a.repair()
    await check_store(a.services, storage)


async def test_a_value_row_that_is_missing(storage: Storage) -> None:
    """A change that would delete a value row which is not there does without it."""
    a = Process(storage, "A")
    await a.store("1", name="First")
    lost = [row for row in await value_rows(storage) if "|first|" in row]
    (month,) = [entity.partition async for entity in storage.query(names.STUDIES, rows=(lost[0], lost[0] + "!"))]
    await storage.write(names.STUDIES, Delete(month, lost[0], ANY))
    await a.store("2", name="Second")
    assert await look_up(a, "second") == ["1.2"]
    await check_value_rows(storage)


async def test_a_store_that_had_none(storage: Storage) -> None:
    """Until a walk that began an hour after the first finds nothing without value rows, look-ups are not used."""
    old, a = process_without(storage), Process(storage, "A")
    for number in range(30):
        await old.store("1", study=f"1.5.{number}", series=f"1.5.{number}.1", name=f"Old {number}")
    assert await value_rows(storage) == []
    values, completion = a.services.value_lookup, a.services.value_completion
    assert not await values.usable()
    await completion.advance()
    await check_value_rows(storage)
    await old.store("2", study="1.5.3", series="1.5.3.1", name="Late")  # by a host that is about to go
    await old.delete(study="1.5.7")
    await completion.advance()
    a.clock.ahead = HOUR
    await old.store("3", study="1.5.4", series="1.5.4.1", name="Latest")
    await completion.advance()
    assert not await values.usable(), "there was still something to do"
    await completion.advance()
    assert await values.usable()
    assert await look_up(a, "la") == ["1.5.4", "1.5.3"]
    assert "1.5.29" in await look_up(a, "old")
    await a.store("1", study="1.6", name="New")
    await a.delete(study="1.5.3")
    assert await look_up(a, "la") == ["1.5.4"]


async def test_a_new_store(storage: Storage) -> None:
    """Nothing was found without value rows, but a host of before may still run."""
    a = Process(storage, "A")
    for hours, usable in ((0, False), (0, False), (1, True)):
        a.clock.ahead = hours * HOUR
        await a.services.value_completion.advance()
        assert await a.services.value_lookup.usable() is usable


@pytest.mark.parametrize("moment", ["2026-01-31T23:30", "2026-02-01T00:30"])
async def test_months_of_hosts_whose_clocks_differ(storage: Storage, moment: str) -> None:
    """By less than a day (rule 5): the month that has begun for another host, or has not ended yet."""
    now = from_datetime(datetime.fromisoformat(f"{moment}:00+00:00"))
    there = await Months(storage, lambda: now).of("Some")
    assert there == [f"Some|{999999 - month:06d}" for month in (202602, 202601)]


async def test_a_walk_that_is_killed_goes_on(storage: Storage) -> None:
    """What has value rows is passed over by the next one."""
    old, a, b = process_without(storage), Process(storage, "A"), Process(storage, "B")
    for number in range(20):
        await old.store("1", study=f"1.5.{number}", series=f"1.5.{number}.1", name="Old")
    a.begin(a.services.value_completion.advance())
    await (await a.reach("transact studies")).let_pass()
    await (await a.reach("transact studies")).let_pass()
    a.kill()
    given = len(await look_up(b, "old"))
    assert 0 < given < 20
    await ValueCompletion(storage, b.clock, grace=0).advance()
    await check_value_rows(storage)


async def test_a_change_during_the_walk(storage: Storage) -> None:
    """The walk read the old values; who changed them meanwhile wrote the value rows."""
    old, a, b = process_without(storage), Process(storage, "A"), Process(storage, "B")
    await old.store("1", study="1.5", name="Old")
    await old.store("1", study="1.6", name="Older")
    task = a.begin(a.services.value_completion.advance())
    await a.reach("transact studies")
    await b.store("2", study="1.5", name="New")
    await a.finish(task)
    await check_value_rows(storage)
    assert (await look_up(b, "new"), await look_up(b, "old")) == (["1.5"], ["1.6"])


async def test_emptied_while_walked_over(storage: Storage) -> None:
    """The walk says nothing of a store that is not the one it went over."""
    old, a = process_without(storage), Process(storage, "A")
    walk = ValueCompletion(a.gate, a.clock, grace=0)
    await walk.advance()
    assert await ValueLookup(storage, a.services.projections.months).usable()
    await storage.reset()
    task = a.begin(walk.advance())
    await a.reach("replace studies")
    await storage.reset()
    await old.store("1")
    await a.finish(task)
    assert not await ValueLookup(storage, a.services.projections.months).usable()


async def opened(azurite: str, value_rows: str) -> Services:
    return await open_services(
        Settings.model_validate({"AzureWebJobsStorage": azurite, "DICOM_VALUE_ROWS": value_rows})
    )


@pytest.mark.parametrize("without", ["off", "auto"])
async def test_processes_with_and_without(storage: Storage, azurite_with_value_rows: str, without: str) -> None:
    """Whoever writes no value rows leaves the store incomplete before it writes anything; `auto` on Azurite is off."""
    first = await opened(azurite_with_value_rows, "on")
    await first.reset()
    assert await first.value_lookup.usable()
    await first.close()
    second = await opened(azurite_with_value_rows, without)
    assert not await second.value_lookup.usable()
    await second.close()
    third = await opened(azurite_with_value_rows, "on")
    assert not await third.value_lookup.usable()
    await third.close()


async def test_a_store_of_one_kind_says_nothing(storage: Storage) -> None:
    """Where there are no value rows, nothing is written for them."""
    storage.value_rows = False
    old = process_without(storage)
    await old.services.value_completion.open()
    await old.services.value_completion.emptied()
    await old.services.value_completion.advance()
    await old.store("1", name="Name")
    rows: list[Entity] = [entity async for entity in storage.query(names.STUDIES)]
    assert sorted(entity.row.partition("|")[0] for entity in rows) == ["series", "stamp", "study"]
    assert not any("values" in entity.values for entity in rows)
