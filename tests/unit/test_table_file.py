"""The watch over Azurite's table file, on real files."""

import logging
from pathlib import Path

import pytest

from shared.errors import Unavailable
from shared.settings import Settings
from shared.storage.table_file import TableFile, TableFileState

pytestmark = pytest.mark.unit


class Watch:
    """A `TableFile` whose clock the test moves."""

    def __init__(self, path: Path, warning: int = 2_000_000, limit: int = 4_000_000) -> None:
        self.now = 100.0
        self.path = path
        values = {
            "DICOM_AZURITE_TABLE_FILE": str(path),
            "DICOM_AZURITE_TABLE_WARNING_BYTES": warning,
            "DICOM_AZURITE_TABLE_LIMIT_BYTES": limit,
        }
        self.file = TableFile(Settings.model_validate(values), lambda: self.now)

    def grow_to(self, size: int) -> None:
        with self.path.open("wb") as file:
            file.truncate(size)
        self.now += 1.1


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "__azurite_db_table__.json")


def test_no_file_named() -> None:
    file = TableFile(Settings.model_validate({"DICOM_AZURITE_TABLE_FILE": ""}))
    assert file.state() is TableFileState.NORMAL
    file.refuse_if_full()


def test_limits_that_are_the_default() -> None:
    settings = Settings.model_validate({})
    assert (settings.table_file_warning_bytes, settings.table_file_limit_bytes) == (200_000_000, 400_000_000)


def test_the_file_is_not_there_yet(watch: Watch) -> None:
    assert watch.file.state() is TableFileState.NORMAL


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, TableFileState.NORMAL),
        (1_999_999, TableFileState.NORMAL),
        (2_000_000, TableFileState.WARNING),
        (3_999_999, TableFileState.WARNING),
        (4_000_000, TableFileState.FULL),
        (9_000_000, TableFileState.FULL),
    ],
)
def test_states(watch: Watch, size: int, expected: TableFileState) -> None:
    watch.grow_to(size)
    assert watch.file.state() is expected


def test_full_refuses_with_the_reason(watch: Watch) -> None:
    """PLT-16."""
    watch.grow_to(3_999_999)
    watch.file.refuse_if_full()
    watch.grow_to(5_000_000)
    with pytest.raises(Unavailable, match="5 MB, and no more is stored from 4 MB on"):
        watch.file.refuse_if_full()


def test_room_again(watch: Watch) -> None:
    watch.grow_to(5_000_000)
    assert watch.file.state() is TableFileState.FULL
    watch.grow_to(10)
    assert watch.file.state() is TableFileState.NORMAL
    watch.file.refuse_if_full()


def test_each_step_up_is_logged_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for size in (1_000_000, 2_500_000, 3_000_000, 3_500_000, 4_500_000, 5_000_000):
            watch.grow_to(size)
            watch.file.state()
            watch.file.state()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "2 MB" in caplog.records[0].getMessage()
    assert "refused from 4 MB" in caplog.records[0].getMessage()


def test_looks_at_most_once_a_second(watch: Watch) -> None:
    watch.grow_to(1_000_000)
    assert watch.file.state() is TableFileState.NORMAL
    watch.grow_to(5_000_000)
    watch.now -= 0.5
    assert watch.file.state() is TableFileState.NORMAL
    watch.now += 0.5
    assert watch.file.state() is TableFileState.FULL
