"""The environment of the check: Python 3.13 with the requirements of the app and the real worker library."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.azurite import ROOT
from tests.support.environments import environment

REQUIREMENTS = (ROOT / "requirements.txt", Path(__file__).with_name("requirements.txt"))
VERSION = "3.13"


def find_python() -> str | None:
    """An interpreter of the version that the worker library needs; `None` without one."""
    return next((candidate for candidate in candidates() if version(candidate) == VERSION), None)


def candidates() -> Iterator[str]:
    """Where an interpreter may be: this one, in PATH, in pyenv, known to the launcher of Windows."""
    yield sys.executable
    found = shutil.which(f"python{VERSION}")
    if found:
        yield found
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for directory in sorted(versions.glob(f"{VERSION}*"), reverse=True):
        yield str(directory / "bin" / "python")
    if sys.platform == "win32":
        output = run_quietly("py", f"-{VERSION}", "-c", "import sys; print(sys.executable)")
        if output:
            yield output


def version(python: str) -> str:
    """Major and minor version of an interpreter, empty when it does not run."""
    return run_quietly(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def run_quietly(*command: str) -> str:
    """The output of a command, empty when it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def environment_python(python: str) -> str:
    """The interpreter of the environment, which is made if it is missing or out of date."""
    return str(environment("runtime-venv", python, REQUIREMENTS) / "python")
