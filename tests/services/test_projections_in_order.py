"""Rows of `studies` come newest first over months, however few are asked for at first."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.clock import SECOND
from shared.composition import Services, open_services
from shared.settings import Settings
from shared.storage.primitives import Compare
from shared.storage.projections import Shown
from shared.storage.rows import Mark

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MONTH = 31 * 24 * 3600 * SECOND
START = 1_704_000_000 * SECOND


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(azurite: str) -> AsyncIterator[Services]:
    opened = await open_services(Settings(storage_connection=azurite))
    yield opened
    await opened.close()


async def test_qry_70_newest_first_over_months(services: Services) -> None:
    """QRY-70"""
    partition = "Projections.Order"
    expected: list[tuple[str, int]] = []
    for number in range(12):
        created = START + number // 3 * MONTH + number
        study = f"1.2.{number * 7 % 12}"
        expected.insert(0, (study, created))
        marks = [Shown(Mark("", created, created), {"00100020": {"vr": "LO", "Value": [f"P{number % 2}"]}})]
        marks.append(Shown(Mark(f"{study}.1", created, created), {}))
        await services.projections.write((partition, study), marks, lambda: True)
    for first in (None, *range(1, 15)):
        studies = [each async for each in services.projections.studies(partition, first=first)]
        assert [(each.study, each.created) for each in studies] == expected
        series = [each async for each in services.projections.series(partition, first=first)]
        assert [(each.series, each.created) for each in series] == [(f"{uid}.1", created) for uid, created in expected]
        odd = services.projections.studies(partition, Compare("q00100020", "eq", "p1"), first=first)
        assert [(each.study, each.created) async for each in odd] == expected[::2]
