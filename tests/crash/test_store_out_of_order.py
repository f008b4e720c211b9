"""The store fails while tasks run, with SQLite's own errors: a clear message, nothing lost, and work goes on after."""

import asyncio
import sqlite3
import threading

import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import StoreUnavailable
from phasenb.host import Host
from phasenb.store.saver import MemorySaver

GO_ON = threading.Event()


def gated():
    GO_ON.wait(30)
    return "x" * 100_000


def flow():
    made = Workflow("steady", phases=("first", "second"))
    made.phase("first")(gated)
    made.phase("second")(lambda first: len(first))
    return made


def launch():
    options = LaunchOptions(executor="inline", phases=("first", "second"))
    return Launch(code=code_json(pack(flow())), options=options)


async def launch_many(manager):
    for _ in range(100):  # a full disk has room for a little
        await manager.launch("ada", "nb", launch())


class Full:
    """The disk is full: SQLite may not take one more page."""

    told = "disk is full"

    def __init__(self, path, writer):
        self.writer = writer
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count = {pages}")

    def mend(self):
        self.writer.execute("PRAGMA max_page_count = 1000000")


class Locked:
    """Another program holds the write lock."""

    told = "another process has been writing"

    def __init__(self, path, writer):
        writer.execute("PRAGMA busy_timeout = 50")
        self.other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.other.execute("BEGIN IMMEDIATE")

    def mend(self):
        self.other.execute("ROLLBACK")
        self.other.close()


class ReadOnly:
    """The file can't be written any more."""

    told = "can't be written"

    def __init__(self, path, writer):
        self.writer = writer
        writer.execute("PRAGMA query_only = ON")

    def mend(self):
        self.writer.execute("PRAGMA query_only = OFF")


@pytest.mark.parametrize("trouble", [Full, Locked, ReadOnly])
def test_a_task_waits_for_its_store_and_goes_on(tmp_path, trouble):
    GO_ON.clear()
    path = tmp_path / "store.db"

    async def scenario():
        host = Host(load_settings({"store": {"url": str(path)}}), embedded=True)
        await host.start()
        shown = []
        progress = host.hub.progress

        def told(owner, task, update):
            shown.append(update.message)
            progress(owner, task, update)

        host.hub.progress = told
        task_id = (await host.manager.launch("ada", "nb", launch())).task.task_id
        while (await host.manager.snapshot("ada", task_id)).phase != "first":
            await asyncio.sleep(0.01)
        writer = host.store._database.writer._connection
        wrong = trouble(path, writer)
        GO_ON.set()
        while not any(message and trouble.told in message for message in shown):
            await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match=trouble.told):
            await launch_many(host.manager)
        wrong.mend()
        await asyncio.wait_for(host.manager.ended(task_id), 20)
        task = await host.manager.snapshot("ada", task_id)
        assert task.state == "completed"
        results = [result for found, result in await host.store.results("ada") if found == task_id]
        assert [(result.phase, result.attempt) for result in results] == [("first", 1), ("second", 1)]
        await host.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class NoAdoption(MemorySaver):
    """Fails in the last step of a host's start."""

    async def adopt(self, host, kinds, dead=None):
        raise StoreUnavailable(self.url, "another process has been writing to it")


def test_a_host_that_cannot_start_leaves_nothing_behind(tmp_path):
    async def scenario():
        before = set(threading.enumerate())
        settings = load_settings({"store": {"url": str(tmp_path / "store.db")}})
        with pytest.raises(StoreUnavailable):
            await Host(settings, embedded=True, open_store=NoAdoption.open).start()
        assert [thread.name for thread in set(threading.enumerate()) - before if "phasenb" in thread.name] == []
        assert [task.get_name() for task in asyncio.all_tasks() if "phasenb" in task.get_name()] == []

    asyncio.run(scenario())
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT count(*) FROM hosts").fetchone() == (0,)
