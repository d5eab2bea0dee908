"""A worker in a process of its own, as `supervisor.py` starts it: what to do stands on the first line of its input."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import traceback
from base64 import b64decode
from typing import Any

from .errors import HostError
from .launch import loop_factory
from .supervisor import CANNOT_START
from .worker import WorkerOptions, serve


def main() -> int:
    """Serve until standard input ends, which also happens when the host is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.loads(sys.stdin.buffer.readline())
    options = WorkerOptions(**told["options"])
    sockets = [taken_over(one) for one in told["sockets"]]
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(run(options, sockets))
    except Exception as error:
        if options.lead:  # the others fail for the same reason
            print(error if isinstance(error, HostError) else traceback.format_exc(), file=sys.stderr)
        return CANNOT_START
    return 0


async def run(options: WorkerOptions, sockets: list[socket.socket]) -> None:
    """Serve until the end of standard input, or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_end() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    await serve(options, sockets, stop)


def taken_over(handed: Any) -> socket.socket:
    """The socket that the supervisor handed over."""
    if sys.platform == "win32":
        return socket.fromshare(b64decode(handed))
    return socket.socket(fileno=handed)


if __name__ == "__main__":
    sys.exit(main())
