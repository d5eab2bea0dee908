"""Paths that begin with `/partitions`: the twins of every partitioned route (PLT-48 to PLT-50)."""

import azure.functions as func

from ..errors import InvalidRequest
from ..web_extension import Request, Response
from . import instances, series, studies, workitems
from .call import Call, Route
from .dispatch import METHODS, dispatch
from .route_table import RouteGroup, partitioned


async def partitions_disabled(call: Call) -> Response:
    """What each of the paths answers while data partitions are off, whatever the name in it."""
    raise InvalidRequest("Data partitions feature is disabled.")


PARTITIONED = (*studies.GROUP.routes, *series.GROUP.routes, *instances.GROUP.routes, *workitems.GROUP.routes)
"""The routes that exist once more below `/partitions/{partition}`."""

GROUP = RouteGroup(
    "partitions",
    (
        Route("GET", "/partitions", partitions_disabled, "partition"),
        *partitioned(PARTITIONED, partitions_disabled),
    ),
    standalone=True,
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/partitions/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def partitions(req: Request) -> Response:
    """Every request below `/{version}/partitions`."""
    return await dispatch(GROUP, req)
