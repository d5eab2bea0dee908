"""`python -m shared.devhost function_app:app`: run an app on the local host."""

import argparse
import asyncio
import sys
from pathlib import Path

from .functions import HostError
from .worker import WorkerOptions, serve


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="devhost", description="A local host for Azure Functions apps in Python.")
    parser.add_argument("app", help="the app as module:attribute, for instance function_app:app")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--directory", type=Path, default=Path.cwd())
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(WorkerOptions(options.app, options.directory, options.host, options.port)))
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
