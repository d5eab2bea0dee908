"""`python -m shared.devhost function_app:app`: run an app on the local host."""

import argparse
import sys
from pathlib import Path

from .errors import HostError
from .launch import HostOptions, run_host


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="devhost", description="A local host for Azure Functions apps in Python.")
    parser.add_argument("app", nargs="?", default="function_app:app", help="the app as module:attribute")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where host.json and the app are")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="default: Host.LocalHttpPort of local.settings.json, or 7071")
    parser.add_argument("--workers", type=int, help="worker processes; default: FUNCTIONS_WORKER_PROCESS_COUNT, or 1")
    parser.add_argument("--state", type=Path, help="directory in which timers remember when they ran")
    parser.add_argument("--certificate", type=Path, help="PEM file of the certificate, for HTTPS")
    parser.add_argument("--key", type=Path, help="PEM file of the key, for HTTPS")
    given = vars(parser.parse_args(arguments))
    try:
        return run_host(HostOptions(**given))
    except HostError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
