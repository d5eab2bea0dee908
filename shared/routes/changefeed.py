"""Paths that begin with `/changefeed` (CHG-01)."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import change_feed
from .route_table import RouteGroup

GROUP = RouteGroup(
    "changefeed",
    (
        Route("GET", "/changefeed", change_feed.read_change_feed, "change-feed"),
        Route("GET", "/changefeed/latest", change_feed.read_latest_change, "change-feed"),
    ),
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/changefeed/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def changefeed(req: Request) -> Response:
    """Every request below `/{version}/changefeed`."""
    return await dispatch(GROUP, req)
