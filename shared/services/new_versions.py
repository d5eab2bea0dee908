"""The new versions of instances that a bulk update makes: read, rewritten, uploaded, and read like a store's files.

A file is never in memory unless it is small: it comes in pieces into a spool, and the new one is copied out of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import __version__
from ..dicom.attributes import Level
from ..dicom.instance import ParsedInstance, UnreadableFile
from ..dicom.new_version import Unchangeable, new_version
from ..dicom.pieces import Piece, Span
from ..dicomweb.spool import Spool
from ..errors import DicomServiceError
from ..storage.primitives import BlobMissing
from ..storage.records import InstanceKey, InstanceRecord, NewInstance, TagValues
from ..storage.update_batches import MadeInstance
from .file_reading import FileReader
from .known_tags import KnownTags
from .parsing import new_instance, parse, working_on

if TYPE_CHECKING:
    from ..composition import Services

_UNLIMITED = 1 << 62
"""A file that is stored already has passed its limit, and its new version may be a little larger."""

_CHUNK = 1024 * 1024

log = logging.getLogger(__name__)


class InstanceFailed(Exception):
    """No new version can be made of an instance (PLT-72)."""


class NewVersions:
    """Makes new versions with these `changes`: texts by tag."""

    def __init__(self, services: "Services", changes: Mapping[int, str]) -> None:
        self._services = services
        self._changes = changes
        self._set = {f"{tag:08X}" for tag, text in changes.items() if text}
        self._reader = FileReader(services.index, services.files)

    async def make(self, record: InstanceRecord, *, upload: bool = True) -> tuple[MadeInstance, ParsedInstance] | None:
        """Uploads the new version of an instance as it stands now, or only looks whether there can be one.

        None if the instance is gone. Raises `InstanceFailed`.
        """

        async def make(now: InstanceRecord) -> tuple[MadeInstance, ParsedInstance]:
            spool = await self._new_file(now)
            try:
                parsed = await self._parsed(spool, now.key)
                content = spool.read(0, spool.size) if spool.in_memory else spool
                file = await self._services.files.upload(now.key, content) if upload else ""
                return MadeInstance(now.key, file, now.file, spool.size), parsed
            finally:
                spool.close()

        try:
            return await self._reader.current(record, make)
        except BlobMissing as error:
            log.exception("The file of instance %s is missing.", record.key.instance)
            raise InstanceFailed from error

    async def read_again(self, made: MadeInstance) -> ParsedInstance:
        """What was uploaded, parsed; raises `BlobMissing` if it is gone."""
        spool = await self._spooled(made.file, made.size)
        try:
            return await self._parsed(spool, made.key)
        finally:
            spool.close()

    def row_of(self, made: MadeInstance, parsed: ParsedInstance, known: KnownTags) -> NewInstance:
        """What is committed of a new version: study and series are told only what the update sets (PLT-78)."""
        values = known.values(parsed.metadata)
        columns = {tag.column for tag in known.tags if tag.path in self._set and tag.level == Level.STUDY.value}
        of_study = {column: element for column, element in values.study.items() if column in columns}
        new = new_instance(
            parsed, made.key, made.file, made.size, TagValues(of_study, columns=values.columns, serial=values.serial)
        )
        attributes = {tag: element for tag, element in new.study_attributes.items() if tag in self._set}
        return replace(new, study_attributes=attributes, series_attributes={})

    async def discard(self, made: MadeInstance) -> None:
        """Removes an upload that was not handed over for commit. What cannot be removed now is left to the sweep."""
        if made.file:
            with contextlib.suppress(DicomServiceError):
                await self._services.files.discard(made.file)

    async def _spooled(self, file: str, size: int) -> Spool:
        spool = Spool(_UNLIMITED)
        try:
            async for chunk in self._services.files.stream(file, size):
                await spool.write(chunk)
            await spool.finish()
        except BaseException:
            spool.close()
            raise
        return spool

    async def _new_file(self, record: InstanceRecord) -> Spool:
        source = await self._spooled(record.file, record.size)
        target = Spool(_UNLIMITED)
        try:
            for piece in await self._pieces(source, record.key):
                if isinstance(piece, Span):
                    await _copy(source, piece, target)
                else:
                    await target.write(piece)
            await target.finish()
        except BaseException:
            target.close()
            raise
        finally:
            source.close()
        return target

    async def _pieces(self, source: Spool, key: InstanceKey) -> list[Piece]:
        def rewrite() -> list[Piece]:
            with source.content() as content:
                return new_version(content, self._changes, __version__)

        try:
            return await working_on(source, rewrite)
        except Unchangeable as error:
            log.warning("No new version can be made of instance %s: %s.", key.instance, error)
            raise InstanceFailed from error
        except Exception as error:  # whatever a file does to the writer is the file's fault, and ours in the log
            log.exception("No new version can be made of instance %s.", key.instance)
            raise InstanceFailed from error

    async def _parsed(self, spool: Spool, key: InstanceKey) -> ParsedInstance:
        """As a store reads it; what is read as another instance than before must not take its place."""
        try:
            parsed = await parse(spool)
        except UnreadableFile as error:
            log.warning("The new version of instance %s cannot be read: %s.", key.instance, error)
            raise InstanceFailed from error
        except Exception as error:
            log.exception("The new version of instance %s cannot be read.", key.instance)
            raise InstanceFailed from error
        if (parsed.study, parsed.series, parsed.instance) != (key.study, key.series, key.instance):
            log.error("The new version of instance %s is read as another one.", key.instance)
            raise InstanceFailed
        return parsed


async def _copy(source: Spool, span: Span, target: Spool) -> None:
    for start in range(span.start, span.start + span.length, _CHUNK):
        length = min(_CHUNK, span.start + span.length - start)
        chunk = source.read(start, length) if source.in_memory else await asyncio.to_thread(source.read, start, length)
        await target.write(chunk)
