"""Store (STOW-RS, PS3.18 10.5; STO-40 to STO-50, STO-100 to STO-117).

While the body arrives, each file that is complete is parsed and uploaded, and only what was parsed is kept. Nothing
shows before the last one: then the instances are committed study by study. A request that is refused on its way, or
whose client goes, leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..clock import Ticks
from ..dicom.instance import ParsedInstance, UnreadableFile
from ..dicomweb.spool import Spool
from ..dicomweb.store_response import (
    ALREADY_EXISTS,
    CANNOT_UNDERSTAND,
    PROCESSING_FAILURE,
    FailedInstance,
    InstanceResult,
    StoredInstance,
)
from ..errors import Unavailable
from ..storage.records import InstanceKey, NewInstance, Outcome
from .known_tags import KnownTags, catch_up
from .parsing import new_instance, parse
from .uploads import Uploads

if TYPE_CHECKING:
    from ..composition import Services

STUDIES_AT_A_TIME = 8
"""Studies of one request that are committed at once."""

_STORED = (Outcome.CREATED, Outcome.REPLACED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a store is about: `study` is the UID of the path, `lenient` false means the rules of version 1 (STO-160)."""

    partition: str
    study: str | None
    replace: bool
    lenient: bool
    expires: Ticks | None
    began: Ticks


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of each instance, in the order of the body."""

    instances: list[InstanceResult]
    multiple_values: bool
    """Whether a required attribute of one of them has several values (STO-81)."""


@dataclass(frozen=True, slots=True)
class _Received:
    """A file that can be stored, on its way."""

    parsed: ParsedInstance
    key: InstanceKey
    size: int
    upload: asyncio.Task[str]

    def new(self, known: KnownTags) -> NewInstance:
        """What is committed, with the values of the tags."""
        return new_instance(self.parsed, self.key, self.upload.result(), self.size, known.values(self.parsed.metadata))


async def store_files(services: "Services", request: StoreRequest, files: AsyncGenerator[Spool]) -> StoreResult:
    """Stores the instances of a request; raises `Unavailable`, and whatever `files` raises, with nothing stored."""
    uploads, emptied = Uploads(services.files), services.committer.emptied
    multiple_values = False
    received: list[_Received | FailedInstance] = []
    try:
        async with aclosing(files):
            async for spool in files:
                parsed = await _parse(services, spool, request)
                if isinstance(parsed, ParsedInstance):
                    multiple_values = multiple_values or parsed.multiple_values
                if isinstance(parsed, FailedInstance) or parsed.failed:
                    spool.close()
                    received.append(parsed if isinstance(parsed, FailedInstance) else _invalid(parsed))
                    continue
                key = InstanceKey(request.partition, parsed.study, parsed.series, parsed.instance)
                received.append(_Received(parsed, key, spool.size, await uploads.start(key, spool)))
        await uploads.finish()
    except BaseException:
        await uploads.take_back()
        raise
    outcomes = await _commit(services, request, emptied, [item for item in received if isinstance(item, _Received)])
    results = [item if isinstance(item, FailedInstance) else _result(item, outcomes[id(item)]) for item in received]
    return StoreResult(results, multiple_values)


async def _parse(services: "Services", spool: Spool, request: StoreRequest) -> ParsedInstance | FailedInstance:
    """Reads a file, out of the event loop unless it is small. The spool stays open unless this raises."""
    try:
        tags = () if request.lenient else (await services.tags.known()).tags
        return await parse(spool, study=request.study, lenient=request.lenient, tags=tags)
    except UnreadableFile:
        return FailedInstance(CANNOT_UNDERSTAND)
    except Exception:
        # Whatever a file does to the reader is the file's fault to its sender, and ours in the log (STO-69).
        logger.exception("A file could not be read.")
        return FailedInstance(CANNOT_UNDERSTAND)
    except BaseException:
        spool.close()
        raise


async def _commit(
    services: "Services", request: StoreRequest, emptied: int, received: Sequence[_Received]
) -> dict[int, Outcome]:
    """Commits each study by itself; outcomes by the identity of what was received.

    When storage fails, the whole request fails with it, unless another study was committed: then its instances have
    failed and the others have not (STO-43).
    """
    studies: dict[str, list[_Received]] = {}
    for item in received:
        studies.setdefault(item.key.study, []).append(item)
    slots = asyncio.Semaphore(STUDIES_AT_A_TIME)

    async def commit(group: Sequence[_Received]) -> list[Outcome]:
        async with slots:
            known = await services.tags.known()
            new = [item.new(known) for item in group]
            outcomes = await services.committer.store(
                new, replace=request.replace, expires=request.expires, began=request.began, emptied=emptied
            )
            stored = [item.key for item, outcome in zip(group, outcomes, strict=True) if outcome in _STORED]
            await catch_up(services, known, stored)
            return outcomes

    answers = await asyncio.gather(*(commit(group) for group in studies.values()), return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    if failures and len(failures) == len(answers):
        raise failures[0]
    outcomes: dict[int, Outcome] = {}
    for group, answer in zip(studies.values(), answers, strict=True):
        outcomes.update(_paired(group, answer))
    return outcomes


def _paired(group: Sequence[_Received], answer: list[Outcome] | BaseException) -> Iterable[tuple[int, Outcome]]:
    if isinstance(answer, BaseException):
        if not isinstance(answer, Unavailable):
            logger.error("A study could not be stored.", exc_info=answer)
        answer = [Outcome.FAILED] * len(group)
    return ((id(item), outcome) for item, outcome in zip(group, answer, strict=True))


def _invalid(parsed: ParsedInstance) -> FailedInstance:
    return FailedInstance(CANNOT_UNDERSTAND, parsed.sop_class, parsed.sop_instance_echo, parsed.comments)


def _result(item: _Received, outcome: Outcome) -> InstanceResult:
    parsed, key = item.parsed, item.key
    if outcome in _STORED:
        return StoredInstance(
            parsed.sop_class or "", key.study, key.series, key.instance, parsed.warning, parsed.comments
        )
    reason = ALREADY_EXISTS if outcome is Outcome.DUPLICATE else PROCESSING_FAILURE
    return FailedInstance(reason, parsed.sop_class, key.instance)
