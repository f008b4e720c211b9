"""Backups: a store and the objects that it names in one file, made while hosts run; and a store made from one.

Rules:

* One zip file holds all: ``phasenb.db``, a copy as of one moment, and ``objects/``. Nothing else belongs to it.
* The database is copied first. An object that it names is there already and is not removed while it is named.
* No file is ever replaced. A backup, and a store, appear whole under their names or not at all.
* A restored store is another store: it has an epoch of its own, knows no host, and its live tasks are paused, since the
  store that it was copied from may run them still. The artifacts folder of a store that is gone becomes its own.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from phasenb.codecs.objects import PREFIX
from phasenb.config.places import create_private
from phasenb.core import real_clock
from phasenb.core.ports import Append
from phasenb.core.task_schema import apply
from phasenb.core.transitions import ACTIONS
from phasenb.dto.events import TaskPaused
from phasenb.errors import StoreUnavailable, UnknownObject
from phasenb.store import queries
from phasenb.store.appends import PreparedAppend
from phasenb.store.artifacts import Artifacts
from phasenb.store.database import Database
from phasenb.store.location import check, locate
from phasenb.store.opening import open_store
from phasenb.store.references import references_of_owners
from phasenb.store.statements import Cursor

DATABASE = "phasenb.db"
RESTORED_BY = "the restore of a backup"
_LIVE = "SELECT task_id FROM tasks WHERE host IS NOT NULL"
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied. ``missing``: objects that are named and not there; ``paused``: tasks that were live."""

    tasks: int
    objects: int
    missing: int = 0
    paused: int = 0


def back_up(url: str, artifacts: str | None, file: Path) -> Copied:
    """Copy the store at ``url`` into ``file``. Blocks. Raises FileExistsError, OSError, StoreUnavailable."""
    if file.exists() or file.is_symlink():
        raise _taken(file)
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder: make it first", str(file.parent))
    database, folders = open_store(locate(url), artifacts, reading=True)
    try:
        return _copied(database, folders, file)
    finally:
        database.close()
        folders.close()


def _copied(store: Database, folders: Artifacts, file: Path) -> Copied:
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".phasenb-backup-") as made:
        database, whole = Path(made) / DATABASE, Path(made) / "whole.zip"
        with closing(sqlite3.connect(database, isolation_level=None)) as target:
            # As it is at one moment; nobody who writes waits for it.
            store.read(lambda source: cast("sqlite3.Cursor", source).connection.backup(target))
            target.execute("PRAGMA journal_mode = DELETE")  # a file that needs no other beside it
            cursor = target.cursor()
            named = references_of_owners(cursor)
            (tasks,) = cursor.execute("SELECT count(*) FROM tasks").fetchone()
            cursor.close()
        objects = missing = 0
        with create_private(whole) as sink:
            with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(database, DATABASE)
                for (owner, name), sure in sorted(named.items()):
                    kept = _add_object(archive, folders, owner, name)
                    objects, missing = objects + kept, missing + (sure and not kept)
            sink.flush()
            os.fsync(sink.fileno())
        _publish(whole, file)
    return Copied(tasks, objects, missing)


def restore(file: Path, url: str, artifacts: str | None) -> Copied:
    """Make the store at ``url`` from a backup. Blocks. Raises StoreUnavailable where there is a store, or the file is
    no backup; BadMessage for an object that is damaged; OSError.
    """
    location = locate(url)
    check(location)
    path = location.path
    if path is None:
        raise StoreUnavailable(location.shown, "a backup can't be restored into memory: set store.url to a path")
    for each in (path, path.with_name(f"{path.name}-wal")):
        if each.exists():
            problem = (
                f"{each.name} is there, and nothing is restored over a store: move it away, or set another store.url"
            )
            raise StoreUnavailable(location.shown, problem)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".phasenb-restore-") as made, _opened(file) as archive:
        database = Path(made) / DATABASE
        with archive.open(DATABASE) as source, create_private(database) as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
        epoch = secrets.token_hex(8)
        before, owners, tasks, paused = _made_new(database, epoch)
        folders = Artifacts(artifacts or str(path.parent / "artifacts" / epoch))
        if artifacts is not None:
            folders.check_left(before, location.shown)
        made_here, published = "://" not in folders.url and not Path(folders.url).exists(), False
        try:
            objects = sum(_put_objects(archive, folders, owner) for owner in owners)
            _publish(database, path)
            published = True
            # Last: the folder of a restore that ends before is still that of the backup's store, for the next try.
            if artifacts is not None:
                folders.claim(epoch, location.shown, after=before)
        except BaseException:
            if published:
                path.unlink()
            if made_here:
                shutil.rmtree(folders.url, ignore_errors=True)
            raise
    return Copied(tasks, objects, paused=paused)


def _made_new(file: Path, epoch: str) -> tuple[str, list[str], int, int]:
    """Make the copy a store of its own: its epoch before, its owners, its tasks, and how many were paused."""

    def begin(cursor: Cursor) -> tuple[list[str], list[str], int]:
        live = [task_id for (task_id,) in cursor.execute(_LIVE).fetchall()]
        cursor.execute("UPDATE tasks SET host = '' WHERE host IS NOT NULL")
        cursor.execute("DELETE FROM hosts")
        cursor.execute("UPDATE phasenb_meta SET value = ? WHERE name = 'epoch'", (epoch,))
        owners = [owner for (owner,) in cursor.execute("SELECT DISTINCT owner FROM tasks").fetchall()]
        return owners, live, cursor.execute("SELECT count(*) FROM tasks").fetchone()[0]

    database = Database.open(locate(file))
    try:
        owners, live, tasks = database.writer.call(begin)
        paused = sum(_pause(database, task_id) for task_id in live)
    finally:
        database.close()
    return database.epoch, owners, tasks, paused


def _pause(database: Database, task_id: str) -> bool:
    stored = database.read(lambda cursor: queries.find(cursor, task_id))
    assert stored is not None, "it was listed a moment ago, and nobody else has this file"
    task = stored.task
    if "pause" not in ACTIONS[task.state]:  # it is paused, or about to be cancelled
        return False
    at = max(real_clock.now(), task.updated_at)
    event = TaskPaused(task_id=task_id, session=task.session, seq=task.seq + 1, at=at, by=RESTORED_BY)
    database.writer.call(PreparedAppend(Append(stored.owner, apply(task, event), (event,))))
    return True


def _add_object(archive: zipfile.ZipFile, artifacts: Artifacts, owner: str, name: str) -> bool:
    """Whether it is there. What is text that looks like an object's name is not."""
    try:
        source = artifacts.folder(owner).open(PREFIX + name)
    except UnknownObject:
        return False
    with source, archive.open(f"{_entry(artifacts, owner)}{name}", "w", force_zip64=True) as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
    return True


def _put_objects(archive: zipfile.ZipFile, artifacts: Artifacts, owner: str) -> int:
    """Raises BadMessage for one that is not what its name says."""
    prefix, count = _entry(artifacts, owner), 0
    for entry in archive.namelist():
        if entry.startswith(prefix):
            with archive.open(entry) as source, artifacts.folder(owner).upload() as upload:
                shutil.copyfileobj(source, upload, _CHUNK_BYTES)
                upload.commit(PREFIX + entry.removeprefix(prefix))
            count += 1
    return count


def _entry(artifacts: Artifacts, owner: str) -> str:
    return f"objects/{artifacts.url_of(owner).rpartition('/')[2]}/"


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        raise StoreUnavailable(str(file), "it is not a whole file that `phasenb backup` made") from None
    if DATABASE not in archive.namelist():
        archive.close()
        raise StoreUnavailable(str(file), "it holds no phasenb.db: it is not a file that `phasenb backup` made")
    return archive


def _publish(made: Path, file: Path) -> None:
    """Give a file its name, unless somebody has it. Raises FileExistsError."""
    try:
        os.link(made, file)
    except FileExistsError:
        raise _taken(file) from None
    except OSError:  # a file system without hard links
        if file.exists():
            raise _taken(file) from None
        made.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _taken(file: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "it exists, and nothing is written over it: choose another name", str(file))
