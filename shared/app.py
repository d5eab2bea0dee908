"""The function app: every group of routes, every timer and every queue registers its functions here."""

import importlib
from importlib.util import find_spec

import azure.functions as func

BLUEPRINTS = (
    "studies",
    "series",
    "instances",
    "changefeed",
    "partitions",
    "health",
    "emulator",
    "catch_all",
    "timers",
    "queues",
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for name in BLUEPRINTS:
    if find_spec(f".routes.{name}", __package__):
        app.register_functions(importlib.import_module(f".routes.{name}", __package__).blueprint)
