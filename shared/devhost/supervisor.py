"""Several workers: one process each, started again when it dies, stopped by closing the pipe to its standard input."""

import asyncio
import json
import socket
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from .launch import HostOptions, worker_options

CANNOT_START = 3
"""Exit status of a worker that never served; starting it again would change nothing."""

LONGEST_PAUSE = 5.0
STEADY_SECONDS = 10.0


async def supervise(
    options: HostOptions, sockets: list[list[socket.socket]], on_signals: Callable[[Callable[[], None]], None]
) -> int:
    """Run one worker for each entry of `sockets` until a signal; the exit status."""
    supervisor = Supervisor(options, sockets)
    on_signals(supervisor.stop)
    await asyncio.gather(*(supervisor.keep(position) for position in range(len(sockets))))
    return supervisor.status


class Supervisor:
    """The workers of a host. Their sockets stay open here, so that connections wait for the successor of a dead one."""

    def __init__(self, options: HostOptions, sockets: list[list[socket.socket]]) -> None:
        self.status = 0
        self._options = options
        self._sockets = sockets
        self._stopping = asyncio.Event()
        self._announced = False

    def stop(self) -> None:
        """Stop every worker."""
        self._stopping.set()

    async def keep(self, position: int) -> None:
        """Keep one worker alive until the host stops."""
        pause = 0.1
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._run(position)
            if self._stopping.is_set():
                return
            if status == CANNOT_START:
                self.status = 1
                self.stop()
                return
            print(f"Worker {position + 1} ended with status {status}; another one takes over.", file=sys.stderr)
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                pause = 0.1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, position: int) -> int:
        """Run one process to its end, which comes by itself or when the host stops."""
        process, pipe = await self._spawn(position)
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        pipe.close()
        try:
            return await asyncio.wait_for(ended, 2 * self._options.grace_seconds + 2)
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _spawn(self, position: int) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter]:
        sockets = self._sockets[position]
        inherit: dict[str, Any] = {} if sys.platform == "win32" else {"pass_fds": [one.fileno() for one in sockets]}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"{__package__}.worker_process", stdin=asyncio.subprocess.PIPE, **inherit
        )
        pipe = process.stdin
        if pipe is None:
            raise RuntimeError("a worker has no standard input")
        told = worker_options(self._options, sockets)
        told |= {"lead": position == 0, "announce": position == 0 and not self._announced}
        self._announced = True
        pipe.write(json.dumps({"options": told, "sockets": handed_over(sockets, process.pid)}).encode() + b"\n")
        return process, pipe


def handed_over(sockets: list[socket.socket], process: int) -> list[int | str]:
    """What a process needs to have the sockets too: descriptors that it inherits, on Windows a description of each."""
    if sys.platform == "win32":
        return [b64encode(one.share(process)).decode() for one in sockets]
    return [one.fileno() for one in sockets]
