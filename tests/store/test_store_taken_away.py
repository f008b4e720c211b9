"""A store's file that somebody removes or replaces while a host uses it: nothing is told that is not on disk."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from phasenb.errors import StoreUnavailable
from phasenb.store.database import Database
from phasenb.store.guard import FileGuard
from phasenb.store.location import locate


@pytest.fixture
def database(tmp_path):
    database = Database.open(locate(str(tmp_path / "store.db")))
    yield database
    database.close()


def count(cursor):
    return cursor.execute("SELECT count(*) FROM tasks").fetchone()[0]


def refused(database, told="was removed or replaced while it was in use: put it back"):
    for use in (
        lambda: database.read(count),
        lambda: database.writer.call(count),
        lambda: asyncio.run(aread(database)),
        lambda: database.heartbeats(1.0).beat("me"),
    ):
        with pytest.raises(StoreUnavailable, match=told):
            use()


async def aread(database):
    return await database.aread(count)


def test_a_removed_file_is_refused_and_one_that_is_put_back_is_used_again(database, tmp_path):
    path = database.location.path
    assert database.read(count) == 0
    path.rename(tmp_path / "elsewhere.db")
    refused(database)
    assert not path.exists(), "no empty store is made in its place"
    (tmp_path / "elsewhere.db").rename(path)
    assert database.read(count) == database.writer.call(count) == 0


def test_another_file_in_its_place_is_not_taken_for_it(database):
    path = database.location.path
    path.unlink()
    Database.open(database.location).close()
    refused(database)


def test_a_file_that_grows_under_many_threads_is_not_taken_for_one_that_was_cut(tmp_path, monkeypatch):
    """A look at the file lets other threads run before it is compared: an old look must not meet a new size."""
    path = tmp_path / "store.db"
    path.write_bytes(b"a page")
    guard = FileGuard(locate(str(path)))
    real, slow = os.stat, threading.local()
    looked, grown = threading.Event(), threading.Event()

    def stat(of, **how):
        found = real(of, **how)
        if of == str(path) and getattr(slow, "here", False):
            looked.set()
            grown.wait(0.5)  # without a lock the others are through by then
        return found

    monkeypatch.setattr(os, "stat", stat)
    problems = []

    def use(here):
        slow.here = here
        try:
            guard()
        except StoreUnavailable as error:
            problems.append(error)

    old = threading.Thread(target=use, args=(True,))
    old.start()
    assert looked.wait(10)
    with path.open("ab") as file:
        file.write(b"more pages")
    new = threading.Thread(target=use, args=(False,))
    new.start()
    new.join(0.2)
    grown.set()
    for each in (old, new):
        each.join(10)
    guard()
    assert problems == []
    assert guard.whole()


# --- -wal and -shm ---------------------------------------------------------------------------------------------------


def files(path):
    return sorted(each.name for each in path.parent.glob(f"{path.name}*"))


def beside(path, suffix):
    return path.with_name(path.name + suffix)


def keep(name):
    return lambda cursor: cursor.execute("INSERT INTO phasenb_meta VALUES (?, 'kept')", (name,))


def taken_away(database):
    """The path of a store whose commit lies in a -wal that was removed, and -shm with it."""
    path = database.location.path
    database.writer.call(keep("before"))
    for suffix in ("-wal", "-shm"):
        beside(path, suffix).unlink()
    return path


def kept(path):
    """What is in the store alone, as a copy of it would have it."""
    copy = path.with_name("copy of it")
    shutil.copy(path, copy)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {name for (name,) in connection.execute("SELECT name FROM phasenb_meta WHERE value = 'kept'")}


ELSEWHERE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[2])
connection.execute(sys.argv[1])
connection.commit()
os._exit(0)
"""


def elsewhere(statement, path):
    """Another process, which ends without a checkpoint: one in this process would share the -shm that is gone."""
    subprocess.run([sys.executable, "-c", ELSEWHERE, statement, path], check=True, timeout=60)


@pytest.mark.parametrize("gone", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_what_lies_beside_it_is_refused_when_it_was_taken_away_and_no_commit_is_lost(database, gone):
    path = database.location.path
    database.writer.call(keep("before"))
    for suffix in gone:
        beside(path, suffix).unlink()
    refused(database, f"its file {path.name}{gone[0]} was removed or replaced while it was in use")
    assert database.heartbeats(1.0).others("me") is None, "others may have it: nobody may say that there are none"
    database.close()
    assert files(path) == [path.name]
    assert kept(path) == {"before"}


def test_what_was_taken_away_is_brought_in_also_when_others_have_looked(database):
    path = taken_away(database)
    elsewhere("SELECT count(*) FROM sqlite_master", path)
    assert beside(path, "-wal").exists()
    database.close()
    assert kept(path) == {"before"}


def test_a_reader_that_has_it_open_goes_on_undisturbed(database, caplog):
    """Its pages would be of two times: it would take the store for damaged."""
    path = taken_away(database)
    code = ELSEWHERE.replace(
        "os._exit(0)", "print('open', flush=True); input(); print(len(connection.execute(sys.argv[1]).fetchall()))"
    )
    command = [sys.executable, "-c", code, "SELECT name FROM sqlite_master", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        database.close()
        told, _ = reader.communicate("\n", timeout=60)
    assert (reader.returncode, told) == (0, "0\n")
    assert "what its removed -wal held is lost" in caplog.text


def test_what_others_have_written_since_is_not_written_over(database):
    path = taken_away(database)
    elsewhere("CREATE TABLE phasenb_meta (name TEXT, value TEXT)", path)
    elsewhere("INSERT INTO phasenb_meta VALUES ('another', 'kept')", path)
    database.close()
    with sqlite3.connect(path) as connection:  # what was written is still in the -wal beside it
        assert connection.execute("SELECT name FROM phasenb_meta").fetchall() == [("another",)]


def test_one_that_is_put_back_is_used_again(database, tmp_path):
    wal = beside(database.location.path, "-wal")
    database.writer.call(keep("before"))
    wal.rename(tmp_path / "elsewhere")
    refused(database)
    (tmp_path / "elsewhere").rename(wal)
    database.writer.call(keep("after"))
    database.close()
    assert kept(database.location.path) == {"before", "after"}


def test_a_file_that_was_cut_short_is_refused_also_when_it_has_grown_again(database):
    path = database.location.path
    database.writer.call(keep("before"))
    whole = path.read_bytes()
    os.truncate(path, 0)
    refused(database, "was cut short while it was in use: put a backup in its place")
    path.write_bytes(whole)
    refused(database, "was cut short")
    os.truncate(path, 0)
    database.close()
    assert beside(path, "-wal").stat().st_size > 0
    with pytest.raises(
        StoreUnavailable, match=r"the file is empty, and store\.db-wal beside it is not: both were left"
    ):
        Database.open(database.location)
    assert beside(path, "-wal").stat().st_size > 0
