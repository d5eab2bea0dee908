"""The timer: repair, expiry of studies and housekeeping (STO-123, protocol sections 8 and 11)."""

import azure.functions as func

from .. import composition
from ..services import maintenance
from ..settings import settings

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


def schedule(interval_seconds: int) -> str:
    """The NCRONTAB expression of an interval: whole seconds below a minute, whole minutes below an hour, else whole
    hours, at most 23 (STO-123)."""
    if interval_seconds < 60:
        return f"*/{interval_seconds} * * * * *"
    if interval_seconds < 3600:
        return f"0 */{interval_seconds // 60} * * * *"
    return f"0 0 */{min(interval_seconds // 3600, 23)} * * *"


@blueprint.timer_trigger(arg_name="timer", schedule=schedule(settings().expiry_interval_seconds), run_on_startup=False)
async def maintenance_timer(timer: func.TimerRequest) -> None:
    """Every hour by default; two copies at once do no harm."""
    await maintenance.run(await composition.services())
