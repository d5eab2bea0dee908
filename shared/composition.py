"""Puts the service together: one set of services a process, made when the first function is invoked."""

import asyncio
import gc
from dataclasses import dataclass, field

from .clock import Clock, wall_clock
from .services import maintenance, search_results
from .services.codecs import Codecs
from .services.known_tags import TagMemory
from .services.retrieve_metadata import MetadataArrays
from .settings import Settings, settings
from .storage.change_feed import ChangeFeed
from .storage.committer import Committer
from .storage.engine import open_files, open_storage
from .storage.files import Files
from .storage.garbage import GarbageCollector
from .storage.index import Index
from .storage.memory import StudyMemory
from .storage.primitives import Storage
from .storage.projections import Projections
from .storage.recollection import Recollection
from .storage.table_file import TableFile
from .storage.value_completion import ValueCompletion
from .storage.value_lookup import ValueLookup
from .storage.workitems import Workitems


@dataclass(slots=True)
class Services:
    """What the functions of one process share."""

    settings: Settings
    clock: Clock
    storage: Storage
    files: Files
    index: Index
    projections: Projections
    value_lookup: ValueLookup
    value_completion: ValueCompletion
    change_feed: ChangeFeed
    committer: Committer
    garbage: GarbageCollector
    workitems: Workitems
    memory: StudyMemory
    recollection: Recollection
    tags: TagMemory
    table_file: TableFile
    codecs: Codecs
    metadata_arrays: MetadataArrays = field(default_factory=MetadataArrays)
    repairs: maintenance.Repairs = field(init=False)

    def __post_init__(self) -> None:
        self.repairs = maintenance.Repairs(self)

    async def reset(self) -> None:
        """Empties the store, and what this process remembers of it."""
        await self.committer.empty(self.storage.reset)
        await self.value_completion.emptied()
        self.memory.clear()
        self.recollection.clear()
        self.metadata_arrays.clear()
        self.tags.forget()
        self.change_feed.forget()

    async def close(self) -> None:
        """Finishes what runs and closes the connections."""
        await self.repairs.close()
        await self.committer.close()
        await self.codecs.close()
        await self.storage.close()


def assemble(settings_: Settings, storage: Storage, clock: Clock = wall_clock) -> Services:
    """The services over a storage that is open."""
    memory = StudyMemory()
    recollection = Recollection()
    files = open_files(settings_, storage, clock)

    def storage_lost_entries() -> None:
        memory.clear()
        made.repairs.soon(maintenance.AFTER_LOSS_SECONDS)

    feed = ChangeFeed(storage, clock, on_loss=storage_lost_entries)
    projections = Projections(storage, clock, search_results.prepare)
    made = Services(
        settings=settings_,
        clock=clock,
        storage=storage,
        files=files,
        index=Index(storage, files, recollection),
        projections=projections,
        value_lookup=ValueLookup(storage, projections.months),
        value_completion=ValueCompletion(storage, clock),
        change_feed=feed,
        committer=Committer(storage, files, feed, projections, memory, recollection, clock),
        garbage=GarbageCollector(storage, files, feed, clock),
        workitems=Workitems(storage, clock),
        memory=memory,
        recollection=recollection,
        tags=TagMemory(storage),
        table_file=TableFile(settings_),
        codecs=Codecs(settings_.codec_processes, settings_.codec_timeout_seconds),
    )
    return made


async def open_services(settings_: Settings, clock: Clock = wall_clock) -> Services:
    """Opens the storage that the settings name, makes what is missing in it, and puts the services on it."""
    storage = open_storage(settings_)
    try:
        await storage.prepare()
        await ValueCompletion(storage, clock).open()
    except BaseException:
        await storage.close()
        raise
    return assemble(settings_, storage, clock)


class _Process:
    """The services of this process, and the attempt to open them."""

    def __init__(self) -> None:
        self.services: Services | None = None
        self.opening: asyncio.Task[Services] | None = None


_process = _Process()


async def services() -> Services:
    """The services of this process; raises `Unavailable` while storage cannot be reached.

    All who ask while they are being opened share one attempt and its failure, so that nobody waits for more than one.
    """
    if _process.services is not None:
        return _process.services
    if _process.opening is None:
        _process.opening = asyncio.create_task(_open())
    return await asyncio.shield(_process.opening)


async def _open() -> Services:
    try:
        opened = await open_services(settings())
    finally:
        _process.opening = None
    _process.services = opened
    # All modules are loaded by now. The collector need not go over them again: that would stop the event loop for some
    # 50 ms, whenever a request has made many objects.
    gc.collect()
    gc.freeze()
    opened.repairs.soon(0)  # whatever dead processes left open
    return opened


async def close_services() -> None:
    """Ends what `services` began; for hosts that stop in good order."""
    if _process.services is not None:
        await _process.services.close()
        _process.services = None
