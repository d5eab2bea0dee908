"""The function app: every group of routes, the timer and every queue registers its functions here."""

import os

import azure.functions as func

from .composition import close_services
from .freed_memory import keep_freed_memory
from .routes import catch_all, groups, queues, timers
from .settings import settings
from .web_extension import at_stop

keep_freed_memory()

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (*groups.MODULES, catch_all, timers, queues):
    app.register_functions(module.blueprint)

at_stop(close_services)

if settings().store == "embedded":
    from .storage.embedded_queue_source import SETTING

    # where the local host finds the queues of this store; the real host does not look at it
    os.environ.setdefault("DEVHOST_QUEUES", SETTING)
