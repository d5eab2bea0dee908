"""Virtual environments of programs that run beside the suite: made once, and again when they are out of date."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.azurite import ROOT
from shared.data_directory import lock_file

SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"


def environment(name: str, python: str, requirements: Sequence[Path], *options: str) -> Path:
    """The directory of the programs of `.dev/<name>`, an environment of this interpreter with these requirements.

    The options are pip's. Processes that ask for one environment at a time wait for the first of them.
    """
    directory = ROOT / ".dev" / name
    stamp = directory / "requirements.sha256"
    interpreter = sys.version if python == sys.executable else python
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in requirements) + interpreter.encode()).hexdigest()
    with lock_file(directory.with_suffix(".lock"), wait=True):
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            subprocess.run([python, "-m", "venv", str(directory)], check=True)
            install = [str(directory / SCRIPTS / "python"), "-m", "pip", "install", "--quiet", *options]
            for file in requirements:
                install += ["-r", str(file)]
            subprocess.run([*install, "--disable-pip-version-check"], check=True)
            stamp.write_text(wanted)
    return directory / SCRIPTS
