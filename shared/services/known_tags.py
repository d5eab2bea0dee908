"""What a process knows of the extended query tags, so that not every store has to read them (TAG-21).

It is believed for `TRUSTED_SECONDS`. A store looks before its commit which values to bring, and afterwards whether
what it knew was still to be believed at the end of the commit; if not it reads again, and gives its instances the
values of tags that have come. So every instance whose commit ends after a reindex has begun to walk has its values:
the walk begins `reindex.START_DELAY` after the tags were added, which is longer.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..storage.extended_query_tags import ExtendedQueryTag, ExtendedQueryTags, TagStatus
from ..storage.primitives import Storage
from ..storage.records import InstanceKey, TagValues
from ..storage.tag_indexing import TagIndexing
from .tag_values import index_instances, tag_values

if TYPE_CHECKING:
    from ..composition import Services

TRUSTED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags by which instances are indexed, as they were at a moment of this process's own clock."""

    tags: tuple[ExtendedQueryTag, ...]
    failed: bool
    serial: int
    read: float

    @property
    def trusted(self) -> bool:
        return time.monotonic() - self.read < TRUSTED_SECONDS

    def values(self, metadata: bytes) -> TagValues:
        """What an instance of this metadata contributes, and what is known of the tags besides."""
        values = tag_values(self.tags, metadata)[0] if self.tags else TagValues()
        return replace(values, columns=frozenset(tag.column for tag in self.tags), serial=self.serial)


_NOTHING_KNOWN = KnownTags((), False, 0, float("-inf"))


class TagMemory:
    """The tags as read last."""

    def __init__(self, storage: Storage) -> None:
        self._tags = ExtendedQueryTags(storage)
        self._known = _NOTHING_KNOWN

    async def known(self) -> KnownTags:
        """What may be believed now; reads only if what was read last is too old."""
        if not self._known.trusted:
            began = time.monotonic()
            there = await self._tags.read()
            indexed = tuple(tag for tag in there.tags if tag.status is not TagStatus.DELETING)
            self._known = KnownTags(indexed, any(tag.failed for tag in there.tags), there.serial, began)
        return self._known

    def forget(self) -> None:
        """Of the store as it was before a reset nothing holds."""
        self._known = _NOTHING_KNOWN


async def catch_up(services: "Services", known: KnownTags, instances: Sequence[InstanceKey]) -> None:
    """After a commit of `instances` with the values of `known`: gives them those of tags that have come meanwhile."""
    if known.trusted or not instances:
        return
    columns = {tag.column for tag in known.tags}
    new = [tag for tag in (await services.tags.known()).tags if tag.column not in columns]
    if new:
        tagged = TagIndexing(services.storage, services.index)
        await index_instances(tagged, services.committer.index_tags, new, await tagged.of_instances(instances))
