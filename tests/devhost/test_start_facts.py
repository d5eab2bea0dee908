"""What the host checks and reads before it serves. One test for each row of the facts."""

import asyncio
import json
from pathlib import Path

import azure.functions as func
import pytest

from shared.devhost.configuration import read_configuration
from shared.devhost.errors import HostError
from shared.web_extension import Request, Response
from tests.devhost.conftest import StartHost, add_route, new_app

pytestmark = pytest.mark.integration


def write_settings(directory: Path, values: dict[str, str]) -> None:
    (directory / "host.json").write_text('{"version": "2.0"}')
    (directory / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))


def test_settings_of_the_environment_win(tmp_path: Path) -> None:
    write_settings(tmp_path, {"A": "file", "B": "file", "C": "file"})
    environment = {"A": "environment", "B": ""}
    read_configuration(tmp_path, environment)
    assert environment == {"A": "environment", "B": "file", "C": "file"}


def test_worker_count(tmp_path: Path) -> None:
    write_settings(tmp_path, {})
    counts = {text: read_configuration(tmp_path, {"FUNCTIONS_WORKER_PROCESS_COUNT": text}).workers for text in "0129"}
    assert counts == {"0": 1, "1": 1, "2": 2, "9": 9}
    assert read_configuration(tmp_path, {}).workers == 1
    with pytest.raises(HostError, match="must not be greater than 10"):
        read_configuration(tmp_path, {"FUNCTIONS_WORKER_PROCESS_COUNT": "11"})


@pytest.mark.parametrize("route", ["admin/things", "Admin", "runtime/x", "administration/{*rest}"])
async def test_reserved_routes_are_refused(start: StartHost, route: str) -> None:
    app = new_app()
    add_route(app, "things", route)
    with pytest.raises(HostError, match="conflicts with routes of the host"):
        await start(app)


async def test_equal_routes_are_refused(start: StartHost) -> None:
    app = new_app()
    add_route(app, "a", "things/{id}", ["GET", "POST"])
    add_route(app, "b", "Things/{id}", ["POST"])
    with pytest.raises(HostError, match="route of b conflicts with the route of a"):
        await start(app)
    different = new_app()
    add_route(different, "a", "things/{id}", ["GET"])
    add_route(different, "b", "things/{id}", ["POST"])
    host = await start(different)
    assert (await host.request("/things/1", "POST")).text.startswith("b")


async def test_functions_are_indexed_before_anything_runs(start: StartHost) -> None:
    """A function that the host refuses keeps all others from running."""
    ran = asyncio.Event()
    app = new_app()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
    async def early(timer: func.TimerRequest) -> None:
        ran.set()

    @app.route(route="admin/late")
    async def late(req: Request) -> Response:
        return Response()

    with pytest.raises(HostError):
        await start(app)
    await asyncio.sleep(0.05)
    assert not ran.is_set()
