"""Tokens for any client that asks, in the shapes of Microsoft Entra ID and of a managed identity (PLT-40)."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.responses import Response

from ...authentication.local_tokens import LIFETIME, LocalToken, audience_of, local_token
from ...dicomweb.query_string import query_pairs
from ...errors import TooLarge
from ...settings import AUDIENCE, read_role_assignments, settings
from ..call import Call

JSON = "application/json; charset=utf-8"
LARGEST_FORM = 65_536
MANAGED_IDENTITY = "managed-identity"
"""Client id of whoever asks for a token without saying who it is."""


async def token_of_client(call: Call) -> Response:
    """`client_credentials` with whatever secret or assertion (RFC 6749 4.4)."""
    form = dict(parse_qsl((await _body(call)).decode("utf-8", "replace"), keep_blank_values=True))
    if form.get("grant_type", "client_credentials") != "client_credentials":
        return _error("unsupported_grant_type", "Only client_credentials is supported.")
    audience = form.get("resource") or audience_of(form.get("scope", "")) or AUDIENCE
    token = _token(call, audience, call.path["tenant"], form.get("client_id") or MANAGED_IDENTITY)
    answer = {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token.text}
    return _json(answer)


async def token_of_managed_identity(call: Call) -> Response:
    """What `IDENTITY_ENDPOINT` answers in the App Service."""
    query = dict(query_pairs(call.request.scope["query_string"]))
    resource = query.get("resource", "")
    if not resource:
        return _error("invalid_request", "The query parameter 'resource' is missing.")
    client = query.get("client_id") or MANAGED_IDENTITY
    token = _token(call, audience_of(resource), "common", client)
    return _json(
        {
            "access_token": token.text,
            "expires_on": str(token.expires),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client,
        }
    )


async def openid_configuration(call: Call) -> Response:
    """What client libraries read to find the token endpoint (OpenID Connect Discovery 4)."""
    tenant, base = call.path["tenant"], call.base_url.rstrip("/")
    return _json(
        {
            "issuer": _issuer(call, tenant),
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["HS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        }
    )


async def no_signing_keys(call: Call) -> Response:
    """An empty set: the tokens of this endpoint are never verified."""
    return _json({"keys": []})


def _token(call: Call, audience: str, tenant: str, client: str) -> LocalToken:
    return local_token(
        issuer=_issuer(call, tenant),
        audience=audience,
        tenant=tenant,
        client=client,
        assignments=read_role_assignments(settings().auth_role_assignments),
    )


def _issuer(call: Call, tenant: str) -> str:
    return f"{call.base_url.rstrip('/')}/{tenant}/v2.0"


async def _body(call: Call) -> bytes:
    body = bytearray()
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise TooLarge(LARGEST_FORM)
    return bytes(body)


def _error(code: str, description: str) -> Response:
    return _json({"error": code, "error_description": description}, 400)


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, {"Cache-Control": "no-store"}, JSON)
