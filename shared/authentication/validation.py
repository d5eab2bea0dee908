"""Whether a token holds: signature, issuer, audience and times (PLT-32, PLT-34, PLT-36)."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeGuard

import jwt
from jwt.types import Options

from ..settings import Settings, listed
from .identity import InvalidToken
from .signing_keys import SigningKeys

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "ES256"})
"""Never `none`, and none whose key would be a secret that both sides know."""

CLOCK_SKEW = 300
"""Seconds by which the clocks of issuer and service may differ."""

_SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""The claims are checked here, since what is wrong with them is told to the client."""


class TokenValidation:
    """Validates tokens against the keys of an authority."""

    def __init__(self, settings: Settings, keys: SigningKeys) -> None:
        self._keys = keys
        self._audiences = frozenset(listed(settings.auth_audiences))

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What the token says, if all of it holds; raises `InvalidToken` and `Unavailable`."""
        claims = await self._signed_claims(token)
        _check_times(claims)
        self._check_audience(claims.get("aud"))
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in await self._keys.issuers():
            raise InvalidToken(f"The issuer '{_shown(issuer)}' is invalid")
        return claims

    async def _signed_claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("The token is malformed") from None
        algorithm, identifier = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise InvalidToken("The signature is invalid")
        key = await self._keys.find(identifier) if isinstance(identifier, str) else None
        if key is None:
            raise InvalidToken("The signature key was not found")
        if not key.fits(algorithm):
            raise InvalidToken("The signature is invalid")
        try:
            claims: Mapping[str, Any] = jwt.decode(token, key.key, algorithms=[algorithm], options=_SIGNATURE_ALONE)
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
            raise InvalidToken("The signature is invalid") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("The token is malformed") from None
        return claims

    def _check_audience(self, audience: Any) -> None:
        audiences: Sequence[Any] = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in self._audiences for one in audiences):
            raise InvalidToken(f"The audience '{', '.join(map(_shown, audiences))}' is invalid")


def _check_times(claims: Mapping[str, Any]) -> None:
    now = datetime.now(UTC).timestamp()
    expires, begins = claims.get("exp"), claims.get("nbf")
    if not _is_time(expires):
        raise InvalidToken("The token has no expiration")
    if now >= expires + CLOCK_SKEW:
        raise InvalidToken(f"The token expired at '{_written(expires)}'")
    if begins is not None and (not _is_time(begins) or now < begins - CLOCK_SKEW):
        raise InvalidToken(f"The token is not valid before '{_written(begins)}'")


def _is_time(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _written(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%m/%d/%Y %H:%M:%S")
    except (ValueError, OverflowError, OSError, TypeError):
        return "?"


def _shown(value: Any) -> str:
    """A claim as it can stand in a header: printable ASCII without quotation marks, and not without end."""
    if not isinstance(value, str):
        return "(null)"
    return "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "?" for sign in value[:200])
