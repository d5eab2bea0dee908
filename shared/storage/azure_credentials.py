"""What opens a storage account, added to each request: the account's key or a token of Microsoft Entra ID."""

import asyncio
import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from .azure_account import Account

_SCOPE = "https://storage.azure.com/.default"
_RENEWED_SECONDS = 300
"""A token is renewed when it is good for no longer than this."""

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


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request as far as a signature looks at it; `path` and `query` are escaped as they will be sent."""

    service: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    size: int


class NoToken(Exception):
    """Nothing gives out a token, or none to us (`refused`); the text is a word."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Credential(Protocol):
    async def authorize(self, request: Unsigned, seconds: float) -> None:
        """Adds the header `Authorization`, if there is to be one, within `seconds`; raises `NoToken`."""
        ...

    async def close(self) -> None: ...


def credential_of(account: Account) -> Credential:
    """The way in that the account has."""
    if account.key:
        return _SharedKey(account)
    return _Identity(account) if account.identity else _Signature()


class _Signature:
    """A shared access signature, which is part of the addresses."""

    async def authorize(self, request: Unsigned, seconds: float) -> None:
        pass

    async def close(self) -> None:
        pass


class _SharedKey:
    """Signs with the account's key: Shared Key for blobs and queues, Shared Key Lite for tables."""

    def __init__(self, account: Account) -> None:
        self._name = account.name
        self._key = account.key

    async def authorize(self, request: Unsigned, seconds: float) -> None:
        if request.service == "table":
            scheme, text = "SharedKeyLite", f"{request.headers['x-ms-date']}\n/{self._name}{request.path}"
        else:
            scheme, text = "SharedKey", self._text(request)
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()
        request.headers["Authorization"] = f"{scheme} {self._name}:{signature}"

    def _text(self, request: Unsigned) -> str:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.size:
            headers["content-length"] = str(request.size)
        lines = [request.method, *(headers.get(name, "") for name in _SIGNED)]
        lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        lines.append(f"/{self._name}{request.path}")
        lines += [f"{name}:{value}" for name, value in sorted(parse_qsl(request.query, keep_blank_values=True))]
        return "\n".join(lines)

    async def close(self) -> None:
        pass


class _Identity:
    """Tokens, each as long as it is good."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._source: Any = None
        self._header = ""
        self._expires = 0.0
        self._renewing = asyncio.Lock()

    async def authorize(self, request: Unsigned, seconds: float) -> None:
        if self._stale:
            await self._renew(seconds)
        request.headers["Authorization"] = self._header

    @property
    def _stale(self) -> bool:
        return time.time() > self._expires - _RENEWED_SECONDS

    async def _renew(self, seconds: float) -> None:
        """Once for all who find the token stale at the same time."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            async with asyncio.timeout(seconds), self._renewing:
                if not self._stale:
                    return
                token = await self._opened().get_token(_SCOPE)
        except (AzureError, OSError) as error:
            raise NoToken(type(error).__name__, refused=isinstance(error, ClientAuthenticationError)) from None
        self._header, self._expires = f"Bearer {token.token}", token.expires_on

    def _opened(self) -> Any:
        if self._source is None:
            from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

            client_id = self._account.client_id or None
            if self._account.managed:
                self._source = ManagedIdentityCredential(client_id=client_id)
            else:
                self._source = DefaultAzureCredential(managed_identity_client_id=client_id)
        return self._source

    async def close(self) -> None:
        if self._source is not None:
            await self._source.close()
            self._source = None
