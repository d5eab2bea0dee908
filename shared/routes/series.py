"""`/series`: the search over all series."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import search
from .route_table import RouteGroup

GROUP = RouteGroup("series", (Route("GET", "/series", search.search_series, "query"),))

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/series/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def series(req: Request) -> Response:
    """Every request below `/{version}/series`."""
    return await dispatch(GROUP, req)
