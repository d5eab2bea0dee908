"""What every test may ask for: a real Azurite, the app in the local host, the sizes of scale cases."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.azurite import Azurite, free_azurite_ports, start_azurite
from tests.support.completeness import NothingLeftOut, read_allowed
from tests.support.processes import LocalHost, local_host
from tests.support.sizes import SIZES

pytest_plugins = ["pytester"]

StartHost = Callable[..., LocalHost]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="scale cases at their stated size")
    parser.addoption(
        "--stores", choices=("azurite", "embedded", "both"), default="azurite", help="what the app runs on"
    )
    parser.addoption("--under-func", action="store_true", help="run the app under Azure Functions Core Tools")
    parser.addoption("--nothing-left-out", action="store_true", help="fail when a test was skipped that is not listed")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--nothing-left-out") and not hasattr(config, "workerinput"):
        allowed = read_allowed(Path(__file__).with_name("allowed_skips.txt"))
        config.pluginmanager.register(NothingLeftOut(allowed), "nothing-left-out")


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """The size of a scale case by its name in `tests/support/sizes.py`."""
    full = bool(request.config.getoption("--full"))
    return lambda case: SIZES[case].stated if full else SIZES[case].small


@pytest.fixture(scope="session")
def under_func(request: pytest.FixtureRequest) -> bool:
    """Whether the real host is asked for in place of the local one."""
    return bool(request.config.getoption("--under-func"))


@pytest.fixture(scope="session")
def azurite_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for the whole session, in memory, on free ports. Do not stop it: `own_azurite` is for that."""
    process = start_azurite(None, free_azurite_ports(), tmp_path_factory.mktemp("azurite") / "azurite.log")
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session")
def azurite(azurite_process: Azurite) -> str:
    """Connection string of the session's Azurite."""
    return azurite_process.connection_string


@pytest.fixture
def own_azurite(tmp_path: Path) -> Iterator[Callable[[Path | None], Azurite]]:
    """Starts an Azurite for this test alone: on a directory or, given None, in memory."""
    with ExitStack() as stack:

        def start(location: Path | None) -> Azurite:
            process = start_azurite(location, free_azurite_ports(), tmp_path / "own-azurite.log")
            stack.callback(process.stop)
            process.wait_until_ready()
            return process

        yield start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the app run on each of the stores that were asked for."""
    if "store_settings" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--stores")
        stores = ["azurite", "embedded"] if asked == "both" else [asked]
        metafunc.parametrize("store_settings", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings that name the store of the session: its Azurite, or a directory for the embedded store."""
    if request.param == "embedded":
        return {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path_factory.mktemp("embedded"))}
    return {"AzureWebJobsStorage": request.getfixturevalue("azurite")}


@pytest.fixture(scope="session")
def server(
    store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalHost]:
    """The app with default settings, shared by all tests: `server.url`. Use UIDs of your own."""
    log = tmp_path_factory.mktemp("server") / "host.log"
    with local_host(store_settings, log=log, under_func=under_func) as host:
        yield host


@pytest.fixture(scope="session")
def base_url(server: LocalHost) -> str:
    """Base URL of the shared app, without a slash at the end."""
    return server.url


@pytest.fixture
def start_host(store_settings: dict[str, str], under_func: bool, tmp_path: Path) -> Iterator[StartHost]:
    """Starts a further host: `start_host({"DICOM_DUPLICATES": "warn"}, workers=2)`; stopped after the test.

    It stands on the session's store unless the settings name another.
    """
    with ExitStack() as stack:
        started = 0

        def start(settings: Mapping[str, str] | None = None, *, workers: int = 1) -> LocalHost:
            nonlocal started
            started += 1
            values = {**store_settings, **(settings or {})}
            if "AzureWebJobsStorage" in (settings or {}):
                values.pop("DICOM_STORE", None)
            log = tmp_path / f"host-{started}.log"
            return stack.enter_context(local_host(values, workers=workers, log=log, under_func=under_func))

        yield start


@pytest.fixture(autouse=True)
def _proxies_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of the suite are on this machine."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
