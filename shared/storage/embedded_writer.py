"""Writes of a durable embedded store: one thread, which commits together what has come in meanwhile.

A commit waits for the disk, ten times as long as the work itself takes: so the event loop does not wait for it, and
concurrent requests share one.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import Unavailable
from .embedded_connection import Checkpoints, connect, failure, is_busy, roll_back

T = TypeVar("T")

MOST_TOGETHER = 64
PATIENCE_SECONDS = 60.0


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """In the event loop. Whoever waited may have been cancelled."""
        if self.future.done():
            return
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class DurableWriter:
    """Runs work as transactions, each all or nothing, several to a commit."""

    def __init__(self, directory: Path, checkpoints: Checkpoints) -> None:
        self._directory = directory
        self._checkpoints = checkpoints
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._serve, name="durable writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Returns when the disk has it. Who is cancelled meanwhile does not know whether it took place."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, future))
        return await future

    def close(self) -> None:
        """Waits for what has been given to the thread."""
        self._jobs.put(None)
        self._thread.join()

    # -- in the thread

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            ends = False
            with contextlib.suppress(queue.Empty):
                while len(jobs) < MOST_TOGETHER and not ends:
                    further = self._jobs.get_nowait()
                    ends = further is None
                    jobs += [further] if further else []
            self._commit(jobs)
            for done in jobs:
                with contextlib.suppress(RuntimeError):  # the loop was closed
                    done.loop.call_soon_threadsafe(done.deliver)
            if ends:
                break
        if self._connection:
            self._connection.close()

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            connection = self._connection = self._connection or connect(
                self._directory, durable=True, busy_seconds=PATIENCE_SECONDS
            )
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                _run_within(connection, job)
        except BaseException as error:
            self._fail(jobs, error)
            return
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail([job for job in jobs if not job.error], failure(error, committing=True))
            return
        self._checkpoints.after(connection.total_changes)

    def _fail(self, jobs: list[_Job], error: BaseException) -> None:
        if self._connection:
            roll_back(self._connection)
        if isinstance(error, sqlite3.Error):
            error = Unavailable("The store is busy. Please try again later.") if is_busy(error) else failure(error)
        for job in jobs:
            job.error = error


def _run_within(connection: sqlite3.Connection, job: _Job) -> None:
    """Runs the work so that only its own rows are undone if it raises; raises if SQLite has undone all of them."""
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except BaseException as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        job.error = failure(error) if isinstance(error, sqlite3.Error) else error
    connection.execute("RELEASE job")
