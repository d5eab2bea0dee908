"""Paths that only an emulator has: `POST /_emulator/reset` brings the store into a known state, for tests."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import emulator as handlers
from .route_table import RouteGroup

GROUP = RouteGroup(
    "emulator",
    (Route("POST", "/_emulator/reset", handlers.emulator_reset, "", "delete"),),
    versioned=False,
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("_emulator/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def emulator(req: Request) -> Response:
    """Every request below `/_emulator`."""
    return await dispatch(GROUP, req)
