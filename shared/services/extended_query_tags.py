"""Extended query tags: adding, listing, switching and removing them (TAG-01 to TAG-14)."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..dicom.attributes import Level
from ..dicomweb.extended_query_tag_requests import CheckedTag, RequestedTag, checked_tags
from ..dicomweb.query_string import Page
from ..dicomweb.search_parameters import Filter, SearchableTag
from ..errors import Conflict, InvalidRequest, NotFound
from ..storage.extended_query_tags import ExtendedQueryTag, ExtendedQueryTags, TagError, TagSet, TagStatus
from .parallel import in_parallel
from .reindex import start_reindex

if TYPE_CHECKING:
    from ..composition import Services

MOST_TAGS = 128

LOOKED_UP = 100
"""Instances whose rows are read at once."""


class ReindexRunning(Conflict):
    """Tags cannot be added while the reindex `operation` runs (TAG-08)."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"There is already an active re-index operation with ID '{operation}'.")
        self.operation = operation


@dataclass(frozen=True, slots=True)
class CountedTag:
    """A tag and how many errors it has."""

    tag: ExtendedQueryTag
    errors: int


async def add_tags(services: "Services", requested: Sequence[RequestedTag]) -> str:
    """Adds the tags and starts their reindex; returns its id.

    Raises `ReindexRunning`, `InvalidRequest` for a tag at fault or one too many, `Conflict` if one is there already.
    """
    tags = ExtendedQueryTags(services.storage)
    _refuse_second_reindex(await tags.read())
    checked = checked_tags(requested)
    operation = uuid.uuid4().hex

    def with_new(before: TagSet) -> TagSet:
        if before.operation == operation:
            return before
        _refuse_second_reindex(before)
        return _with_new(before, checked, operation)

    # refused already, before an operation is written down for nothing
    _with_new(await tags.read(), checked, operation)
    await start_reindex(services, operation, lambda: tags.change(with_new))
    return operation


def _refuse_second_reindex(tags: TagSet) -> None:
    if tags.operation:
        raise ReindexRunning(tags.operation)


def _with_new(before: TagSet, checked: Iterable[CheckedTag], operation: str) -> TagSet:
    added = list(checked)
    if any(before.find(tag.path) for tag in added):
        raise Conflict("One or more extended query tags already exist.")
    if len(before.tags) + len(added) > MOST_TAGS:
        raise InvalidRequest(f"Extended query tags exceeds max allowed count '{MOST_TAGS}'.")
    new = [
        ExtendedQueryTag(
            path=tag.path,
            vr=tag.vr,
            level=tag.level.value,
            serial=before.serial + number,
            creator=tag.creator,
            operation=operation,
        )
        for number, tag in enumerate(added, 1)
    ]
    return TagSet((*before.tags, *new), before.serial + len(new), operation)


async def list_tags(services: "Services", page: Page) -> list[CountedTag]:
    """The tags in order of addition (TAG-09)."""
    tags = ExtendedQueryTags(services.storage)
    wanted = (await tags.read()).tags[page.offset : page.end]
    return [
        CountedTag(tag, errors)
        for tag, errors in zip(wanted, await in_parallel(tags.count_errors, wanted), strict=True)
    ]


async def get_tag(services: "Services", path: str) -> CountedTag:
    """One tag; raises `NotFound`."""
    tags = ExtendedQueryTags(services.storage)
    tag = _found(await tags.read(), path)
    return CountedTag(tag, await tags.count_errors(tag))


async def switch_tag(services: "Services", path: str, *, enabled: bool) -> CountedTag:
    """Switches searching by the tag on or off (TAG-11); raises `NotFound`."""
    tags = ExtendedQueryTags(services.storage)
    changed = await tags.change(lambda before: before.with_tag(replace(_found(before, path), enabled=enabled)))
    tag = _found(changed, path)
    return CountedTag(tag, await tags.count_errors(tag))


async def remove_tag(services: "Services", path: str) -> None:
    """Removes the tag with its values and errors (TAG-13); raises `NotFound`.

    The values stay in the rows under a name that no tag will have again; who writes such a row anew leaves them out.
    """
    tags = ExtendedQueryTags(services.storage)
    tag = _found(await tags.read(), path)

    def without(before: TagSet) -> TagSet:
        left = tuple(each for each in before.tags if each.column != tag.column)
        return replace(before, tags=left)

    await tags.change(without)
    await tags.remove_errors(tag)


async def tag_errors(services: "Services", path: str, page: Page) -> list[TagError]:
    """The errors of a tag, oldest first (TAG-14); raises `NotFound`."""
    tags = ExtendedQueryTags(services.storage)
    tag = _found(await tags.read(), path)
    return (await tags.errors(tag))[page.offset : page.end] if tag.failed else []


async def forget_errors(services: "Services", partition: str, study: str, series: str = "", instance: str = "") -> None:
    """Removes the errors of what was deleted from all tags (TAG-32)."""
    tags = ExtendedQueryTags(services.storage)
    for tag in (await tags.read()).tags:
        if tag.failed:
            await tags.remove_errors(tag, partition, study, series, instance)


async def forget_gone_errors(services: "Services") -> None:
    """Removes errors of instances that are not there any more, whoever deleted them: an expiry, or a process that died
    before it had removed their errors (STO-152, TAG-32)."""
    tags = ExtendedQueryTags(services.storage)
    for tag in (await tags.read()).tags:
        errors = await tags.errors(tag) if tag.failed else []
        for start in range(0, len(errors), LOOKED_UP):
            keys = [error.key for error in errors[start : start + LOOKED_UP]]
            there = await services.index.versions(keys)
            await tags.remove_errors_of(tag, [key for key in keys if key not in there])


async def searchable_tags(services: "Services") -> dict[str, SearchableTag]:
    """The tags that searches may name, by path (QRY-13)."""
    tags = await ExtendedQueryTags(services.storage).read()
    return {
        tag.path: SearchableTag(tag.path, tag.vr, Level(tag.level), tag.enabled, tag.column)
        for tag in tags.tags
        if tag.status is TagStatus.READY
    }


async def erroneous_keys(services: "Services", filters: Iterable[Filter]) -> list[str]:
    """The filters, as the client named them, whose tags have errors (TAG-31)."""
    tags = ExtendedQueryTags(services.storage)
    by_column = {tag.column: tag for tag in (await tags.read()).tags if tag.failed}
    return [
        each.key
        for each in filters
        if (tag := by_column.get(each.column)) is not None and await tags.count_errors(tag, most=1)
    ]


def _found(tags: TagSet, path: str) -> ExtendedQueryTag:
    tag = tags.find(path)
    if tag is None:
        raise NotFound(f"The specified extended query tag with tag path {path} cannot be found.")
    return tag
