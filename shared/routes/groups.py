"""The route groups that there are. What is named here is registered, and known to the catch-all."""

from . import (
    changefeed,
    emulator,
    extendedquerytags,
    health,
    instances,
    operations,
    partitions,
    series,
    studies,
    token_endpoints,
    workitems,
)

MODULES = (
    studies,
    series,
    instances,
    changefeed,
    extendedquerytags,
    operations,
    workitems,
    partitions,
    health,
    emulator,
)
"""Each has a `GROUP`, its route table, and a `blueprint`, its function."""

GROUPS = (*(module.GROUP for module in MODULES), token_endpoints.GROUP)
"""All route tables. Those without a function of their own are served by the catch-all."""
