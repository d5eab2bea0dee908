"""Which engine keeps the store."""

from ..settings import Settings
from .primitives import Storage


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name; nothing is connected yet."""
    from .azure import AzureStorage

    return AzureStorage(settings)
