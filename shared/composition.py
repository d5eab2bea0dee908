"""Puts the service together: one set of services a process, made when the first function is invoked."""

import asyncio
from dataclasses import dataclass

from .clock import Clock, wall_clock
from .settings import Settings, settings
from .storage.change_feed import ChangeFeed
from .storage.commit import Committer
from .storage.files import Files
from .storage.index import Index
from .storage.primitives import Storage
from .storage.projections import Projections


@dataclass(slots=True)
class Services:
    """What the functions of one process share."""

    settings: Settings
    clock: Clock
    storage: Storage
    files: Files
    index: Index
    projections: Projections
    change_feed: ChangeFeed
    committer: Committer
