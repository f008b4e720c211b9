"""The store's versions.

Rules: a migration and its record are one transaction; a new store is made whole, with all migrations recorded; a store
of a newer release, and an SQLite file of another program, are refused untouched.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ClauseElement
from sqlalchemy.schema import CreateIndex, CreateTable

from phasenb.core.notebooks import session_of
from phasenb.dto.base import format_time
from phasenb.errors import StoreUnavailable
from phasenb.store import statements as sql
from phasenb.store.schema import metadata
from phasenb.store.statements import Cursor, Statement


@dataclass(frozen=True, slots=True)
class Migration:
    """``apply`` brings a store from version ``number - 1`` to ``number``."""

    number: int
    name: str
    apply: Callable[[Cursor], None]


def create_all(cursor: Cursor) -> None:
    """Make the tables of schema.py."""
    made: list[ClauseElement] = []
    for table in metadata.sorted_tables:
        made.append(CreateTable(table))
        made.extend(CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    for clause in made:
        Statement(clause).run(cursor)


def add_hosts(cursor: Cursor) -> None:
    """Leases: hosts, and whose each task is. What was live when this release came is nobody's."""
    for ddl in (
        "CREATE TABLE hosts ( host TEXT NOT NULL, machine TEXT NOT NULL, pid INTEGER NOT NULL, "
        "pid_started TEXT NOT NULL, counter INTEGER NOT NULL, PRIMARY KEY (host) )",
        "ALTER TABLE tasks ADD COLUMN host TEXT",
        "ALTER TABLE tasks ADD COLUMN fence INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE tasks ADD COLUMN executor TEXT",
        "CREATE INDEX tasks_of_host ON tasks (host)",
        "UPDATE tasks SET host = '' WHERE state NOT IN ('completed', 'failed', 'cancelled')",
        "UPDATE tasks SET executor = coalesce((SELECT json_extract(launches.body, '$.options.executor') "
        "FROM launches WHERE launches.task_id = tasks.task_id), 'process')",
    ):
        cursor.execute(ddl)


def index_changes(cursor: Cursor) -> None:
    """A feed that is taken up, and thresholds, ask what changed since a time."""
    cursor.execute("CREATE INDEX tasks_changed ON tasks (owner, updated_at)")


def add_notebooks(cursor: Cursor) -> None:
    """Notebooks keep their sessions when they move. Those that launched something are where they were then."""
    for ddl in (
        "CREATE TABLE notebooks ( id INTEGER NOT NULL, owner TEXT NOT NULL, session TEXT NOT NULL, path TEXT, "
        "PRIMARY KEY (id), UNIQUE (owner, path), UNIQUE (owner, session) )",
        "CREATE INDEX notebooks_at ON notebooks (path)",
        "ALTER TABLE tasks ADD COLUMN notebook INTEGER",
    ):
        cursor.execute(ddl)
    launched_by = "json_extract(snapshot, '$.notebook')"
    cursor.execute(f"SELECT DISTINCT owner, {launched_by} FROM tasks WHERE {launched_by} IS NOT NULL")  # noqa: S608
    rows = [(owner, session_of(path), path) for owner, path in cursor.fetchall()]
    # Two paths whose digests begin alike are one session already: the second one stays without a row.
    cursor.executemany("INSERT OR IGNORE INTO notebooks (owner, session, path) VALUES (?, ?, ?)", rows)
    cursor.execute(
        "UPDATE tasks SET notebook = (SELECT notebooks.id FROM notebooks "  # noqa: S608 - a constant of this function
        f"WHERE notebooks.owner = tasks.owner AND notebooks.path = {launched_by})"
    )


def add_names(cursor: Cursor) -> None:
    """Tasks are found by their names."""
    for ddl in (
        "ALTER TABLE tasks ADD COLUMN name TEXT DEFAULT '' NOT NULL",
        "UPDATE tasks SET name = json_extract(snapshot, '$.name')",
        "CREATE INDEX tasks_named ON tasks (owner, name, task_id)",
    ):
        cursor.execute(ddl)


def add_sources(cursor: Cursor) -> None:
    """Each task has the source of its own code. In a store that work between releases brought to version 5, ``code``
    has a column ``source``, which is empty from now on, and may have rows without a text.
    """
    cursor.execute("SELECT 1 FROM pragma_table_info('code') WHERE name = 'source'")
    in_code = cursor.fetchone() is not None
    brought = _sources_in_code(cursor) if in_code else []
    for ddl in (
        "CREATE TABLE sources ( task_id TEXT NOT NULL, code TEXT NOT NULL, text_hash TEXT NOT NULL, "
        "PRIMARY KEY (task_id, code), FOREIGN KEY(task_id) REFERENCES tasks (task_id), "
        "FOREIGN KEY(text_hash) REFERENCES code (hash) )",
        "DELETE FROM code WHERE body = '' AND hash NOT IN (SELECT code_hash FROM launches WHERE code_hash IS NOT NULL)",
    ):
        cursor.execute(ddl)
    if in_code:
        cursor.execute("UPDATE code SET source = NULL WHERE source IS NOT NULL")
    for task_id, code_hash, text in brought:
        text_hash = hashlib.sha256(text.encode()).hexdigest()
        cursor.execute("INSERT OR IGNORE INTO code (hash, body) VALUES (?, ?)", (text_hash, text))
        cursor.execute("INSERT INTO sources VALUES (?, ?, ?)", (task_id, code_hash[:16], text_hash))


def _sources_in_code(cursor: Cursor) -> list[tuple[str, str, str]]:
    """Task, hash of its code, and the source that ``code`` has. Whose text it is can be told where one owner alone has
    that code.
    """
    cursor.execute(
        "WITH launched AS (SELECT task_id, owner, coalesce(code_hash, "
        "substr(json_extract(body, '$.code.\"$object\"'), length('sha256:') + 1)) AS hash FROM launches) "
        "SELECT task_id, hash, source FROM launched JOIN code USING (hash) WHERE source IS NOT NULL "
        "AND hash IN (SELECT hash FROM launched GROUP BY hash HAVING count(DISTINCT owner) = 1)"
    )
    return list(cursor.fetchall())


# Later ones change tables step by step; the first is never run on a store that exists.
MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "the first tables", create_all),
    Migration(2, "hosts and their leases", add_hosts),
    Migration(3, "what changed since", index_changes),
    Migration(4, "notebooks and their sessions", add_notebooks),
    Migration(5, "tasks by their names", add_names),
    Migration(6, "the source of each task's code", add_sources),
)


def version_of(cursor: Cursor, store: str, known: int) -> int:
    """The store's version, 0 for an empty file. Reads only.

    Raises StoreUnavailable for a newer version than ``known``, and for a file that is another program's.
    """
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    names = {name for (name,) in cursor.fetchall()}
    if "phasenb_migrations" not in names:
        if names:
            raise StoreUnavailable(store, "it is an SQLite file of another program; it was left as it is")
        return 0
    row = sql.VERSION.one(cursor)
    version = row[0] if row else 0
    if version > known:
        problem = (
            f"it has version {version}, and this release of phasenb knows versions up to {known}: "
            "install the release that wrote it, or a newer one"
        )
        raise StoreUnavailable(store, problem)
    return int(version)


def migrate(cursor: sqlite3.Cursor, store: str, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a store to the newest version: each step, and its record, in a transaction of its own.

    Two hosts may start at once: the version is read again under the write lock. Raises StoreUnavailable.
    """
    newest = steps[-1].number
    while version_of(cursor, store, newest) < newest:
        cursor.execute("BEGIN IMMEDIATE")
        try:
            _step(cursor, store, steps)
            cursor.execute("COMMIT")
        except BaseException:
            if cursor.connection.in_transaction:  # SQLite has undone it by itself where the disk was full
                cursor.execute("ROLLBACK")
            raise


def _step(cursor: Cursor, store: str, steps: Sequence[Migration]) -> None:
    version = version_of(cursor, store, steps[-1].number)
    if version == 0:
        create_all(cursor)
        sql.INSERT_META.run(cursor, name="epoch", value=secrets.token_hex(8))
        for step in steps:
            _record(cursor, step)
        return
    for step in steps:
        if step.number == version + 1:
            step.apply(cursor)
            _record(cursor, step)


def _record(cursor: Cursor, step: Migration) -> None:
    sql.INSERT_MIGRATION.run(cursor, version=step.number, name=step.name, applied_at=format_time(datetime.now(UTC)))
