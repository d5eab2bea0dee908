#!/usr/bin/env python3
"""Says whether every pinned package has a wheel for each Python and each platform: `python scripts/check_wheels.py`.

Needs `packaging` and a pip of this year. pip is asked for each combination, downloads nothing but metadata, and
installs nothing. The exit code is 0 when no wheel is missing. `--python 3.13` and `--platform linux-arm64` narrow it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
"""What a wheel may be built for on Linux; 2.28 is the glibc of the oldest distributions that are supported."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where wheels are to fit: pip's tags, and what markers in requirements ask for."""

    tags: tuple[str, ...]
    sys_platform: str
    system: str
    machine: str


PLATFORMS = {
    "linux-x86_64": Platform(tuple(f"{one}_x86_64" for one in GLIBC), "linux", "Linux", "x86_64"),
    "linux-arm64": Platform(tuple(f"{one}_aarch64" for one in GLIBC), "linux", "Linux", "aarch64"),
    "macos-arm64": Platform(("macosx_14_0_arm64",), "darwin", "Darwin", "arm64"),
    "windows": Platform(("win_amd64",), "win32", "Windows", "AMD64"),
}


def requirements(python: str, platform: Platform, files: Sequence[Path]) -> Iterator[str]:
    """The lines that apply there, without their markers: pip would judge these by the Python that runs it."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform.sys_platform,
        "platform_system": platform.system,
        "platform_machine": platform.machine,
        "os_name": "nt" if platform.sys_platform == "win32" else "posix",
    }
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            text = line.partition("#")[0].strip()
            if text and not text.startswith("-"):
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate(environment):
                    yield f"{requirement.name}{requirement.specifier}"


def missing(python: str, platform: Platform, files: Sequence[Path]) -> str:
    """What pip says is not to be had; empty when there is a wheel of everything."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--ignore-requires-python", "--report", "-"]  # pip would compare with the Python that runs it
    command += ["--python-version", python, *(part for tag in platform.tags for part in ("--platform", tag))]
    with tempfile.TemporaryDirectory() as target:
        command += ["--target", target, *requirements(python, platform, files)]
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return ([line for line in run.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"])[-1]
    packages = [item["metadata"] for item in json.loads(run.stdout)["install"]]
    refusing = [
        one["name"] for one in packages if not SpecifierSet(one.get("requires_python", "")).contains(f"{python}.0")
    ]
    return f"not for this Python: {', '.join(refusing)}" if refusing else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks for every combination."""
    parser = argparse.ArgumentParser(description="Looks for wheels of every pinned package.")
    parser.add_argument("--python", choices=PYTHONS, action="append", help="this version alone")
    parser.add_argument("--platform", choices=PLATFORMS, action="append", help="this platform alone")
    options = parser.parse_args(arguments)
    complete = True
    for python in options.python or PYTHONS:
        for name in options.platform or PLATFORMS:
            complaint = missing(python, PLATFORMS[name], [ROOT / file for file in FILES])
            print(f"Python {python} on {name}: {complaint or 'complete'}", flush=True)
            complete = complete and not complaint
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
