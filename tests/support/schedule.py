"""How the processes of pytest-xdist share the suite: a file on one store is one piece of work, long ones first."""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

LONGEST_FIRST = (
    "tests/faults/test_start_command.py",
    "tests/faults/test_kills.py",
    "tests/faults/test_memory.py",
    "tests/faults/test_bulk_update_kills.py",
    "tests/faults/test_schedules.py",
    "tests/faults/test_workitem_races.py",
    "tests/faults/test_rude_clients.py",
    "tests/contract/",
    "tests/http/test_errors.py",
    "tests/http/test_extended_query_tags.py",
    "tests/http/test_retrieve_under_load.py",
    "tests/http/test_slow_storage.py",
    "tests/http/",
    "tests/runtime/",
)
"""What begins first, so that no file is left that would keep one process busy while the others have nothing to do."""


def rank(path: str) -> int:
    """Of a file's path, or of a test's that begins with it: what is smaller begins earlier."""
    return next((place for place, prefix in enumerate(LONGEST_FIRST) if path.startswith(prefix)), len(LONGEST_FIRST))


class FilesOnStores(LoadScopeScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but the two stores of a file may go to different processes."""

    def _split_scope(self, nodeid: str) -> Any:
        file, _, test = nodeid.partition("::")
        return f"{file} embedded" if "embedded" in test.partition("[")[2] else file
