"""One worker process: it imports the app, and serves its functions on one event loop."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any, Protocol

from .configuration import HostConfiguration, read_configuration
from .errors import HostError
from .functions import HTTP, QUEUE, TIMER, HostedFunction, load_functions
from .http import http_handler
from .routing import RouteTable, route_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker is told at start; `lead`: it runs the timers, `announce`: it prints a line for each function."""

    app: str
    directory: str
    base_url: str
    lead: bool = True
    announce: bool = True
    state: str | None = None
    certificate: str | None = None
    key: str | None = None
    grace_seconds: int = 5


class Listener(Protocol):
    """Timer or queue: runs until it is stopped."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


async def serve(options: WorkerOptions, sockets: Sequence[socket], stop: asyncio.Event) -> None:
    """Serve the functions of the app on listening `sockets` until `stop`; what is under way is finished first.

    Raises `HostError` when the app cannot be served, and whatever the app raises while it is imported.
    """
    log_to_standard_error()
    directory = Path(options.directory)
    configuration = read_configuration(directory)
    functions = load_functions(options.app, directory)
    table = route_table(functions, configuration.route_prefix)
    server = web_server(table, configuration, options, sockets)
    serving = asyncio.create_task(server.serve())
    try:
        if options.announce:
            announce(functions, table, options.base_url)
        listeners = await opened_listeners(functions, configuration, options)
        running = [asyncio.create_task(kept_running(listener)) for listener in listeners]
        await first_of(serving, stop)
        await stopped(listeners, running, options.grace_seconds)
    finally:
        server.stop()
        await serving


async def kept_running(listener: "Listener") -> None:
    """Run a listener; an error in the host itself is at least seen."""
    try:
        await listener.run()
    except Exception:
        logger.exception("A listener has ended.")


async def stopped(listeners: "Sequence[Listener]", running: "Sequence[asyncio.Task[None]]", seconds: float) -> None:
    """Stop the listeners; what they still run after `seconds` is given up."""
    for listener in listeners:
        listener.stop()
    if running:
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()


async def first_of(serving: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Wait until `stop`, or until the server has ended by itself."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def web_server(
    table: RouteTable, configuration: HostConfiguration, options: WorkerOptions, sockets: Sequence[socket]
) -> Any:
    """The server of the app's own web extension, found as the real worker finds it."""
    from azurefunctions.extensions.base import ModuleTrackerMeta

    name = ModuleTrackerMeta.get_module()
    if name is None:
        raise HostError("The app imports no web extension; without one the local host serves no HTTP.")
    extension: Any = importlib.import_module(name)
    app = extension.WebApp()
    app.route(http_handler(table, configuration))
    tls = extension.Tls(options.certificate, options.key) if options.certificate and options.key else None
    host, port = sockets[0].getsockname()[:2]
    return extension.WebServer(host, port, app, sockets=sockets, tls=tls, grace_seconds=options.grace_seconds)


async def opened_listeners(
    functions: Sequence[HostedFunction], configuration: HostConfiguration, options: WorkerOptions
) -> list[Listener]:
    """The listeners of timers, in the leading worker, and of queues; a function in error is left out with a line."""
    listeners: list[Listener] = []

    def add(make: Callable[[HostedFunction], Listener], function: HostedFunction) -> None:
        try:
            listeners.append(make(function))
        except HostError as error:
            logger.error("The '%s' function is in error: %s", function.name, error)

    timers = [function for function in functions if function.kind == TIMER and options.lead]
    if timers:
        from .timers import TimerListener, TimerState

        state = TimerState(Path(options.state) if options.state else None)
        for function in timers:
            add(lambda function: TimerListener(function, state), function)
    queues = [function for function in functions if function.kind == QUEUE]
    if queues:
        from .queue_source import queue_opener
        from .queues import QueueListener, Watchers

        open_queue = await asyncio.to_thread(queue_opener)
        watchers: Watchers = {}
        for function in queues:
            add(lambda function: QueueListener(function, configuration.queues, open_queue, watchers), function)
    return listeners


def announce(functions: Sequence[HostedFunction], table: RouteTable, base_url: str) -> None:
    """Print one line for each function, and the base URL."""
    lines = ["", "Functions:", ""]
    for route in table.routes:
        methods = ",".join(route.function.methods) or "ALL"
        lines.append(f"  {route.function.name}: [{methods}] {base_url}/{route.template}")
    for function in functions:
        if function.kind == TIMER:
            lines.append(f"  {function.name}: timer {function.trigger.get('schedule')}")
        elif function.kind == QUEUE:
            lines.append(f"  {function.name}: queue {function.trigger.get('queueName')}")
        elif function.kind != HTTP:
            lines.append(f"  {function.name}: {function.trigger['type']} is not run by the local host")
    print("\n".join([*lines, "", f"Base URL: {base_url}", ""]), flush=True)


class LineFormatter(logging.Formatter):
    """The time before each line, but not before a line that is a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        line = super().format(record)
        return line if line.startswith("{") else f"[{self.formatTime(record)}] {line}"


def log_to_standard_error() -> None:
    """Show log lines from level INFO on, unless the app has made arrangements of its own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
