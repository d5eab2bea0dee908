"""Asks requests for their token, and says how to get one (PLT-35 to PLT-37)."""

from functools import cache

from starlette.requests import Request

from ..authentication.authenticators import Authenticator, authenticator
from ..authentication.identity import ANYBODY, Identity, InvalidToken, bearer_token
from ..dicomweb.urls import origin
from ..errors import Unauthenticated
from ..settings import Settings, listed, settings


@cache
def _authenticator() -> Authenticator | None:
    """That of this process, which keeps the keys that it has fetched."""
    return authenticator(settings())


async def identify(request: Request) -> Identity:
    """Who calls; raises `Unauthenticated`, and `Unavailable` while that cannot be told."""
    authenticator = _authenticator()
    if authenticator is None:
        return ANYBODY
    try:
        return await authenticator.identify(bearer_token(request.headers.get("authorization")))
    except InvalidToken as error:
        raise Unauthenticated(challenge(request, settings(), str(error))) from None


def challenge(request: Request, settings_: Settings, fault: str = "") -> str:
    """The `WWW-Authenticate` header; `fault` is what is wrong with the token that came."""
    issuers = listed(settings_.auth_issuers)
    authority = settings_.auth_authority or (issuers[0] if issuers else "")
    authority = authority or f"{origin(request, settings_.public_url)}/common"
    audience = listed(settings_.auth_audiences)[0]
    text = f'Bearer authorization_uri="{authority}", resource_id="{audience}", realm="{audience}"'
    return f'{text}, error="invalid_token", error_description="{fault}"' if fault else text
