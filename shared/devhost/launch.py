"""Starts a host: the listening sockets, then one worker in this process or several in processes of their own."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .configuration import read_configuration
from .errors import HostError

BACKLOG = 2048
LOOPBACK = {"127.0.0.1", "::1", "0.0.0.0", "::", ""}  # noqa: S104


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How to run a host; port and workers come from the settings of the app when they are not given.

    `app` is `module:attribute` in `directory`. With `state`, a directory, timers make up for runs that they missed.
    `certificate` and `key` are PEM files for HTTPS. Within `grace_seconds`, what is under way at the end is finished.
    """

    app: str = "function_app:app"
    directory: Path = field(default_factory=Path.cwd)
    host: str = "127.0.0.1"
    port: int | None = None
    workers: int | None = None
    state: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    grace_seconds: int = 5


def run_host(options: HostOptions) -> int:
    """Run the host until SIGINT or SIGTERM and return an exit status.

    Raises `HostError`, whose text is one line, when the host cannot start.
    """
    configuration = read_configuration(options.directory)
    workers = options.workers or configuration.workers
    port = configuration.port if options.port is None else options.port
    sockets = listening_sockets(options.host, port, workers)
    if workers == 1:
        return run_here(options, sockets[0])
    from .supervisor import supervise

    return asyncio.run(supervise(options, sockets, on_signals))


def run_here(options: HostOptions, sockets: list[socket.socket]) -> int:
    """Run the one worker in this process."""
    from .worker import WorkerOptions, serve

    worker = WorkerOptions(**worker_options(options, sockets))  # type: ignore[arg-type]

    async def run() -> None:
        stop = asyncio.Event()
        on_signals(stop.set)
        await serve(worker, sockets, stop)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
    return 0


def worker_options(options: HostOptions, sockets: list[socket.socket]) -> dict[str, object]:
    """The part of the options that every worker is told, ready for JSON."""
    return {
        "app": options.app,
        "directory": str(options.directory.resolve()),
        "base_url": base_url(options, sockets),
        "state": options.state and str(options.state.resolve()),
        "certificate": options.certificate and str(options.certificate.resolve()),
        "key": options.key and str(options.key.resolve()),
        "grace_seconds": options.grace_seconds,
    }


def base_url(options: HostOptions, sockets: list[socket.socket]) -> str:
    """What clients on this machine use."""
    host = "localhost" if options.host in LOOPBACK else options.host
    scheme = "https" if options.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}"


def on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` in the running loop at the first SIGINT or SIGTERM; the second ends the process at once."""
    loop = asyncio.get_running_loop()
    received = []

    def handle() -> None:
        received.append(True)
        if len(received) > 1:
            os._exit(130)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, handle)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(handle))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def listening_sockets(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """The sockets of each worker, listening.

    On Linux every worker has a socket of its own, among which the kernel spreads connections (SO_REUSEPORT); elsewhere
    the workers share one. Raises `HostError` when the port is taken.
    """
    one = bound_sockets(host, port, shared_port=False)
    if workers == 1 or sys.platform != "linux":
        return [one] * workers
    port = one[0].getsockname()[1]
    for taken in one:
        taken.close()
    return [bound_sockets(host, port, shared_port=True) for _ in range(workers)]


def bound_sockets(host: str, port: int, *, shared_port: bool) -> list[socket.socket]:
    """One listening socket for each address of `host`."""
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise HostError(f"There is no host {host}: {error.strerror}.") from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        if sockets and port == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        listener = socket.socket(family, kind, protocol)
        try:
            configure(listener, shared_port)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRNOTAVAIL and len(addresses) > 1:
                continue
            raise HostError(not_bound(host, port, error)) from None
        sockets.append(listener)
    return sockets


def configure(listener: socket.socket, shared_port: bool) -> None:
    """Set what a listening socket needs on this platform."""
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.set_inheritable(False)


def not_bound(host: str, port: int, error: OSError) -> str:
    """One line for a socket that cannot be bound."""
    if error.errno in (errno.EADDRINUSE, 10048):
        return f"Port {port} on {host} is taken: stop what uses it, or choose another with --port."
    if error.errno in (errno.EACCES, 10013):
        return f"Port {port} on {host} must not be used: choose another with --port."
    return f"{host}:{port} cannot be used: {error.strerror or error}."
