"""The schema of a store: every earlier version is migrated, once and whole, and a newer one is refused untouched."""

import asyncio
import sqlite3

import pytest

from phasenb.store import migrations
from phasenb.store.database import _connection
from phasenb.store.location import locate
from phasenb.store.migrations import MIGRATIONS, Migration, migrate
from phasenb.store.saver import MemorySaver
from phasenb.store.schema import metadata

from .refusals import DATA, VERSION_1, refused


def version(path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as other:
        return other.execute("SELECT version, name FROM phasenb_migrations ORDER BY version").fetchall()


def schema_of(connection) -> set[tuple[str, str, str]]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(kind, name, " ".join(text.split())) for kind, name, text in found}


def test_a_store_of_version_1_is_read_whole(tmp_path):
    """The dump is never made again: it is what the first release wrote."""
    path = tmp_path / "phasenb.db"
    with sqlite3.connect(path) as made:
        made.executescript(VERSION_1.read_text())
    made.close()

    async def main():
        saver = MemorySaver.open(path)
        assert saver.epoch == "0123456789abcdef"
        (task,) = await saver.tasks("ada")
        assert (task.state, task.inputs, task.labels) == ("completed", {"path": "penguins.csv"}, {"team": "birds"})
        assert len(await saver.events(task.task_id, 0, 100)) == task.seq
        assert [result.status for _, result in await saver.results("ada")] == ["failed", *["complete"] * 3]
        assert (await saver.launch(task.task_id)).code == "QUJD"
        assert [line["text"] for line in await saver.logs(task.task_id)] == ["reading", "done"]
        assert (await saver.checkpoint(task.task_id, "research")).value == {"row": 7}
        await saver.close()

    asyncio.run(main())


def restored(path, dump):
    with sqlite3.connect(path) as made:
        made.executescript(dump.read_text())
    made.close()
    return MemorySaver.open(path)


DUMPS = sorted(DATA.glob("version_*.sql"))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_store_of_any_version_becomes_a_new_one(dump, tmp_path):
    """Dumps are never made again: they are what those releases wrote."""
    path = tmp_path / "phasenb.db"
    asyncio.run(restored(path, dump).close())
    fresh = MemorySaver.open(tmp_path / "fresh.db", artifacts=str(tmp_path / "fresh"))
    asyncio.run(fresh.close())
    assert version(path) == version(tmp_path / "fresh.db")
    with sqlite3.connect(path) as old, sqlite3.connect(tmp_path / "fresh.db") as new:
        assert schema_of(old) == schema_of(new)


@pytest.mark.parametrize("dump", DUMPS[1:], ids=lambda dump: dump.stem)
def test_a_notebook_of_an_earlier_version_keeps_its_session_and_is_followed(dump, tmp_path):
    """Version 2 did not know which notebook had launched a task: its path tells its session, as it did then."""

    async def main():
        saver = restored(tmp_path / "phasenb.db", dump)
        session = await saver.notebook_session("ada", "/work/report.ipynb")
        (task,) = await saver.tasks("ada", session=session)
        assert (task.inputs, task.key) == ({"n": 1}, "once")
        await saver.move_notebooks("/work", "/archive")
        assert await saver.notebook_session("ada", "/archive/report.ipynb") == session
        assert await saver.notebook_session("ada", "/work/report.ipynb") != session
        found = {task.session: task.notebook for task in await saver.tasks("ada")}
        now = None if dump.stem == "version_2" else "/archive/report.ipynb"
        assert found == {session: now, "nightly": now, "py:job-1f0e9d8c": None}
        await saver.close()

    asyncio.run(main())


def add_column(cursor):
    cursor.execute("ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0")


NEXT = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "priorities", add_column))


def test_a_migration_is_run_once_and_recorded(tmp_path):
    path = tmp_path / "phasenb.db"
    asyncio.run(MemorySaver.open(path).close())
    connection = _connection(locate(path), "rwc")
    for _ in range(2):
        migrate(connection.cursor(), str(path), NEXT)
    assert connection.execute("SELECT priority FROM tasks").fetchall() == []
    connection.close()
    assert version(path)[-1] == (NEXT[-1].number, "priorities")


def test_a_migration_that_fails_leaves_no_trace(tmp_path):
    path = tmp_path / "phasenb.db"
    asyncio.run(MemorySaver.open(path).close())
    before = version(path)

    def half(cursor):
        add_column(cursor)
        raise RuntimeError("power cut")

    connection = _connection(locate(path), "rwc")
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(connection.cursor(), str(path), (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "half", half)))
    assert "priority" not in {row[1] for row in connection.execute("PRAGMA table_info(tasks)")}
    connection.close()
    assert version(path) == before
    asyncio.run(MemorySaver.open(path).close())


def test_a_store_of_a_newer_release_is_refused_untouched(tmp_path):
    path = tmp_path / "phasenb.db"
    asyncio.run(MemorySaver.open(path).close())
    with sqlite3.connect(path) as newer:
        newer.execute("INSERT INTO phasenb_migrations VALUES (99, 'later', '2027-01-01')")
    newer.close()
    content = path.read_bytes()
    problem = refused(path)
    assert "version 99" in problem
    assert f"versions up to {MIGRATIONS[-1].number}" in problem
    assert path.read_bytes() == content


def test_migrations_are_numbered_without_gaps_and_a_new_store_records_them_all(file_saver):
    assert [step.number for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert version(file_saver.url) == [(step.number, step.name) for step in MIGRATIONS]
    with sqlite3.connect(file_saver.url) as made:
        tables = {name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == set(metadata.tables)
    assert migrations.create_all is MIGRATIONS[0].apply
