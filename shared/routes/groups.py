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
