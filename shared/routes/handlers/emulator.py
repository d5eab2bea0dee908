"""Requests to the emulator itself."""

from starlette.responses import Response

from ...errors import NotFound
from ..call import Call


async def emulator_reset(call: Call) -> Response:
    """Empties the store; not there where the setting switches it off, as it does by default on Azure."""
    if not call.services.settings.emulator_endpoints:
        raise NotFound
    await call.services.reset()
    return Response(status_code=204)
