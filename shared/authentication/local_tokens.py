"""Tokens that the emulator gives out itself, so that credentials of the Azure SDKs work offline (PLT-40).

Nobody verifies their signature: they are for the mode in which no token is verified. Their key is made anew in every
process.
"""

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import jwt

LIFETIME = 3599
"""Seconds."""

_KEY = secrets.token_bytes(32)
_NAMESPACE = uuid.UUID("6f1d5c1e-3a52-4d2e-9c43-0d1c61b6a1f7")


@dataclass(frozen=True, slots=True)
class LocalToken:
    """A token, and when it ends in seconds since 1970."""

    text: str
    expires: int


def local_token(
    *,
    issuer: str,
    audience: str,
    tenant: str,
    client: str,
    assignments: Mapping[str, tuple[str, ...]],
) -> LocalToken:
    """A token for an application. Its object id follows from its client id; roles that are assigned to either are in
    the token, without any it names none."""
    now = int(time.time())
    identity = str(uuid.uuid5(_NAMESPACE, client))
    claims = {
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "tid": tenant,
        "appid": client,
        "oid": identity,
        "sub": identity,
        "ver": "1.0",
    }
    roles = assignments.get(identity, assignments.get(client))
    if roles is not None:
        claims["roles"] = list(roles)
    return LocalToken(jwt.encode(claims, _KEY, algorithm="HS256"), now + LIFETIME)


def audience_of(scope: str) -> str:
    """The resource that a scope such as `https://dicom.healthcareapis.azure.com/.default` is about."""
    first = next((one for one in scope.split() if "://" in one), scope.strip())
    return first.removesuffix("/.default")
