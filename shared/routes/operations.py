"""Paths that begin with `/operations`."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import operations as handlers
from .route_table import RouteGroup

GROUP = RouteGroup("operations", (Route("GET", "/operations/{operation}", handlers.read_operation, "operation"),))

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/operations/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def operations(req: Request) -> Response:
    """Every request below `/{version}/operations`."""
    return await dispatch(GROUP, req)
