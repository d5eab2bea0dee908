"""Apps made in a test, served by the local host on the loop of the test."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest

from shared.devhost.launch import bound_sockets
from shared.devhost.worker import WorkerOptions, serve
from shared.web_extension import Request, Response

NO_PREFIX = {"extensions": {"http": {"routePrefix": ""}}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Host:
    """A host that serves; `stop` ends it and waits for that."""

    port: int
    stop: Callable[[], Any]

    async def request(self, target: str, method: str = "GET", headers: str = "", body: bytes = b"") -> Answer:
        """One request, whose target goes out exactly as given."""
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n{headers}\r\n"
        async with self.connection() as (reader, writer):
            writer.write(head.encode("latin-1") + body)
            return parsed(await reader.read())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, closed at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1000)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def parsed(answer: bytes) -> Answer:
    """Status, headers and body of an answer that is not chunked."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def new_app() -> func.FunctionApp:
    return func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def add_route(
    app: func.FunctionApp, name: str, route: str | None, methods: list[str] | None = None, **options: Any
) -> None:
    """An HTTP function that answers its name and the values of its route."""

    async def answer(req: Request) -> Response:
        return Response(name + json.dumps(req.path_params))

    answer.__name__ = name
    app.route(route=route, methods=methods, **options)(answer)


StartHost = Callable[..., Any]


@asynccontextmanager
async def served(
    app: func.FunctionApp, directory: Path, host_json: Mapping[str, Any], name: str, **options: Any
) -> AsyncIterator[Host]:
    module = ModuleType(name)
    module.__dict__["app"] = app
    sys.modules[name] = module
    (directory / "host.json").write_text(json.dumps({"version": "2.0", **host_json}))
    [listener] = bound_sockets("127.0.0.1", 0, shared_port=False)
    port = listener.getsockname()[1]
    told = WorkerOptions(f"{name}:app", str(directory), f"http://localhost:{port}", **options)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(told, [listener], stop))

    async def end() -> None:
        stop.set()
        await serving

    await asyncio.wait({serving}, timeout=0.01)
    try:
        if serving.done():
            await serving
        yield Host(port, end)
    finally:
        stop.set()
        if not serving.done():
            await serving
        listener.close()
        del sys.modules[name]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartHost]:
    """Starts hosts: `host = await start(app, host_json={...}, **worker_options)`; they end with the test."""
    async with AsyncExitStack() as stack:
        started = 0

        async def start_host(app: func.FunctionApp, host_json: Mapping[str, Any] = NO_PREFIX, **options: Any) -> Host:
            nonlocal started
            started += 1
            name = f"app_of_test_{started}"
            return await stack.enter_async_context(served(app, tmp_path, host_json, name, **options))

        yield start_host
