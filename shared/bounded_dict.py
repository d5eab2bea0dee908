"""A dictionary of limited size, for what is worth remembering and can be had again."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """Forgets what was added first. Unlike a cache that watches reads, it costs no more to read than a dictionary."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add(self, key: K, value: V) -> None:
        """Remembers a value; one key is forgotten if there are more than the limit."""
        if len(self) >= self._most and key not in self:
            self.popitem(last=False)
        self[key] = value
