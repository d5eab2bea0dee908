"""The public keys with which tokens are signed: fetched when first needed, kept, fetched anew when they change
(PLT-33)."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from ..errors import Unavailable
from ..settings import Settings, listed

MOST_FREQUENT = 30.0
"""Seconds between two fetches because of keys that are not known."""

AFTER_FAILURE = 1.0
"""Seconds after which an authority that did not answer is asked again."""

LONGEST_KEPT = 86_400.0
"""Seconds after which keys are fetched anew, so that withdrawn ones go."""

TIMEOUT = 5.0
LARGEST_DOCUMENT = 1_000_000

UNREACHABLE = "The authority that signs the tokens cannot be reached. Please try again later."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key; `algorithm` is the only one that it is for, if its publisher says so."""

    key: Any
    family: str
    algorithm: str | None = None

    def fits(self, algorithm: str) -> bool:
        """Whether a signature by `algorithm` can be verified with it."""
        families = {"RSA": ("RS", "PS"), "EC": ("ES",)}
        return algorithm[:2] in families[self.family] and self.algorithm in (None, algorithm)


@dataclass(frozen=True, slots=True)
class Published:
    """What an authority publishes."""

    keys: Mapping[str, SigningKey]
    issuers: frozenset[str]


Source = Callable[[], Awaitable[Published]]
"""Fetches what is published; raises whatever goes wrong."""


class SigningKeys:
    """The keys of one source, shared by all requests of a process."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._published: Published | None = None
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching = asyncio.Lock()

    async def find(self, identifier: str) -> SigningKey | None:
        """The key of that id; raises `Unavailable` if that cannot be told."""
        published = await self._current()
        key = published.keys.get(identifier)
        if key is None:
            published = await self._renewed(published)
            key = published.keys.get(identifier)
            if key is None and self._failed:
                raise Unavailable(UNREACHABLE)
        return key

    async def issuers(self) -> frozenset[str]:
        """Whose tokens are taken."""
        return (await self._current()).issuers

    async def _current(self) -> Published:
        """What is known, fetched if nothing is, or nothing of late."""
        known = self._published
        if known is not None and self._clock() - self._fetched < LONGEST_KEPT:
            return known
        async with self._fetching:
            if self._published is known and self._clock() - self._tried >= AFTER_FAILURE:
                await self._fetch()
        if self._published is None:
            raise Unavailable(UNREACHABLE)
        return self._published

    async def _renewed(self, known: Published) -> Published:
        """What is published now, unless that was looked at a moment ago."""
        async with self._fetching:
            wait = AFTER_FAILURE if self._failed else MOST_FREQUENT
            if self._published is known and self._clock() - self._tried >= wait:
                await self._fetch()
        return self._published or known

    async def _fetch(self) -> None:
        try:
            self._published = await self._source()
            self._fetched = self._clock()
            self._failed = False
        except Exception as error:
            logger.warning("The keys of the authority could not be fetched: %s", type(error).__name__)
            self._failed = True
        finally:
            self._tried = self._clock()


def key_sources(settings: Settings) -> Source:
    """Where the settings say that keys and issuers are (PLT-33)."""
    stated = frozenset(listed(settings.auth_issuers))

    async def fetch() -> Published:
        issuers, address = stated, settings.auth_jwks_uri
        if settings.auth_authority and not (issuers and (address or settings.auth_jwks_file)):
            base = settings.auth_authority.rstrip("/")
            configuration = await _get_json(f"{base}/.well-known/openid-configuration")
            issuers = issuers or frozenset({str(configuration["issuer"])})
            address = address or str(configuration["jwks_uri"])
        if settings.auth_jwks_file:
            text = await asyncio.to_thread(Path(settings.auth_jwks_file).read_text, "utf-8")
            return Published(read_keys(json.loads(text)), issuers)
        return Published(read_keys(await _get_json(address)), issuers)

    return fetch


def read_keys(document: Any) -> dict[str, SigningKey]:
    """The keys of a JWK set (RFC 7517 5) that tokens may be signed with; others are left out."""
    keys = {}
    for entry in document["keys"]:
        key = _read_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys[str(entry["kid"])] = key
    return keys


def _read_key(entry: Mapping[str, Any]) -> SigningKey | None:
    family = entry.get("kty")
    if family not in ("RSA", "EC") or "kid" not in entry or entry.get("use", "sig") != "sig":
        return None
    if family == "EC" and entry.get("crv") != "P-256":
        return None
    try:
        public = {name: value for name, value in entry.items() if name != "d"}
        key = (RSAAlgorithm if family == "RSA" else ECAlgorithm).from_jwk(json.dumps(public))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return SigningKey(key, family, entry.get("alg"))


async def _get_json(url: str) -> Any:
    import aiohttp  # only those who validate tokens need it here

    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session,
        session.get(url, raise_for_status=True) as response,
    ):
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_DOCUMENT:
                raise ValueError("the document is too large")
        return json.loads(body)
