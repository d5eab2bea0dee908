"""Schedules, and when timers run. One test for each row of the facts."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from shared.devhost.errors import HostError
from shared.devhost.ncrontab import schedule
from tests.devhost.conftest import StartHost, add_route, new_app

pytestmark = pytest.mark.integration

EVERY_SECOND = "* * * * * *"
ONCE_A_YEAR = "0 0 0 1 1 *"


def occurrences(expression: str, after: datetime, count: int) -> list[str]:
    following = schedule(expression)
    found = []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = following(moment)
        found.append(moment.strftime("%a %Y-%m-%d %H:%M:%S") if moment else "never")
    return found


NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def test_schedule_fields() -> None:
    assert occurrences("30 5 * * * *", NOON, 2) == ["Wed 2026-11-25 12:05:30", "Wed 2026-11-25 13:05:30"]
    assert occurrences("5 * * * *", NOON, 2) == ["Wed 2026-11-25 12:05:00", "Wed 2026-11-25 13:05:00"]
    assert occurrences("00:30:00", NOON, 2) == ["Wed 2026-11-25 12:30:00", "Wed 2026-11-25 13:00:00"]
    assert occurrences("1.00:00:00", NOON, 1) == ["Thu 2026-11-26 12:00:00"]
    for wrong in ("", "* * * *", "* * * * * * *", "hourly", "00:00:00"):
        with pytest.raises(HostError):
            schedule(wrong)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("*/20", [0, 20, 40]),
        ("50/4", [50, 54, 58]),
        ("10-14/2", [10, 12, 14]),
        ("1,3-5,59", [1, 3, 4, 5, 59]),
    ],
)
def test_schedule_values(field: str, seconds: list[int]) -> None:
    texts = occurrences(f"{field} * * * * *", NOON - timedelta(seconds=1), len(seconds))
    assert [int(text[-2:]) for text in texts] == seconds
    assert occurrences("0 0 9 * feb,Mar Monday-wed", NOON, 2) == ["Mon 2027-02-01 09:00:00", "Tue 2027-02-02 09:00:00"]
    assert occurrences("0 0 9 * * 0", NOON, 1) == ["Sun 2026-11-29 09:00:00"]
    for wrong in ("60", "5-1", "*/0", "x", "1-", "-1", "1,,2", "+1"):
        with pytest.raises(HostError):
            schedule(f"{wrong} * * * * *")
    with pytest.raises(HostError, match="day of week"):
        schedule("0 0 9 * * 7")


def test_both_day_fields() -> None:
    assert occurrences("0 0 0 13 * Fri", NOON, 2) == ["Fri 2027-08-13 00:00:00", "Fri 2028-10-13 00:00:00"]
    assert occurrences("0 0 12 * * *", NOON, 1) == ["Thu 2026-11-26 12:00:00"]
    assert occurrences("0 0 0 29 2 *", NOON, 1) == ["Tue 2028-02-29 00:00:00"]
    assert occurrences("0 0 0 30 2 *", NOON, 1) == ["never"]
    assert occurrences("59 59 23 31 12 *", NOON, 1) == ["Thu 2026-12-31 23:59:59"]


def timer_app(body: Callable[[func.TimerRequest], Any], expression: str, **options: Any) -> func.FunctionApp:
    app = new_app()

    @app.timer_trigger(arg_name="timer", schedule=expression, **options)
    async def tick(timer: func.TimerRequest) -> None:
        result = body(timer)
        if asyncio.iscoroutine(result):
            await result

    add_http(app)
    return app


def add_http(app: func.FunctionApp) -> None:
    add_route(app, "z", "{*path}")


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_schedule_from_setting(
    start: StartHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """STO-123: a timer that cannot be understood is left out, everything else is served."""
    ran: list[func.TimerRequest] = []
    monkeypatch.setenv("TICK", EVERY_SECOND)
    await start(timer_app(ran.append, "%TICK%"))
    await until(lambda: bool(ran))
    host = await start(timer_app(ran.append, "%TOCK%"))
    await until(lambda: "The 'tick' function is in error: '%TOCK%' does not resolve to a value." in caplog.text)
    assert (await host.request("/")).status == 200


async def test_timer_runs_on_schedule(start: StartHost) -> None:
    moments: list[datetime] = []
    await start(timer_app(lambda _: moments.append(datetime.now(UTC)), EVERY_SECOND))
    await until(lambda: len(moments) >= 2)
    assert moments[1].replace(microsecond=0) > moments[0].replace(microsecond=0)
    assert (moments[1] - moments[0]).total_seconds() < 3


async def test_timer_never_overlaps(start: StartHost) -> None:
    running: list[int] = [0]
    most: list[int] = [0]
    finished: list[datetime] = []

    async def slow(timer: func.TimerRequest) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(1.3)
        running[0] -= 1
        finished.append(datetime.now(UTC))

    await start(timer_app(slow, EVERY_SECOND))
    await until(lambda: len(finished) >= 2)
    assert most == [1]


async def test_timer_errors(start: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []

    def failing(timer: func.TimerRequest) -> None:
        ran.append(1)
        raise ValueError("of the test")

    await start(timer_app(failing, EVERY_SECOND))
    await until(lambda: len(ran) >= 2)
    assert "The timer function tick failed." in caplog.text


async def test_timer_run_on_startup(start: StartHost) -> None:
    ran: list[func.TimerRequest] = []
    await start(timer_app(ran.append, ONCE_A_YEAR, run_on_startup=True))
    await until(lambda: bool(ran))
    assert [timer.past_due for timer in ran] == [False]


async def test_timer_past_due(start: StartHost, tmp_path: Path) -> None:
    state = tmp_path / "state"
    ran: list[Any] = []
    host = await start(timer_app(ran.append, ONCE_A_YEAR), state=str(state))
    file = state / "tick.json"
    await until(file.exists)
    await host.stop()
    status = json.loads(file.read_text())
    assert datetime.fromisoformat(status["Next"]) > datetime.now(UTC)

    missed = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    file.write_text(json.dumps({**status, "Next": missed}))
    host = await start(timer_app(ran.append, "0 0 1 1 1 *"), state=str(state))
    await host.stop()
    assert ran == []

    status = json.loads(file.read_text())
    file.write_text(json.dumps({**status, "Next": missed}))
    host = await start(timer_app(ran.append, "0 0 1 1 1 *"), state=str(state))
    await until(lambda: bool(ran))
    await host.stop()
    assert [(timer.past_due, timer.schedule_status["Next"]) for timer in ran] == [(True, missed)]
    assert datetime.fromisoformat(json.loads(file.read_text())["Next"]) > datetime.now(UTC)


async def test_timer_monitor_of_short_schedules(start: StartHost, tmp_path: Path) -> None:
    state = tmp_path / "state"
    ran: list[func.TimerRequest] = []
    await start(timer_app(ran.append, EVERY_SECOND), state=str(state))
    await until(lambda: bool(ran))
    await asyncio.sleep(0.05)
    assert not state.exists()


async def test_timer_in_one_worker(start: StartHost) -> None:
    ran: list[str] = []
    await start(timer_app(lambda _: ran.append("follower"), EVERY_SECOND), lead=False)
    await start(timer_app(lambda _: ran.append("lead"), EVERY_SECOND), lead=True)
    await until(lambda: len(ran) >= 2)
    assert set(ran) == {"lead"}
