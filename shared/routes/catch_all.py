"""Whatever no other function takes: `/`, unknown paths, paths without a version (PLT-04, PLT-05, PLT-113).

It knows the tables of all groups, so that the answer is the same if the host gives it a path that another function
would have taken.
"""

import azure.functions as func

from ..web_extension import Request, Response
from . import documents, groups
from .dispatch import METHODS, dispatch
from .route_table import RouteGroup

EVERYTHING = RouteGroup.union("catch_all", (*groups.GROUPS, documents.GROUP))

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{*path}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def zz_catch_all(req: Request) -> Response:
    """The host tries functions by name, and this one has to come last."""
    return await dispatch(EVERYTHING, req)
