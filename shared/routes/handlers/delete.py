"""DELETE of a study, a series, an instance (STO-140 to STO-151)."""

from starlette.responses import Response

from ...services.extended_query_tags import forget_errors
from ..call import Call


async def delete_study(call: Call) -> Response:
    """All instances of the study."""
    return await _delete(call, "study")


async def delete_series(call: Call) -> Response:
    """All instances of the series in this study."""
    return await _delete(call, "study", "series")


async def delete_instance(call: Call) -> Response:
    """One instance of this study and series."""
    return await _delete(call, "study", "series", "instance")


async def _delete(call: Call, *levels: str) -> Response:
    """All UIDs of the path are checked before anything is looked up (STO-146)."""
    uids = [call.uid(level) for level in levels]
    await call.services.committer.delete(call.partition, *uids)
    if (await call.services.tags.known()).failed:
        await forget_errors(call.services, call.partition, *uids)
    return Response(status_code=204)
