"""A TCP proxy that fails on purpose: between the product and a storage service, or anything that speaks HTTP/1.1.

It runs in a thread of its own, so that it serves tests of every kind, and knows no more of HTTP than that the first
bytes of a request name it and that a client waits for the answer before it sends the next.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self


class Mishap(Enum):
    """What happens to a request."""

    DROP_ANSWER = "it is carried out; its connection is closed instead of an answer"
    DROP_REQUEST = "it goes nowhere; its connection is closed"
    SWALLOW = "it goes nowhere, and its connection stays open without an answer"
    DELAY = "it is carried out, and answered late"
    CUT_ANSWER = "it is carried out; its connection is closed after the first piece of the answer"
    BUSY = "it goes nowhere, and is answered 503"


_BUSY = b"HTTP/1.1 503 Server Busy\r\nContent-Length: 0\r\nx-ms-error-code: ServerBusy\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Plan:
    """`mishap` for the next `times` requests that contain `matching` in their first bytes."""

    mishap: Mishap
    matching: bytes = b""
    times: int = 1
    seconds: float = 0.0
    """How late the answer is, for DELAY."""
    done: int = 0

    def takes(self, head: bytes) -> bool:
        if self.done >= self.times or self.matching not in head:
            return False
        self.done += 1
        return True


class Proxy:
    """Listens on `port` of 127.0.0.1 while it is entered; `plans` may be changed at any time."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self._target = (host, target)
        self.port = 0
        self.plans: list[Plan] = []
        self.requests: list[bytes] = []
        """The first line of each request that came in."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def plan(self, mishap: Mishap, matching: bytes = b"", times: int = 1, seconds: float = 0.0) -> Plan:
        """Adds a plan; its `done` counts the requests that it met."""
        plan = Plan(mishap, matching, times, seconds)
        self.plans.append(plan)
        return plan

    def cut(self) -> None:
        """Closes every connection and refuses new ones until `mend`."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def mend(self) -> None:
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await asyncio.sleep(0)  # connections on their way arrive
        connections = dict(self._connections)
        for task, writer in connections.items():
            task.cancel()
            writer.close()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda done: self._connections.pop(done))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Connection(self, reader, writer).run(*self._target)
        except OSError:
            pass
        finally:
            writer.close()

    def mishap_for(self, head: bytes) -> Plan | None:
        self.requests.append(head.partition(b"\r\n")[0])
        return next((plan for plan in self.plans if plan.takes(head)), None)


class _Connection:
    """One connection from a client, and the one to the target that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._answered = True
        self._plan: Plan | None = None

    async def run(self, host: str, port: int) -> None:
        target_reader, target_writer = await asyncio.open_connection(host, port)
        ways = [
            asyncio.create_task(self._to_target(target_writer)),
            asyncio.create_task(self._from_target(target_reader)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            target_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _to_target(self, target: asyncio.StreamWriter) -> None:
        while data := await self._reader.read(65536):
            if self._answered:
                self._answered = False
                self._plan = self._proxy.mishap_for(data)
            mishap = self._plan.mishap if self._plan else None
            if mishap is Mishap.DROP_REQUEST:
                return
            if mishap is Mishap.BUSY:
                self._writer.write(_BUSY)
                await self._writer.drain()
                return
            if mishap is not Mishap.SWALLOW:
                target.write(data)
                await target.drain()

    async def _from_target(self, target: asyncio.StreamReader) -> None:
        while data := await target.read(65536):
            if self._plan and self._plan.mishap is Mishap.DROP_ANSWER:
                return
            if self._plan and self._plan.mishap is Mishap.DELAY and not self._answered:
                await asyncio.sleep(self._plan.seconds)
            self._answered = True
            self._writer.write(data)
            await self._writer.drain()
            if self._plan and self._plan.mishap is Mishap.CUT_ANSWER:
                return


@dataclass(frozen=True, slots=True)
class StorageProxies:
    """One proxy before each service of a storage account on this machine."""

    blob: Proxy
    queue: Proxy
    table: Proxy
    connection_string: str
    """Leads through the proxies."""


@contextlib.contextmanager
def storage_proxies(connection_string: str) -> Iterator[StorageProxies]:
    """Proxies before the services of an Azurite, given its connection string."""
    with contextlib.ExitStack() as stack:
        proxies = {}
        through = connection_string
        for service in ("Blob", "Queue", "Table"):
            start = connection_string.index(f"{service}Endpoint=http://127.0.0.1:")
            port = connection_string[start:].split(":")[2].split("/")[0]
            proxies[service] = stack.enter_context(Proxy(int(port)))
            through = through.replace(f"{service}Endpoint=http://127.0.0.1:{port}",
                                      f"{service}Endpoint=http://127.0.0.1:{proxies[service].port}")  # fmt: skip
        yield StorageProxies(proxies["Blob"], proxies["Queue"], proxies["Table"], through)
