"""Builds what a Dockerfile describes, without Docker: its steps, one after the other, in an empty directory.

`FROM` is a virtual environment of this Python in place of the base image. Files are copied from the context that
.dockerignore leaves. `RUN` knows the commands that the Dockerfiles of this repository have, and refuses others.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath
from typing import Protocol

from packaging.requirements import Requirement

from tests.packaging.ignore_rules import docker_rule, files_below, patterns


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword in capitals and the rest of its lines, joined."""

    keyword: str
    rest: str


def instructions(dockerfile: Path) -> Iterator[Instruction]:
    """The instructions of a Dockerfile of one stage."""
    lines = [line for line in dockerfile.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            yield Instruction(keyword.upper(), rest.strip())


class Installer(Protocol):
    """Brings packages into the environment: `pip` with the arguments of the Dockerfile, or something quicker."""

    def __call__(self, python: Path, arguments: list[str]) -> None: ...


def pip(python: Path, arguments: list[str]) -> None:
    """The very command of the Dockerfile."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(python), "-m", "ensurepip"], check=True, capture_output=True)
    subprocess.run([str(python), "-m", "pip", *arguments[:1], *quiet, *arguments[1:]], check=True)


def linked_packages(python: Path, arguments: list[str]) -> None:
    """What pip would install, as links to the packages of this Python; their versions must be the pinned ones."""
    requirements = Path(arguments[arguments.index("--requirement") + 1])
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    target = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    for line in requirements.read_text("utf-8").splitlines():
        text = line.partition("#")[0].strip()
        requirement = Requirement(text) if text else None
        if requirement is None or (requirement.marker and not requirement.marker.evaluate()):
            continue
        installed = distribution(requirement.name)
        assert requirement.specifier.contains(installed.version), f"{text}: {installed.version} is installed"
        for file in installed.files or ():  # file by file: packages have directories in common
            if ".." not in file.parts and not (target / file).exists():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                (target / file).symlink_to(str(installed.locate_file(file)))


@dataclass
class Image:
    """What a build has made: `root` is the image's `/`, `environment` its variables."""

    root: Path
    python: Path
    working_directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / str(PurePosixPath(self.working_directory, inside)).lstrip("/")

    def files(self) -> list[str]:
        """Every file that the build has copied or made, outside the Python environment."""
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )

    def command(self, arguments: list[str]) -> list[str]:
        """A command of the image for this machine: its Python, and paths below `root`."""
        program, *rest = arguments
        assert program == "python", program
        return [str(self.python), *(str(self.path(one)) if one.startswith("/") else one for one in rest)]

    def start_environment(self) -> dict[str, str]:
        """The variables of the image with paths below `root`, and nothing of this process but its PATH."""
        values = {
            name: str(self.path(value)) if value.startswith("/") else value for name, value in self.environment.items()
        }
        return {"PATH": os.environ["PATH"], "SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), **values}


def build(dockerfile: Path, context: Path, directory: Path, installer: Installer = linked_packages) -> Image:
    """Follows the Dockerfile into an empty directory."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory / "python")], check=True)
    inside = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    image = Image(directory / "root", directory / "python" / inside)
    image.root.mkdir()
    for instruction in instructions(dockerfile):
        match instruction.keyword:
            case "WORKDIR":
                image.working_directory = instruction.rest
                image.path(".").mkdir(parents=True)
            case "COPY":
                _copy(image, context, shlex.split(instruction.rest))
            case "RUN":
                for command in instruction.rest.split("&&"):
                    _run(image, shlex.split(command), installer)
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(instruction.rest))
            case "USER":
                image.user = instruction.rest
            case "ENTRYPOINT":
                image.entrypoint = _exec_form(instruction.rest)
            case "HEALTHCHECK":
                image.health_check = _exec_form(instruction.rest.partition("CMD ")[2])
            case "FROM" | "EXPOSE" | "VOLUME":
                pass
            case other:
                raise AssertionError(f"{dockerfile.name} has {other}, which this build does not know")
    return image


def _exec_form(text: str) -> list[str]:
    return [str(word) for word in json.loads(text)]


def _copy(image: Image, context: Path, arguments: list[str]) -> None:
    *sources, target = arguments
    ignored = docker_rule(patterns(context / ".dockerignore"))
    sent = list(files_below(context, ignored))
    for source in sources:
        chosen = [path for path in sent if path == source or path.startswith(f"{source}/")]
        assert chosen, f"{source} is not sent to the build"
        for path in chosen:
            below = path.removeprefix(source).lstrip("/")
            name = below or (PurePosixPath(source).name if target.endswith("/") or target == "." else "")
            to = image.path(target) / name if name else image.path(target)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context / path, to)


def _run(image: Image, arguments: list[str], installer: Installer) -> None:
    match arguments:
        case ["pip", "install", *rest]:
            paths = [str(image.path(one)) if one.endswith(".txt") else one for one in rest]
            installer(image.python, ["install", *paths])
        case ["python", *rest]:
            subprocess.run([str(image.python), *rest], cwd=image.path("."), check=True)
        case ["install", "--directory", "--owner", owner, "--group", group, directory]:
            assert owner == group, "made for one user"
            image.path(directory).mkdir(parents=True)
        case _:
            raise AssertionError(f"RUN {shlex.join(arguments)}: this build does not know the command")
