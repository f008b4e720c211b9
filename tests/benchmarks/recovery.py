"""Recovery and its price: each subject runs in a process of its own and prints one JSON line.

usage: python -m tests.benchmarks.recovery SUBJECT N
Hosts are killed by SIGKILL; phases tell by a file when they run. The peer is LangGraph, which resumes when it is
invoked again: the time from there to its first node is what it can be compared in.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 60


def _folder():
    return Path(tempfile.mkdtemp(prefix="phasenb-bench-"))


def _told(path):
    """The time that was written to ``path``, once it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.002)
    return float(path.read_text())


def _tell(path):
    """Write the time, so that nobody reads half of it."""
    made = path.with_suffix(".new")
    made.write_text(repr(time.time()))
    made.rename(path)


# --- a host that is killed -----------------------------------------------------------------------------------------


def _flow():
    import phasenb as pn

    flow = pn.Workflow("bench")

    @flow.research
    def research():
        return {"rows": 1}

    @flow.planning
    def planning(ctx, folder, research):
        _tell(Path(folder) / f"attempt-{ctx.attempt}")
        while ctx.attempt == 1:  # until its host is killed
            time.sleep(0.01)
        return research

    return flow.with_options(executor="process", show=False)


def victim(folder):
    """An embedded host in the middle of a phase."""
    os.environ["PHASENB_STORE_URL"] = str(Path(folder) / "store.db")
    _flow().launch(folder=folder).wait()


def victim_elsewhere(folder):
    """The same, as if it were on another machine."""
    import phasenb.host

    phasenb.host.process_space = lambda: "another"
    victim(folder)


def _killed(name):
    """Start a process that does ``name(folder)``, wait for its phase, kill it; the folder."""
    folder = _folder()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.recovery", name, folder])
    _told(folder / "attempt-1")
    process.kill()
    process.wait()
    return folder


async def _resumed_after_s(folder):
    from phasenb.config import load_settings
    from phasenb.host import Host

    host = Host(load_settings(environ={"PHASENB_STORE_URL": str(folder / "store.db")}), embedded=True)
    started = time.time()
    await host.start()
    resumed = await asyncio.to_thread(_told, folder / "attempt-2")
    await host.stop()
    return resumed - started


def _resume(n, name):
    return statistics.median(asyncio.run(_resumed_after_s(_killed(name))) for _ in range(n))


def resume(n):
    """Seconds from the start of the next host to the resumed phase, where the old one is known to be gone."""
    return _resume(n, "victim")


def resume_elsewhere(n):
    """The same where that can't be known: the lease has to run out."""
    return _resume(n, "victim_elsewhere")


# --- the peer --------------------------------------------------------------------------------------------------------


def _langgraph(folder, attempt):
    import sqlite3
    from typing import TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict, total=False):
        research: dict
        planning: dict

    def planning(state):
        _tell(folder / f"attempt-{attempt}")
        while attempt == 1:
            time.sleep(0.01)
        return {"planning": state["research"]}

    graph = StateGraph(State)
    graph.add_node("do_research", lambda state: {"research": {"rows": 1}})
    graph.add_node("do_planning", planning)
    graph.add_edge(START, "do_research")
    graph.add_edge("do_research", "do_planning")
    graph.add_edge("do_planning", END)
    saver = SqliteSaver(sqlite3.connect(folder / "langgraph.db", check_same_thread=False))
    saver.setup()
    return graph.compile(checkpointer=saver)


_THREAD = {"configurable": {"thread_id": "1"}}


def victim_of_langgraph(folder):
    _langgraph(Path(folder), 1).invoke({}, _THREAD, durability="sync")


def resume_langgraph(n):
    """Seconds from opening its store, and invoking it again by hand, to the first resumed node."""
    import langgraph.checkpoint.sqlite
    import langgraph.graph  # noqa: F401 - not part of what is measured

    def once():
        folder = _killed("victim_of_langgraph")
        started = time.time()
        _langgraph(folder, 2).invoke(None, _THREAD, durability="sync")
        return _told(folder / "attempt-2") - started

    return statistics.median(once() for _ in range(n))


# --- cancelling ----------------------------------------------------------------------------------------------------


def _busy_in_python(path):
    _tell(Path(path))
    while True:
        pass


def _busy_in_c(path):
    _tell(Path(path))
    return sum(range(10**15))  # looks at no signal, and holds the interpreter


def _cancelled_after_s(busy, n):
    import phasenb as pn

    folder = _folder()
    os.environ["PHASENB_STORE_URL"] = str(folder / "store.db")
    agent = pn.ExtendedAgent(busy).with_options(executor="process", show=False)

    def once(number):
        path = folder / f"busy-{number}"
        task = agent.launch(path=str(path))
        _told(path)
        started = time.perf_counter()
        task.cancel()
        task.wait()
        assert task.state == "cancelled"
        return time.perf_counter() - started

    return statistics.median(once(number) for number in range(n))


def cancel_python(n):
    """Seconds from a cancel to ``task_cancelled``, where the phase is in a busy loop of Python."""
    return _cancelled_after_s(_busy_in_python, n)


def cancel_c(n):
    """The same, where it is in a busy loop of C."""
    return _cancelled_after_s(_busy_in_c, n)


# --- the price of leases and fences ----------------------------------------------------------------------------------


def _without_leases():
    """Have this process's embedded host carry no leases: no fence in a write, no beat, no look at other hosts."""
    import phasenb.host
    from phasenb.core.keeper import Keeper
    from phasenb.store.saver import MemorySaver

    class Unfenced(MemorySaver):
        async def append(self, append):
            return await super().append(replace(append, lease=None, take=None))

    class Silent(Keeper):
        async def start(self):
            await super().start()
            await self.stop_looking()

    class Alone(phasenb.host.Host):
        def __init__(self, *args, **options):
            super().__init__(*args, **{**options, "open_store": Unfenced.open})

    phasenb.host.Host, phasenb.host.Keeper = Alone, Silent


def carrier(connection, leased):
    """A process that runs as many durable no-op tasks as it is told to, and answers how long that took."""
    if not leased:
        _without_leases()
    from tests.benchmarks.subjects import inline_flow

    flow = inline_flow()
    while count := connection.recv():
        started = time.perf_counter()
        for _ in range(count):
            assert flow.launch().result()["rows"] == 1
        connection.send(time.perf_counter() - started)


def leases(n):
    """Time of a durable inline task with leases and fences, by that without, in interleaved blocks of 25."""
    ours, processes = {}, []
    for leased in (True, False):
        ours[leased], theirs = SPAWN.Pipe()
        processes.append(SPAWN.Process(target=carrier, args=(theirs, leased), daemon=True))
        processes[-1].start()

    def block(leased):
        ours[leased].send(25)
        return ours[leased].recv()

    for leased in (True, False) * 4:  # warm
        block(leased)
    took = {True: [], False: []}
    for pair in range(n // 25):
        first = pair % 2 == 0  # each goes first as often as the other
        for leased in (first, not first):
            took[leased].append(block(leased))
    for leased, process in zip((True, False), processes, strict=True):
        ours[leased].send(0)
        process.join(10)
    return _calm(took[True]) / _calm(took[False])


def _calm(blocks):
    """The median of the faster half: what else the machine does only ever slows a block down."""
    return statistics.median(sorted(blocks)[: max(1, len(blocks) // 2)])


if __name__ == "__main__":
    told = sys.argv[2]
    print(json.dumps(globals()[sys.argv[1]](int(told) if told.isdigit() else told)), flush=True)
    os._exit(0)  # hosts and workers that are left go with their process
