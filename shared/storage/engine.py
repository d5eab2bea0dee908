"""Which of the two engines keeps the store: the settings say it."""

from pathlib import Path

from ..clock import Clock
from ..settings import Settings
from .files import Files
from .primitives import Storage


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name. Each engine's libraries are imported only when it is the one."""
    if settings.store == "embedded":
        from .embedded import EmbeddedStorage

        return EmbeddedStorage(settings.store_path, settings.store_durable)
    from .azure import AzureStorage

    return AzureStorage(settings)


def open_files(settings: Settings, storage: Storage, clock: Clock) -> Files:
    """The files in the storage; with copies on the local disk where they come over a network."""
    if settings.store == "embedded" or not settings.local_copies_bytes:
        return Files(storage, clock)
    from .local_copies import CopiedFiles, LocalCopies, default_folder

    folder = Path(settings.local_copies_path) if settings.local_copies_path else default_folder()
    return CopiedFiles(storage, clock, LocalCopies(folder, settings.local_copies_bytes))
