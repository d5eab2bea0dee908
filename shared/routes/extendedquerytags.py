"""Paths that begin with `/extendedquerytags`."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import extended_query_tags as handlers
from .route_table import RouteGroup

TAGS = "/extendedquerytags"
TAG = "/extendedquerytags/{tag}"

MANAGE = "manageExtendedQueryTags"

GROUP = RouteGroup(
    "extendedquerytags",
    (
        Route("POST", TAGS, handlers.add_extended_query_tags, "add-extended-query-tag", MANAGE),
        Route("GET", TAGS, handlers.list_extended_query_tags, "get-all-extended-query-tag"),
        Route("GET", TAG, handlers.read_extended_query_tag, "get-extended-query-tag"),
        Route("PATCH", TAG, handlers.switch_extended_query_tag, "update-extended-query-tag", MANAGE),
        Route("DELETE", TAG, handlers.delete_extended_query_tag, "remove-extended-query-tag", MANAGE),
        Route("GET", f"{TAG}/errors", handlers.list_extended_query_tag_errors, "get-extended-query-tag-errors"),
    ),
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/extendedquerytags/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def extendedquerytags(req: Request) -> Response:
    """Every request below `/{version}/extendedquerytags`."""
    return await dispatch(GROUP, req)
