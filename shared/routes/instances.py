"""`/instances`: the search over all instances."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import search
from .route_table import RouteGroup

GROUP = RouteGroup("instances", (Route("GET", "/instances", search.search_instances, "query"),))

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/instances/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def instances(req: Request) -> Response:
    """Every request below `/{version}/instances`."""
    return await dispatch(GROUP, req)
