"""What is freed is used again without asking the kernel for new pages."""

import platform
import subprocess
import sys

import pytest

from shared.azurite import ROOT

pytestmark = pytest.mark.unit

PROGRAM = """
import resource, sys
from shared.freed_memory import keep_freed_memory
if sys.argv[1:]:
    keep_freed_memory()

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        del [b"%d" % number * 400_000 for number in range(4)][:]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(10)
print(faults(100))
"""


def new_pages(*arguments: str, **environment: str) -> int:
    """How many a hundred rounds of four pieces of half a megabyte took."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT), **environment}
    )
    return int(done.stdout)


def test_freed_memory_is_kept() -> None:
    if platform.libc_ver()[0] != "glibc":  # nothing to change, and nothing fails
        assert sys.platform == "win32" or new_pages("keep") >= 0
        return
    assert new_pages("keep") * 10 < new_pages()


def test_the_environment_has_the_last_word() -> None:
    if platform.libc_ver()[0] == "glibc":
        assert new_pages("keep", MALLOC_TRIM_THRESHOLD_="65536") > 10_000
