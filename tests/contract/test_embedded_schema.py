"""The database file of the embedded store: its version, and what is refused."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.errors import Unavailable
from shared.settings import Settings
from shared.storage import embedded_schema, names
from shared.storage.embedded import EmbeddedStorage
from shared.storage.embedded_schema import APPLICATION_ID, VERSION, StoreRefused
from shared.storage.engine import open_storage
from shared.storage.primitives import Entity, Insert

pytestmark = pytest.mark.integration


async def make(path: Path) -> Path:
    """A store with a row and a blob; its database file."""
    store = EmbeddedStorage(path)
    await store.prepare()
    await store.write(names.INDEX, Insert(Entity("p", "r", {"n": 1})))
    await store.put_blob(names.DICOM, "x", b"1")
    await store.close()
    return path / "store.db"


async def refusal(path: Path) -> str:
    """What `prepare` and every operation say of the store."""
    store = EmbeddedStorage(path)
    with pytest.raises(StoreRefused) as refused:
        await store.prepare()
    with pytest.raises(StoreRefused):
        await store.get(names.INDEX, "p", "r")
    with pytest.raises(StoreRefused):
        await store.reset()
    with pytest.raises(StoreRefused):
        await store.put_blob(names.DICOM, "x", b"1")
    await store.close()
    return str(refused.value)


def pragma(file: Path, name: str, value: int | None = None) -> int:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        if value is not None:
            connection.execute(f"PRAGMA {name} = {value}")
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


async def test_the_stamp(tmp_path: Path) -> None:
    file = await make(tmp_path / "store")
    assert pragma(file, "user_version") == VERSION
    assert pragma(file, "application_id") == APPLICATION_ID


async def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = await make(tmp_path / "store")
    pragma(file, "user_version", VERSION + 1)
    before = file.read_bytes()
    assert await refusal(tmp_path / "store") == (
        f"The store {file} has version {VERSION + 1}; this program reads up to version {VERSION}."
        " Use the newer program that wrote it, or another directory."
    )
    assert file.read_bytes() == before
    assert issubclass(StoreRefused, Unavailable)


async def test_an_older_store_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By several processes at once; with all that is in it."""
    file = await make(tmp_path / "store")
    monkeypatch.setattr(embedded_schema, "VERSION", VERSION + 2)
    monkeypatch.setattr(
        embedded_schema,
        "MIGRATIONS",
        {VERSION: ("ALTER TABLE note ADD COLUMN one",), VERSION + 1: ("ALTER TABLE note ADD COLUMN two",)},
    )
    stores = [EmbeddedStorage(tmp_path / "store") for _ in range(3)]
    await asyncio.gather(*(store.prepare() for store in stores))
    for store in stores:
        found = await store.get(names.INDEX, "p", "r")
        assert found is not None
        assert found.values == {"n": 1}
        assert await store.get_blob(names.DICOM, "x") == b"1"
        await store.close()
    assert pragma(file, "user_version") == VERSION + 2
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(one), count(two) FROM note").fetchone() == (0, 0)


async def test_a_migration_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await make(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(embedded_schema, "VERSION", VERSION + 1)
        patch.setattr(embedded_schema, "MIGRATIONS", {VERSION: ("DROP TABLE blob", "no statement")})
        assert "cannot be opened" in await refusal(tmp_path / "store")
    assert pragma(file, "user_version") == VERSION
    store = EmbeddedStorage(tmp_path / "store")
    assert await store.get_blob(names.DICOM, "x") == b"1"
    await store.close()


async def test_a_store_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(tmp_path / "store")
    monkeypatch.setattr(embedded_schema, "VERSION", VERSION + 2)
    monkeypatch.setattr(embedded_schema, "MIGRATIONS", {VERSION + 1: ()})
    assert "cannot read any more" in await refusal(tmp_path / "store")


async def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    for name, application, statement in (("tables", 0, "CREATE TABLE t (a)"), ("application", 77, "SELECT 1")):
        (tmp_path / name).mkdir()
        with closing(sqlite3.connect(tmp_path / name / "store.db", isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {application}")
            connection.execute(statement)
        assert "not a store of this program" in await refusal(tmp_path / name)
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "store.db").write_bytes(b"no database " * 1000)
    assert "cannot be opened" in await refusal(tmp_path / "noise")
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be opened" in await refusal(tmp_path / "file")


async def test_a_damaged_database_fails_the_full_check(tmp_path: Path) -> None:
    file = await make(tmp_path / "store")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as database:  # the second page and all behind it, where the rows lie
        database.seek(4096)
        database.write(b"\xff" * (file.stat().st_size - 4096))
    store = EmbeddedStorage(tmp_path / "store")
    with pytest.raises(Unavailable, match="damaged"):
        await store.check()
    await store.close()


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    assert "needs SQLite 3.37.0" in await refusal(tmp_path / "store")


async def test_settings_choose_the_engine(tmp_path: Path) -> None:
    chosen = Settings.model_validate({"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path / "a b")})
    store = open_storage(chosen)
    assert isinstance(store, EmbeddedStorage)
    assert store.compact is False
    await store.prepare()
    await store.close()
    assert (tmp_path / "a b" / "store.db").exists()
    other = open_storage(Settings.model_validate({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}))
    assert not isinstance(other, EmbeddedStorage)
    await other.close()
