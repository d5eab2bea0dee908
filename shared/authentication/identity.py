"""Who calls, as far as it is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .roles import ACTIONS


class InvalidToken(Exception):
    """No token, or one that does not hold. The text tells the client what is wrong; it is empty without a token."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a caller may do, and what of the token goes into the audit log (PLT-45)."""

    actions: frozenset[str]
    claims: Mapping[str, str] = field(default_factory=dict)


ANYBODY = Identity(ACTIONS)
"""Every caller, while nobody is asked for a token."""


def bearer_token(header: str | None) -> str:
    """The token of an `Authorization` header (RFC 6750 2.1); raises `InvalidToken` if there is none (PLT-35)."""
    scheme, _, token = (header or "").strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken
    return token


def audited_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """Issuer and object id, if the token tells them."""
    return {name: claims[name] for name in ("iss", "oid") if isinstance(claims.get(name), str)}


def roles_claim(claims: Mapping[str, Any]) -> list[str] | None:
    """The roles that a token carries; None if it says nothing about roles."""
    roles = claims.get("roles")
    if roles is None:
        return None
    if isinstance(roles, str):
        return [roles]
    return [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
