"""Uploads of the files of one request: a few at a time, while the next ones are still arriving."""

import asyncio
import contextlib

from ..dicomweb.spool import Spool
from ..errors import DicomServiceError
from ..storage.files import Files
from ..storage.records import InstanceKey

AT_A_TIME = 4
"""Files of one request that are uploaded at once: what bounds the memory that the request takes."""


class Uploads:
    """Starts uploads, waits for them, or takes them back."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._tasks: list[asyncio.Task[str]] = []
        self._failure: Exception | None = None

    async def start(self, key: InstanceKey, spool: Spool) -> asyncio.Task[str]:
        """Begins an upload once there is a slot; the task gives the name of the file. The spool is closed with it.

        Raises the failure of an earlier upload: then the request fails and nothing more need be sent.
        """
        try:
            await self._slots.acquire()
            if self._failure is not None:
                raise self._failure
        except BaseException:
            spool.close()
            raise
        task = asyncio.create_task(self._upload(key, spool))
        self._tasks.append(task)
        return task

    async def finish(self) -> None:
        """Waits for all; raises the first failure."""
        await asyncio.gather(*self._tasks)

    async def take_back(self) -> None:
        """Removes what was uploaded. What cannot be removed now is left to the sweep, as no row names it."""
        for name in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(name, str):
                with contextlib.suppress(DicomServiceError):
                    await self._files.discard(name)

    async def _upload(self, key: InstanceKey, spool: Spool) -> str:
        try:
            content = spool.read(0, spool.size) if spool.in_memory else spool
            return await self._files.upload(key, content)
        except Exception as error:
            self._failure = self._failure or error
            raise
        finally:
            spool.close()
            self._slots.release()
