"""What every test may ask for: a real Azurite, the app in the local host, the sizes of scale cases."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.azurite import Azurite, free_azurite_ports, start_azurite
from tests.support.azurites import NewAccount, azurite_of_accounts
from tests.support.completeness import NothingLeftOut, read_allowed
from tests.support.processes import LocalHost, local_host
from tests.support.schedule import rank
from tests.support.sizes import SIZES

pytest_plugins = ["pytester"]

StartHost = Callable[..., LocalHost]

STORES = ("azurite", "embedded")
ON_BOTH_STORES = ("tests/http/", "tests/faults/", "tests/clients/")
"""Where a test either runs on both stores or is marked as `one_store`, with the reason."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="scale cases at their stated size")
    parser.addoption("--stores", choices=("azurite", "embedded", "both"), default="both", help="what the app runs on")
    parser.addoption("--under-func", action="store_true", help="run the app under Azure Functions Core Tools")
    parser.addoption("--nothing-left-out", action="store_true", help="fail when a test was skipped that is not listed")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--nothing-left-out") and not hasattr(config, "workerinput"):
        allowed = read_allowed(Path(__file__).with_name("allowed_skips.txt"))
        config.pluginmanager.register(NothingLeftOut(allowed), "nothing-left-out")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files are kept together, as `--dist loadfile` does, the two stores apart; their order is ours."""
    from tests.support.schedule import FilesOnStores

    config.option.loadscopereorder = False
    return FilesOnStores(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))
    unclear = {item.location[2] for item in items if item.nodeid.startswith(ON_BOTH_STORES) and not says_stores(item)}
    if unclear:
        raise pytest.UsageError(f"neither on both stores nor marked as `one_store`: {', '.join(sorted(unclear)[:20])}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the app run on each of the stores that were asked for."""
    if "store_settings" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--stores")
        stores = STORES if asked == "both" else [asked]
        metafunc.parametrize("store_settings", stores, indirect=True, scope="session")


def says_stores(item: pytest.Item) -> bool:
    """Whether a test runs on each store, or says why it does not."""
    values = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return item.get_closest_marker("one_store") is not None or any(str(value).startswith(STORES) for value in values)


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
def new_azure_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewAccount]:
    """Empty Azure storages: `new_azure_account()` is the connection string of one. Their Azurite is never stopped."""
    with azurite_of_accounts(tmp_path_factory.mktemp("azurite") / "azurite.log") as new_account:
        yield new_account


@pytest.fixture(scope="session")
def azurite(new_azure_account: NewAccount) -> str:
    """Connection string of the Azure storage that the session's tests share."""
    return new_azure_account()


@pytest.fixture
def own_azurite(tmp_path: Path) -> Iterator[Callable[[Path | None], Azurite]]:
    """Starts an Azurite that a test may stop or kill: on a directory or, given None, in memory."""
    with ExitStack() as stack:

        def start(location: Path | None) -> Azurite:
            process = start_azurite(location, free_azurite_ports(), tmp_path / "own-azurite.log")
            stack.callback(process.stop)
            stack.callback(process.process.kill)
            process.wait_until_ready()
            return process

        yield start


@pytest.fixture(scope="session")
def store_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings that name the store of the session: an account of its Azurite, or an embedded store."""
    settings: dict[str, str] = request.getfixturevalue(f"_{request.param}_settings")
    return settings


@pytest.fixture(scope="session")
def _azurite_settings(azurite: str) -> dict[str, str]:
    return {"AzureWebJobsStorage": azurite}


@pytest.fixture(scope="session")
def _embedded_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path_factory.mktemp("embedded"))}


@pytest.fixture(scope="session")
def new_store(
    store_settings: dict[str, str], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], dict[str, str]]:
    """Settings of a store that nobody else uses, of the kind that the test runs on."""
    if "DICOM_STORE" in store_settings:
        return lambda: {**store_settings, "DICOM_STORE_PATH": str(tmp_path_factory.mktemp("embedded"))}
    new_account: NewAccount = request.getfixturevalue("new_azure_account")
    return lambda: {"AzureWebJobsStorage": new_account()}


@pytest.fixture
def empty_store(new_store: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Settings of a store that the test has to itself."""
    return new_store()


@pytest.fixture(scope="session")
def _servers(under_func: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LocalHost]]:
    """The app with default settings on each store that was asked for; files of tests change between the stores."""
    with ExitStack() as stack:

        @cache
        def running(*settings: tuple[str, str]) -> LocalHost:
            log = tmp_path_factory.mktemp("server") / "host.log"
            return stack.enter_context(local_host(dict(settings), log=log, under_func=under_func))

        yield running


@pytest.fixture(scope="session")
def server(store_settings: dict[str, str], _servers: Callable[..., LocalHost]) -> LocalHost:
    """The app with default settings, shared by all tests: `server.url`. Use UIDs of your own."""
    return _servers(*store_settings.items())


@pytest.fixture(scope="session")
def base_url(server: LocalHost) -> str:
    """Base URL of the shared app, without a slash at the end."""
    return server.url


@pytest.fixture
def start_host_on(under_func: bool, tmp_path: Path) -> Iterator[StartHost]:
    """Starts a host on a store that the settings name: `start_host_on(empty_store, workers=2)`; it ends with the test.

    For tests of one store alone; others take `start_host`.
    """
    with ExitStack() as stack:
        started = 0

        def start(settings: Mapping[str, str], *, workers: int = 1) -> LocalHost:
            nonlocal started
            started += 1
            log = tmp_path / f"host-{started}.log"
            return stack.enter_context(local_host(settings, workers=workers, log=log, under_func=under_func))

        yield start


@pytest.fixture
def start_host(store_settings: dict[str, str], start_host_on: StartHost) -> StartHost:
    """Starts a further host on the session's store: `start_host({"DICOM_DUPLICATES": "warn"}, workers=2)`."""

    def start(settings: Mapping[str, str] | None = None, *, workers: int = 1) -> LocalHost:
        return start_host_on({**store_settings, **(settings or {})}, workers=workers)

    return start


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Each new client of httpx reads the certificates of all authorities, which takes longer than most requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def _proxies_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of the suite are on this machine."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
