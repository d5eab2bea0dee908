"""What `dev.py` and `python -m shared.cli` take on the command line. Standard library only, and quick to import."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

STORES = ("azurite", "embedded")
STORE_VARIABLE = "DICOM_STORE"
STORE_NAMES = {"": "azurite", "azure": "azurite", "azurite": "azurite", "embedded": "embedded"}
"""What the variable may say, and the option that comes to the same."""
PATH_VARIABLE = "DICOM_STORE_PATH"
"""The app's own settings, which choose wherever it runs."""

LARGEST_PORT = 65_535


class CommandError(Exception):
    """The command cannot be carried out; the text is one line for the user."""


def port(text: str) -> int:
    """A port that a client can be given."""
    number = int(text)
    if not 0 < number <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{number} is no port: 1 to {LARGEST_PORT}")
    return number


def count(text: str) -> int:
    """One or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def command_parser() -> argparse.ArgumentParser:
    """The commands `start`, `test`, `reset` and `check`."""
    parser = argparse.ArgumentParser(
        prog="dev.py", description="Runs the emulator of the Azure DICOM service on this machine, and its tests."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="start | test | reset | check")

    start = commands.add_parser("start", help="install what is missing, then run storage and emulator until Ctrl-C")
    start.add_argument("--port", type=port, default=8080, help="port of the emulator (8080)")
    start.add_argument("--host", default="localhost", help="address to listen on (localhost; 0.0.0.0 for all)")
    start.add_argument("--workers", type=count, default=None, metavar="N", help="worker processes (1)")
    start.add_argument("--https", action="store_true", help="HTTPS, with a certificate that is made for this machine")
    start.add_argument("--durable", action="store_true", help="embedded store: survive power cuts, at a price in speed")
    add_store_options(start)

    test = commands.add_parser(
        "test",
        help="install what is missing, then run linter, type checker and all tests",
        description="All further arguments go to pytest, for instance: dev.py test tests/unit -k uid",
    )
    test.add_argument("--full", action="store_true", help="scale cases at their full size, not at a tenth")

    reset = commands.add_parser("reset", help="remove every study, event and message from the store")
    add_store_options(reset)

    check = commands.add_parser(
        "check",
        help="read every file of an embedded store, and name what is missing",
        description="Names every instance and file of an embedded store that is missing, short or unreadable; the exit "
        "code is 1 if there is one. An emulator may run on the store meanwhile.",
    )
    check.add_argument("--data", type=Path, metavar="DIR", help="directory of the data (.dev/embedded)")
    check.set_defaults(store="embedded", storage=None, in_memory=False)
    return parser


def add_store_options(command: argparse.ArgumentParser) -> None:
    """Which store is meant."""
    where = command.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR", help="directory of the data (.dev/data, .dev/embedded)")
    where.add_argument("--in-memory", action="store_true", help="keep nothing on disk")
    where.add_argument("--storage", metavar="CONNECTION_STRING", help="use an Azurite or account that already runs")
    command.add_argument(
        "--store",
        choices=STORES,
        default=None,
        help=f"storage engine (azurite, or embedded if {STORE_VARIABLE} says so)",
    )


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and what `test` passes on to pytest."""
    parser = command_parser()
    options, further = parser.parse_known_args(arguments)
    if further and options.command != "test":
        parser.error("unrecognized arguments: " + " ".join(further))
    if options.command != "test" and not options.store:
        options.store = STORE_NAMES.get(os.environ.get(STORE_VARIABLE, "").lower(), "")
        if not options.store:
            parser.error(f"{STORE_VARIABLE} must be azure or embedded")
    if options.command != "test" and options.store == "embedded" and (options.storage or options.in_memory):
        parser.error("the embedded store is a directory: --storage and --in-memory do not go with it")
    if options.command == "start" and options.durable and options.store != "embedded":
        parser.error("--durable is for --store embedded")
    return options, further
