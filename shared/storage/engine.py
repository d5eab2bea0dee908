"""Which of the two engines keeps the store: the settings say it."""

from ..settings import Settings
from .primitives import Storage


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name. Each engine's libraries are imported only when it is the one."""
    if settings.store == "embedded":
        from .embedded import EmbeddedStorage

        return EmbeddedStorage(settings.store_path, settings.store_durable)
    from .azure import AzureStorage

    return AzureStorage(settings)
