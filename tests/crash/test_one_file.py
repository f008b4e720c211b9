"""A store is one file when the last process that used it has stopped; and when its -wal and -shm are taken away under a
host, neither the host nor the next one damages it.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from phasenb.core.task_schema import fold
from phasenb.dto.events import parse_event
from phasenb.store.saver import MemorySaver
from tests.crash.test_two_hosts import hosts, until  # noqa: F401 - a fixture

READER = """
import asyncio, sys
from phasenb.store.saver import MemorySaver

saver = MemorySaver.open(sys.argv[1], reading=True)
print(len(asyncio.run(saver.tasks("ada"))), flush=True)
sys.stdin.read()
asyncio.run(saver.close())
"""


class Reader:
    """As `phasenb tasks` and memory() read, in a process that holds the store until it is told to end."""

    def __init__(self, path, **how):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", READER, path], **pipes, **how)
        self.tasks = int(self.process.stdout.readline() or -1)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


def files(folder):
    return sorted(each.name for each in folder.glob("store.db*"))


def states(folder):
    """Of the tasks in a copy of the one file."""
    copy = folder / "copy.db"
    shutil.copy(folder / "store.db", copy)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        logs = {}
        for task_id, body in connection.execute("SELECT task_id, body FROM events ORDER BY id"):
            logs.setdefault(task_id, []).append(parse_event(body))
    return [str(fold(log).state) for log in logs.values()]


@pytest.mark.parametrize("order", ["reader last", "host last", "reader after"])
def test_it_is_one_file_whoever_closes_last(hosts, tmp_path, order):  # noqa: F811
    host = hosts("a")
    (tmp_path / "go on").touch()
    assert host.does("launch plain") == "ok queued"
    until(lambda: any("task_complete" in line for line in host.told()))
    if order == "reader after":
        host.end()
        Reader(tmp_path / "store.db").end()
    else:
        reader = Reader(tmp_path / "store.db")
        assert reader.tasks == 1
        for each in (host, reader) if order == "reader last" else (reader, host):
            each.end()
    assert files(tmp_path) == ["store.db"]
    assert states(tmp_path) == ["completed"]


def test_it_is_one_file_after_a_kill_and_one_start_and_stop(hosts, tmp_path):  # noqa: F811
    host = hosts("a")
    (tmp_path / "go on").touch()
    host.does("launch plain")
    until(lambda: any("task_complete" in line for line in host.told()))
    host.process.kill()
    host.process.wait()
    assert "store.db-wal" in files(tmp_path)
    hosts("b").end()
    assert files(tmp_path) == ["store.db"]
    assert states(tmp_path) == ["completed"]


@pytest.mark.parametrize("closed", [0o444, 0o555])
def test_a_reader_that_may_not_write_leaves_all_as_it_is(hosts, tmp_path, closed):  # noqa: F811
    host = hosts("a")
    host.does("launch plain")
    host.process.kill()
    host.process.wait()
    with tempfile.TemporaryDirectory() as made:  # root's tests have folders that nobody else may enter
        folder = Path(made)
        for each in tmp_path.glob("store.db*"):
            shutil.copy(each, folder)
            (folder / each.name).chmod(0o444 if closed == 0o444 else 0o666)
        before = {each.name: each.read_bytes() for each in folder.iterdir()}
        folder.chmod(0o777 if closed == 0o444 else 0o555)
        with somebody():
            reader = MemorySaver.open(folder / "store.db", reading=True)
            assert len(asyncio.run(reader.tasks("ada"))) == 1
            asyncio.run(reader.close())
        folder.chmod(0o700)
        after = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert {**after, "store.db-shm": b""} == {**before, "store.db-shm": b""}


@contextmanager
def somebody():
    """Root may write everywhere: within, the process is nobody's."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


# --- taken away ------------------------------------------------------------------------------------------------------


def take_away(folder):
    for suffix in ("-wal", "-shm"):
        (folder / f"store.db{suffix}").unlink()


def test_a_host_whose_wal_was_taken_away_refuses_and_loses_nothing_when_it_stops(hosts, tmp_path):  # noqa: F811
    host = hosts("a")
    (tmp_path / "go on").touch()
    host.does("launch plain")
    until(lambda: any("task_complete" in line for line in host.told()))
    take_away(tmp_path)
    told = host.does("launch plain")
    assert told.startswith("StoreUnavailable")
    assert "store.db-wal was removed or replaced while it was in use" in told
    host.end()
    assert files(tmp_path) == ["store.db"]
    assert states(tmp_path) == ["completed"]
    hosts("b").end()
    assert states(tmp_path) == ["completed"]


@pytest.mark.parametrize("first", ["a", "b"])
def test_two_hosts_on_different_wals_do_not_damage_the_store(hosts, tmp_path, first):  # noqa: F811
    (tmp_path / "go on").touch()
    one = hosts("a")
    one.does("launch plain")
    until(lambda: any("task_complete" in line for line in one.told()))
    take_away(tmp_path)
    other = hosts("b")
    assert one.does("launch plain").startswith("StoreUnavailable")
    assert other.does("launch plain") == "ok queued"
    until(lambda: any("task_complete" in line for line in other.told()))
    for host in (one, other) if first == "a" else (other, one):
        host.end()
    hosts("c").end()  # where b was first, a still held the store, and b's -wal had to stay
    assert files(tmp_path) == ["store.db"]
    assert states(tmp_path)[-1:] == ["completed"]
    assert (tmp_path / "runs.txt").read_text().count("implementation") == 4, "each task ran once"
