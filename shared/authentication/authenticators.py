"""The modes in which tokens are looked at: not at all, by their look, or as the service does (PLT-30 to PLT-32)."""

from collections.abc import Mapping
from typing import Any, Protocol

import jwt
from jwt.types import Options

from ..settings import Settings, read_role_assignments
from .identity import Identity, audited_claims, roles_claim
from .roles import actions_of
from .signing_keys import SigningKeys, key_sources
from .validation import TokenValidation

_IDENTIFYING_CLAIMS = ("oid", "appid", "azp", "sub")
"""Those by which roles are assigned to an identity (PLT-44)."""

_UNVERIFIED: Options = {"verify_signature": False}


class Authenticator(Protocol):
    """Tells who calls by the token; raises `InvalidToken`, and `Unavailable` while it cannot tell."""

    async def identify(self, token: str) -> Identity: ...


def authenticator(settings: Settings) -> Authenticator | None:
    """What the settings ask for; None while tokens are not looked at."""
    if settings.auth_mode == "off":
        return None
    default = default_roles(settings.auth_default_role)
    if settings.auth_mode == "mock":
        return MockAuthenticator(default)
    validation = TokenValidation(settings, SigningKeys(key_sources(settings)))
    return StrictAuthenticator(validation, read_role_assignments(settings.auth_role_assignments), default)


def default_roles(name: str) -> tuple[str, ...]:
    """The roles of an identity that nothing is known about: one, or none."""
    return () if name.strip().lower() == "none" else (name,)


class MockAuthenticator:
    """A token has to be there; nothing about it is verified (PLT-31)."""

    def __init__(self, default_roles: tuple[str, ...]) -> None:
        self._default = actions_of(default_roles)

    async def identify(self, token: str) -> Identity:
        """Roles as the token claims them, if it can be read and does."""
        claims = unverified_claims(token)
        roles = roles_claim(claims)
        return Identity(self._default if roles is None else actions_of(roles), audited_claims(claims))


class StrictAuthenticator:
    """A token has to hold. Roles are those of the token, else those assigned to its identity, else the default."""

    def __init__(
        self,
        validation: TokenValidation,
        assignments: Mapping[str, tuple[str, ...]],
        default_roles: tuple[str, ...],
    ) -> None:
        self._validation = validation
        self._assignments = assignments
        self._default = default_roles

    async def identify(self, token: str) -> Identity:
        """Raises `InvalidToken`, and `Unavailable` while the keys cannot be had."""
        claims = await self._validation.claims(token)
        return Identity(actions_of(self._roles(claims)), audited_claims(claims))

    def _roles(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        roles = roles_claim(claims)
        if roles is not None:
            return tuple(roles)
        identities = (claims.get(name) for name in _IDENTIFYING_CLAIMS)
        assigned = (self._assignments.get(one) for one in identities if isinstance(one, str))
        return next((roles for roles in assigned if roles is not None), self._default)


def unverified_claims(token: str) -> Mapping[str, Any]:
    """What a token says, if it is one; whoever made it."""
    try:
        claims: Any = jwt.decode(token, options=_UNVERIFIED)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
