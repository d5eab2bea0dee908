"""The way of every request to Azure Storage: one connection pool, one credential, one mapping of failures.

The requests are written here and in the modules beside rather than by the SDK clients, which take two to twenty times
as long over them and half a second to import; tokens are azure-identity's.
"""

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

from ..errors import DicomServiceError, Unavailable
from .azure_account import Account
from .azure_connections import Connections, Limits, NotAnswered, NotSent, Origin, Response
from .azure_credentials import NoToken, Unsigned, credential_of
from .primitives import Unanswered

Service = Literal["blob", "queue", "table"]

API_VERSION = "2023-11-03"
"""Of the REST interface of all three services; Azurite knows it, too."""

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
"""How long one attempt may go without a byte, and how long it may take in all, apart from what its size adds."""
PATIENCE_SECONDS = 4.0
"""After this long no further attempt is begun."""
_SLOWEST_BYTES_PER_SECOND = 256 * 1024

_MISSING = frozenset({"TableNotFound", "ContainerNotFound", "QueueNotFound"})
_UNSAFE = re.compile(r"[^\w.~!$'()*,@:;=&-]+", re.ASCII)
_CODE = re.compile(rb"<Code>(\w+)</Code>")
_NO_ANSWER = "The storage of the service does not answer. Please try again later."
_NOT_ALLOWED = "The storage of the service refuses its credentials."

_log = logging.getLogger(__name__)

Restore = Callable[[], Awaitable[None]]


def in_path(text: str) -> str:
    """`text` escaped for the path of an address, in exactly the form that is signed."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), text)


def in_query(text: str) -> str:
    return quote(text, safe="")


def error_code(response: Response) -> str:
    """The service's word for what went wrong; empty if it gave none."""
    if named := response.headers.get("x-ms-error-code"):
        return named
    body = response.content
    if found := _CODE.search(body):
        return found[1].decode()
    try:
        return str(json.loads(body)["odata.error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def refused(service: Service, response: Response) -> DicomServiceError:
    """What to raise for an answer that nobody expected: a passing state of the service, or a fault of ours."""
    code = error_code(response)
    if code in _MISSING or code.endswith(("BeingDeleted", "Disabled")):
        return _noted(Unavailable(_NO_ANSWER), f"{service} service: {code}")
    return DicomServiceError(f"{service} service: {response.status_code} {code}")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class _NotAllowed(Unavailable):
    """The service does not let us in; asking again is of no use."""


def _noted(failure: Unavailable, note: str) -> Unavailable:
    failure.add_note(note)
    return failure


def _report(failure: Unavailable) -> None:
    _log.warning("Storage failed: %s", "; ".join(getattr(failure, "__notes__", [str(failure)])))


def _not_answered(service: Service, error: NotSent | NotAnswered) -> Unavailable:
    """The address, which may hold a signature, is in no text: neither in the log nor in what is raised."""
    if isinstance(error, NotSent):
        return _noted(Unavailable(_NO_ANSWER), f"{service} service: cannot be reached ({error})")
    return _noted(Unanswered(_NO_ANSWER), f"{service} service: {error}")


class Pipeline:
    """Requests to one account. `restore` is called, and the request sent again, when a service says that the table,
    container or queue is not there: an emulator that was killed may have lost what it had not yet written."""

    def __init__(self, account: Account, restore: Restore) -> None:
        self.account = account
        self.restore = restore
        self._connections = Connections()
        self._origins: dict[Service, Origin] = {
            "blob": self._connections.origin(account.blob),
            "queue": self._connections.origin(account.queue),
            "table": self._connections.origin(account.table),
        }
        self._credential = credential_of(account)

    def url(self, service: Service, path: str) -> str:
        """The address of something, with the signature, if there is one. `path` begins with a slash and is escaped."""
        address = getattr(self.account, service)
        return f"{address}{path}" + (f"?{self.account.signature}" if self.account.signature else "")

    async def read(self, service: Service, method: str, path: str, query: str = "", **sent: Any) -> Response:
        """Sends what can be sent again without harm until it is answered or patience ends: then `Unavailable`."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        pause = 0.05
        while True:
            try:
                return await self._attempt(service, method, path, query, **sent)
            except Unavailable as failure:
                if isinstance(failure, _NotAllowed) or time.monotonic() + pause > give_up:
                    _report(failure)
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
            pause = min(2 * pause, 1.0)

    async def once(self, service: Service, method: str, path: str, query: str = "", **sent: Any) -> Response:
        """Sends a request once.

        Raises `Unanswered` when it may or may not have been carried out, and `Unavailable` when certainly not.
        """
        try:
            return await self._attempt(service, method, path, query, **sent)
        except Unavailable as failure:
            _report(failure)
            raise

    async def _attempt(
        self,
        service: Service,
        method: str,
        path: str,
        query: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        size: int = 0,
        seconds: float = ANSWER_SECONDS,
        restoring: bool = True,
    ) -> Response:
        """`size` is the number of bytes that the request moves, if there are many."""
        limits = Limits(min(CONNECT_SECONDS, seconds), seconds, seconds + size / _SLOWEST_BYTES_PER_SECOND)
        response = await self._send(service, method, path, query, headers or {}, content, limits)
        if restoring and response.status_code == 404 and error_code(response) in _MISSING:
            await self.restore()
            response = await self._send(service, method, path, query, headers or {}, content, limits)
        return response

    async def _send(
        self,
        service: Service,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        content: bytes | None,
        limits: Limits,
    ) -> Response:
        origin = self._origins[service]
        path = origin.path + path
        query = "&".join(part for part in (query, self.account.signature) if part)
        sent = {"x-ms-version": API_VERSION, "x-ms-date": _date(int(time.time())), "Accept-Encoding": "identity"}
        sent |= headers
        unsigned = Unsigned(service, method, path, query, sent, len(content or b""))
        try:
            await self._credential.authorize(unsigned, limits.total)
        except NoToken as error:
            failure = _NotAllowed(_NOT_ALLOWED) if error.refused else Unavailable(_NO_ANSWER)
            raise _noted(failure, f"{service} service: {error}") from None
        target = f"{path}?{query}" if query else path
        try:
            response = await self._connections.exchange(origin, method, target, sent, content, limits)
        except (NotSent, NotAnswered) as error:
            raise _not_answered(service, error) from None
        status = response.status_code
        if status >= 500 or status in (408, 429):
            raise _noted(Unanswered(_NO_ANSWER), f"{service} service: {status} {error_code(response)}")
        if status in (401, 403):
            raise _noted(_NotAllowed(_NOT_ALLOWED), f"{service} service: {status} {error_code(response)}")
        return response

    async def close(self) -> None:
        await self._connections.close()
        await self._credential.close()
