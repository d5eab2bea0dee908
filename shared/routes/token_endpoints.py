"""Where credentials of the Azure SDKs get their tokens in mode `mock` (PLT-40).

The paths begin with a tenant, so no function of its own can take them: they come to the catch-all.
"""

from ..settings import settings
from .call import Route
from .handlers import token_endpoints as handlers
from .route_table import RouteGroup

ROUTES = (
    Route("POST", "/{tenant}/oauth2/v2.0/token", handlers.token_of_client, "", ""),
    Route("POST", "/{tenant}/oauth2/token", handlers.token_of_client, "", ""),
    Route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", handlers.openid_configuration, "", ""),
    Route("GET", "/{tenant}/.well-known/openid-configuration", handlers.openid_configuration, "", ""),
    Route("GET", "/{tenant}/discovery/v2.0/keys", handlers.no_signing_keys, "", ""),
    Route("GET", "/msi/token", handlers.token_of_managed_identity, "", ""),
)

GROUP = RouteGroup(
    "token_endpoints",
    ROUTES if settings().auth_mode == "mock" else (),
    versioned=False,
    standalone=True,
)
"""Empty in the other modes: these paths are unknown then."""
