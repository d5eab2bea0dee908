"""Health and the start page: paths without a version, anonymous in every mode (PLT-11, PLT-20, PLT-21)."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import health as handlers
from .route_table import RouteGroup

GROUP = RouteGroup(
    "health",
    (
        Route("GET", "/", handlers.health_home_page, "", ""),
        Route("GET", "/health", handlers.health_status, "", ""),
        Route("GET", "/health/check", handlers.health_check, "", ""),
    ),
    versioned=False,
    standalone=True,
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("health/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: Request) -> Response:
    """Every request below `/health`; `/` itself comes to the catch-all."""
    return await dispatch(GROUP, req)
