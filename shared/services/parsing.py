"""Files on their way into the store: read once, out of the event loop unless that is soon done, and made a row of.

The way to a thread and back takes a tenth of a millisecond and more, as long as most files.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..dicom.instance import ParsedInstance, parse_instance, parse_short_instance
from ..dicomweb.spool import Spool
from ..storage.extended_query_tags import ExtendedQueryTag
from ..storage.records import InstanceKey, NewInstance, TagValues

SMALL_FILE = 32 * 1024
"""Bytes of a file that is gone over within the event loop, since even the worst takes a few milliseconds."""

# Two threads suffice: they share one interpreter, and each more would keep the event loop waiting longer for its turn.
_PARSERS = ThreadPoolExecutor(2, "parse")

T = TypeVar("T")


async def working_on(spool: Spool, work: Callable[[], T]) -> T:
    """The result of `work`, which goes over the file: in a thread unless that is small."""
    if spool.in_memory and spool.size <= SMALL_FILE:
        await asyncio.sleep(0)  # the next of many small files waits for everybody else's turn
        return work()
    return await asyncio.get_running_loop().run_in_executor(_PARSERS, work)


async def parse(
    spool: Spool, *, study: str | None = None, lenient: bool = True, tags: Sequence[ExtendedQueryTag] = ()
) -> ParsedInstance:
    """Reads and judges a file, as `parse_instance` does; raises `UnreadableFile`."""
    if spool.in_memory:
        await asyncio.sleep(0)  # the next of many small files waits for everybody else's turn
        with spool.content() as content:
            if isinstance(content, bytes):
                parsed = parse_short_instance(content, study=study, lenient=lenient, tags=tags)
                if parsed is not None:
                    return parsed

    def parse_now() -> ParsedInstance:
        with spool.content() as content:
            return parse_instance(content, study=study, lenient=lenient, tags=tags)

    return await working_on(spool, parse_now)


def new_instance(parsed: ParsedInstance, key: InstanceKey, file: str, size: int, tag_values: TagValues) -> NewInstance:
    """What is committed of a file that was uploaded as `file`, with the values of the tags."""
    return NewInstance(
        key=key,
        file=file,
        size=size,
        transfer_syntax=parsed.transfer_syntax,
        study_attributes=parsed.study_attributes,
        series_attributes=parsed.series_attributes,
        metadata=parsed.metadata,
        frames=parsed.frames,
        study_details=parsed.study_details,
        tag_values=tag_values,
    )
