"""One worker process: it imports the app, and serves its functions on one event loop."""

import os
from dataclasses import dataclass
from pathlib import Path

from .configuration import HostConfiguration, read_configuration
from .functions import HTTP, HostedFunction, load_functions
from .http import http_handler
from .routing import route_table


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker process is told at start."""

    app: str
    directory: Path
    host: str
    port: int


async def serve(options: WorkerOptions) -> None:
    """Serve the functions of the app until SIGINT or SIGTERM."""
    configuration = read_configuration(options.directory, os.environ)
    functions = load_functions(options.app, options.directory)
    import importlib

    from azurefunctions.extensions.base import ModuleTrackerMeta

    extension = importlib.import_module(ModuleTrackerMeta.get_module())
    app = extension.WebApp()
    app.route(http_handler(route_table(functions, configuration.route_prefix)))
    server = extension.WebServer(options.host, options.port, app)
    for line in start_lines(functions, configuration, options):
        print(line, flush=True)
    await server.serve()


def start_lines(functions: list[HostedFunction], configuration: HostConfiguration, options: WorkerOptions) -> list[str]:
    """One line for each function."""
    base = f"http://{options.host}:{options.port}"
    table = route_table(functions, configuration.route_prefix)
    lines = ["", "Functions:", ""]
    for route in table.routes:
        methods = ",".join(sorted(route.methods)) or "ALL"
        lines.append(f"  {route.function.name}: [{methods}] {base}/{route.template}")
    lines += [f"  {function.name}: {function.kind}" for function in functions if function.kind != HTTP]
    return [*lines, "", f"Base URL: {base}", ""]
