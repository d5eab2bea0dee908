"""The way of every request to Azure Storage: one connection pool, one credential, one mapping of failures.

The requests are written here and in the modules beside rather than by the SDK clients, which take two to twenty times
as long over them and half a second to import; transport and identity are azure-core's.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import AsyncPipeline, PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from ..errors import DicomServiceError, Unavailable
from .azure_account import Account
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
_SLICE = 256 * 1024
_KEEP_ALIVE_SECONDS = 3
"""Azurite closes connections that were idle for 5 s, perhaps with a request on its way."""

_MISSING = frozenset({"TableNotFound", "ContainerNotFound", "QueueNotFound"})
_SCOPE = "https://storage.azure.com/.default"
_CODE = re.compile(rb"<Code>(\w+)</Code>")
_NO_ANSWER = "The storage of the service does not answer. Please try again later."
_NOT_ALLOWED = "The storage of the service refuses its credentials."

_log = logging.getLogger(__name__)

Response = AsyncHttpResponse
Restore = Callable[[], Awaitable[None]]


def in_path(text: str) -> str:
    """`text` escaped for the path of an address, in exactly the form that aiohttp will send and the services sign."""
    return quote(text, safe="-._~!$'()*,@:;=&")


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


class _Slices:
    """A body that is handed to the connection bit by bit, so that it does not hold up the event loop."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for offset in range(0, len(self._content), _SLICE):
            yield self._content[offset : offset + _SLICE]


class _NotAllowed(Unavailable):
    """The service does not let us in; asking again is of no use."""


def _noted(failure: Unavailable, note: str) -> Unavailable:
    failure.add_note(note)
    return failure


def _report(failure: Unavailable) -> None:
    _log.warning("Storage failed: %s", "; ".join(getattr(failure, "__notes__", [str(failure)])))


def _failure(service: Service, error: BaseException) -> Unavailable:
    """The address, which may hold a signature, is in no text: neither in the log nor in what is raised."""
    note = f"{service} service: {type(error).__name__}"
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return _noted(Unavailable(_NO_ANSWER), f"{service} service: cannot be reached ({type(reason).__name__})")
        reason = reason.__cause__
    if isinstance(error, ClientAuthenticationError):
        return _noted(_NotAllowed(_NOT_ALLOWED), note)
    return _noted(Unanswered(_NO_ANSWER), note)


class _SharedKey(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Signs requests with the account's key: Shared Key for blobs and queues, Shared Key Lite for tables."""

    _SIGNED = (
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    )

    def __init__(self, account: Account) -> None:
        self._name = account.name
        self._key = account.key
        self._tables = account.table

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        message = request.http_request
        if message.url.startswith(self._tables):
            scheme, text = "SharedKeyLite", self._table_text(message)
        else:
            scheme, text = "SharedKey", self._text(message)
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()
        message.headers["Authorization"] = f"{scheme} {self._name}:{signature}"

    def _table_text(self, message: HttpRequest) -> str:
        return f"{message.headers['x-ms-date']}\n/{self._name}{urlsplit(message.url).path}"

    def _text(self, message: HttpRequest) -> str:
        headers = {name.lower(): value for name, value in message.headers.items()}
        if headers.get("content-length") == "0":
            del headers["content-length"]
        address = urlsplit(message.url)
        lines = [message.method, *(headers.get(name, "") for name in self._SIGNED)]
        lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        lines.append(f"/{self._name}{address.path or '/'}")
        lines += [f"{name}:{value}" for name, value in sorted(parse_qsl(address.query, keep_blank_values=True))]
        return "\n".join(lines)


class Pipeline:
    """Requests to one account. `restore` is called, and the request sent again, when a service says that the table,
    container or queue is not there: an emulator that was killed may have lost what it had not yet written."""

    def __init__(self, account: Account, restore: Restore) -> None:
        self.account = account
        self.restore = restore
        self._addresses = {"blob": account.blob, "queue": account.queue, "table": account.table}
        self._session: aiohttp.ClientSession | None = None
        self._credential: Any = None
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] | None = None

    def url(self, service: Service, path: str, query: str = "") -> str:
        """`path` begins with a slash and both are escaped; the signature, if there is one, is added here."""
        query = "&".join(part for part in (query, self.account.signature) if part)
        return f"{self._addresses[service]}{path}" + (f"?{query}" if query else "")

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
        limit = seconds + size / _SLOWEST_BYTES_PER_SECOND
        sent = {"x-ms-version": API_VERSION, "x-ms-date": formatdate(usegmt=True), **(headers or {})}
        url = self.url(service, path, query)
        body: bytes | _Slices | None = content
        if content is not None and len(content) > _SLICE:
            sent["Content-Length"] = str(len(content))
            body = _Slices(content)
        response = await self._send(service, HttpRequest(method, url, headers=sent, content=body), seconds, limit)
        if restoring and response.status_code == 404 and error_code(response) in _MISSING:
            await self.restore()
            again = HttpRequest(method, url, headers=sent, content=body)
            response = await self._send(service, again, seconds, limit)
        return response

    async def _send(self, service: Service, request: HttpRequest, idle: float, limit: float) -> Response:
        pipeline = self._pipeline or self._open()
        try:
            async with asyncio.timeout(limit):
                run = await pipeline.run(request, connection_timeout=min(CONNECT_SECONDS, idle), read_timeout=idle)
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise _failure(service, error) from None
        response = run.http_response
        status = response.status_code
        if status >= 500 or status in (408, 429):
            raise _noted(Unanswered(_NO_ANSWER), f"{service} service: {status} {error_code(response)}")
        if status in (401, 403):
            raise _noted(_NotAllowed(_NOT_ALLOWED), f"{service} service: {status} {error_code(response)}")
        return response

    def _open(self) -> AsyncPipeline[HttpRequest, AsyncHttpResponse]:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # aiohttp sends PUT and DELETE again by itself when a kept connection turns out to be closed. The first may
        # have arrived, and a write of an entity must not be sent twice (protocol, rule 12).
        session._retry_connection = False
        self._session = session
        policies: list[Any] = []
        if self.account.key:
            policies = [_SharedKey(self.account)]
        elif self.account.identity:
            policies = [self._bearer()]
        self._pipeline = AsyncPipeline(AioHttpTransport(session=session, session_owner=False), policies)
        return self._pipeline

    def _bearer(self) -> Any:
        from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

        client_id = self.account.client_id or None
        if self.account.managed:
            self._credential = ManagedIdentityCredential(client_id=client_id)
        else:
            self._credential = DefaultAzureCredential(managed_identity_client_id=client_id)
        return AsyncBearerTokenCredentialPolicy(self._credential, _SCOPE)

    async def close(self) -> None:
        self._pipeline = None
        if self._credential is not None:
            await self._credential.close()
            self._credential = None
        if self._session is not None:
            await self._session.close()
            self._session = None
