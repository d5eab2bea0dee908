"""HTTP/1.1 to the services of a storage account: kept connections, one request at a time on each, answers as a whole.

A search is two or three requests, and a general client takes as long over each as everything else together. None of
what it offers beyond this is needed here.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

KEEP_ALIVE_SECONDS = 3.0
"""Azurite closes connections that were idle for 5 s, perhaps with a request on its way."""

_SLICE = 256 * 1024
"""Bytes of a body that are handed to a connection at once, so that it does not hold up the event loop."""


class NotSent(Exception):
    """There is no connection; the text says why, and no address."""


class NotAnswered(Exception):
    """The request may have arrived, but there is no whole answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by their names in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until there is a connection, between two signs of life, and in all."""

    connect: float
    idle: float
    total: float


class Origin:
    """A server, by the beginning of its addresses."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.name = parts.netloc.rpartition("@")[2]
        self.path = parts.path
        self.idle: list[_Connection] = []


class Connections:
    """To any number of servers; all calls belong to one event loop."""

    def __init__(self) -> None:
        self._origins: list[Origin] = []
        self._closed = False

    def origin(self, address: str) -> Origin:
        """The server of an address, for `exchange`."""
        self._origins.append(Origin(address))
        return self._origins[-1]

    async def exchange(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limits: Limits,
    ) -> Response:
        """Sends a request once; raises `NotSent` or `NotAnswered`. `target` is escaped, path and query."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {origin.name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if content is not None:
            lines.append(f"Content-Length: {len(content)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        connection = self._kept(origin) or await self._opened(origin, limits.connect)
        response = await connection.exchange(head, content or b"", limits, bodiless=method == "HEAD")
        if connection.reusable and not self._closed:
            connection.rest(origin.idle)
        else:
            connection.close()
        return response

    def _kept(self, origin: Origin) -> "_Connection | None":
        while origin.idle:
            connection = origin.idle.pop()
            if connection.wake():
                return connection
        return None

    async def _opened(self, origin: Origin, seconds: float) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    _Connection, origin.host, origin.port, ssl=self._trust if origin.secure else None
                )
        except OSError as error:
            raise NotSent(type(error).__name__) from None
        return connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def close(self) -> None:
        """Closes what is idle; what is under way is closed at its end."""
        self._closed = True
        idle = [connection for origin in self._origins for connection in origin.idle]
        for connection in idle:
            connection.close()
        await asyncio.gather(*(connection.gone for connection in idle))
        await asyncio.sleep(0)  # those that failed a moment ago go, too


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._bodiless = False
        self._keeps = False
        self._sent = False
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._limits = Limits(0, 0, 0)
        self._began = self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pool: list[_Connection] | None = None

    # -- between requests

    @property
    def reusable(self) -> bool:
        """Whether another request can follow."""
        return self._keeps and self._sent and self._transport is not None and not self._transport.is_closing()

    def rest(self, pool: "list[_Connection]") -> None:
        """Waits in `pool` for the next request, but not for ever."""
        self._heard = self._loop.time()
        self._pool = pool
        pool.append(self)
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS, self.close)

    def wake(self) -> bool:
        """Ends the rest; false if it took too long. The timer may be late, if the event loop is."""
        self._pool = None
        if self._timer is not None:
            self._timer.cancel()
        if self._loop.time() - self._heard < KEEP_ALIVE_SECONDS and self.reusable:
            return True
        self.close()
        return False

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pool is not None and self in self._pool:
            self._pool.remove(self)
        if self._transport is not None:
            self._transport.abort()

    # -- a request

    async def exchange(self, head: bytes, content: bytes, limits: Limits, *, bodiless: bool) -> Response:
        """Sends it and waits for the answer, which has no body in any case if `bodiless`."""
        if self._transport is None:
            raise NotSent("closed")
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        self._bodiless = bodiless
        self._sent = self._keeps = False
        self._limits = limits
        self._began = self._heard = self._loop.time()
        self._timer = self._loop.call_later(min(limits.idle, limits.total), self._look)
        try:
            await self._send(self._transport, head, content, answer)
            return await answer
        except BaseException:
            self.close()
            raise
        finally:
            self._timer.cancel()
            self._answer = None

    async def _send(
        self, transport: asyncio.Transport, head: bytes, content: bytes, answer: asyncio.Future[Response]
    ) -> None:
        if len(content) <= _SLICE:
            transport.write(head + content)
        else:
            transport.write(head)
            view = memoryview(content)
            for offset in range(0, len(content), _SLICE):
                if self._writable is not None:
                    await self._writable
                if answer.done():  # refused before all of it was there, or the connection is gone
                    return
                self._heard = self._loop.time()
                transport.write(view[offset : offset + _SLICE])
        self._sent = True

    def _look(self) -> None:
        """Ends the request if it takes too long."""
        now = self._loop.time()
        left = min(self._heard + self._limits.idle, self._began + self._limits.total) - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._fail("TimeoutError")

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NotAnswered(why))
        self.resume_writing()
        self.close()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(type(error).__name__ if error else "closed")
        self._transport = self._parser = None
        self.gone.set_result(None)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._parser is None:  # nobody asked
            self.close()
            return
        self._heard = self._loop.time()
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(type(error).__name__)

    # -- what the parser calls

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():  # more than was asked for
            self._keeps = False
        self._headers = {}
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._parser is not None and self._answer is not None and not self._answer.done():
            self._keeps = self._parser.should_keep_alive() and not self._bodiless
            if self._bodiless:
                self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser is None or self._answer is None or self._answer.done():
            return
        status = self._parser.get_status_code()
        if status < 200:  # 100: the answer is still to come
            return
        content = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []  # a connection at rest holds nothing of it
        self._answer.set_result(Response(status, self._headers, content))
        self.resume_writing()
