"""The function app: every group of routes and every timer registers its functions here."""

import azure.functions as func

from .composition import close_services
from .routes import catch_all, changefeed, emulator, health, instances, partitions, series, studies, timers, workitems
from .web_extension import at_stop

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for group in (studies, series, instances, changefeed, workitems, partitions, health, emulator, catch_all, timers):
    app.register_functions(group.blueprint)

at_stop(close_services)
