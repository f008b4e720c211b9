"""What is measured: each subject runs in a process of its own and prints one JSON line.

usage: python -m tests.benchmarks.subjects SUBJECT N
The work is the same for all: three phases, each returning a small dict; every result durable, but for Dask.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHASES = ("research", "planning", "implementation")
TMP = Path(tempfile.mkdtemp(prefix="phasenb-bench-"))


def phase(name, value):
    return {"phase": name, "rows": value, "note": "x" * 64}


def timed(run, n):
    """Milliseconds per task."""
    started = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - started) / n


def commits(n):
    """The floor: five bare SQLite commits with synchronous=FULL a task."""
    con = sqlite3.connect(TMP / "raw.db", isolation_level=None)
    con.execute("pragma journal_mode=wal")
    con.execute("pragma synchronous=full")
    con.execute("create table e(task, seq, body, primary key(task, seq))")

    def run():
        for task in range(n):
            for seq in range(5):
                con.execute("begin immediate")
                con.execute("insert into e values(?,?,?)", (task, seq, json.dumps(phase("research", 1))))
                con.execute("commit")

    return timed(run, n)


def _flow(executor):
    os.environ["PHASENB_STORE_URL"] = str(TMP / "phasenb.db")
    import phasenb as pn

    flow = pn.Workflow("bench")

    @flow.research
    def research():
        return phase("research", 1)

    @flow.planning
    def planning(research):
        return phase("planning", research["rows"])

    @flow.implementation
    def implementation(planning):
        return phase("implementation", planning["rows"])

    flow = flow.with_options(executor=executor, show=False)
    assert flow.launch().result()["rows"] == 1
    return flow


def inline_flow():
    """The durable-task benchmark's own workflow, embedded and inline, in a store of this process."""
    return _flow("inline")


def phasenb_inline(n):
    flow = inline_flow()

    def run():
        for _ in range(n):
            assert flow.launch().result()["rows"] == 1

    return timed(run, n)


def phasenb_inline_64(n):
    """64 in flight: as many threads launch and wait, as the peer's 8 invoke and wait."""
    from concurrent.futures import ThreadPoolExecutor

    flow = _flow("inline")

    def one(_):
        assert flow.launch().result()["rows"] == 1

    with ThreadPoolExecutor(64) as pool:
        return timed(lambda: list(pool.map(one, range(n))), n)


def phasenb_process(n):
    flow = _flow("process")

    def run():
        for _ in range(n):
            assert flow.launch().result()["rows"] == 1

    return timed(run, n)


def _langgraph():
    from typing import TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict, total=False):
        research: dict
        planning: dict
        implementation: dict

    graph = StateGraph(State)
    for name in PHASES:
        graph.add_node(f"do_{name}", lambda state, name=name: {name: phase(name, 1)})
    for source, target in zip((START, *(f"do_{p}" for p in PHASES)), (*(f"do_{p}" for p in PHASES), END), strict=True):
        graph.add_edge(source, target)
    con = sqlite3.connect(TMP / "langgraph.db", check_same_thread=False)
    saver = SqliteSaver(con)
    saver.setup()
    app = graph.compile(checkpointer=saver)

    def one(i):
        made = app.invoke({}, {"configurable": {"thread_id": str(i)}}, durability="sync")
        assert made["implementation"]["rows"] == 1

    one(-1)
    return one


def langgraph(n):
    one = _langgraph()
    return timed(lambda: [one(i) for i in range(n)], n)


def langgraph_8_threads(n):
    from concurrent.futures import ThreadPoolExecutor

    one = _langgraph()
    with ThreadPoolExecutor(8) as pool:
        return timed(lambda: list(pool.map(one, range(n))), n)


def dask(n):
    """Not durable: results live in the workers' memory."""
    from dask.distributed import Client, LocalCluster

    def step(previous, name):
        return {"phase": name, "rows": 1, "note": "x" * 64}

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(**options) as cluster, Client(cluster) as client:

        def one():
            future = None
            for name in PHASES:
                future = client.submit(step, future, name, pure=False)
            assert future.result()["rows"] == 1

        one()
        return timed(lambda: [one() for _ in range(n)], n)


def _nanoseconds_each(iterable, n):
    started = time.perf_counter_ns()
    for _ in iterable:
        pass
    return (time.perf_counter_ns() - started) / n


def track(n):
    from phasenb.core.context import Context

    ctx = Context(lambda report: None, store_artifact=None, store_checkpoint=None)
    return _nanoseconds_each(ctx.track(range(n)), n)


def tqdm(n):
    from tqdm import tqdm as bar

    with Path(os.devnull).open("w") as sink:
        return _nanoseconds_each(bar(range(n), file=sink), n)


def _import_ms(module, n):
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(n)]
    return 1e3 * sorted(runs)[n // 2]


def import_phasenb(n):
    return _import_ms("phasenb", n)


def import_workflow(n):
    return _import_ms("phasenb; phasenb.Workflow", n)


def import_pandas(n):
    return _import_ms("pandas", n)


def _server():
    """A real Jupyter server with the extension: (process, url, token)."""
    from tests.benchmarks.server import start_server

    return start_server(TMP)


def idle_frames(n):
    """Frames that a subscribed client receives while nothing happens, in ``n`` tenths of a second."""
    import websockets

    process, url, token = _server()

    async def listen():
        address = url.replace("http", "ws", 1) + f"phasenb/ws?token={token}"
        async with websockets.connect(address) as socket:
            for command in (
                {"type": "hello", "id": "1", "protocol": 1, "session": "bench"},
                {"type": "subscribe_feed", "id": "2", "scope": "user"},
            ):
                await socket.send(json.dumps(command))
                await socket.recv()
            frames = 0
            try:
                async with asyncio.timeout(n / 10):
                    while True:
                        await socket.recv()
                        frames += 1
            except TimeoutError:
                return frames

    try:
        return asyncio.run(listen())
    finally:
        process.terminate()
        process.wait()


def million_updates(n):
    """Server memory growth in MB, and ping p99 in ms, while one phase calls ctx.update ``n`` times."""
    import psutil

    process, url, token = _server()
    import phasenb as pn

    def busy(ctx, calls):
        for i in range(calls):
            ctx.update(i / calls, "busy")

    async def watch():
        server = psutil.Process(process.pid)
        async with pn.AsyncClient(url, token=token, session="bench") as client:
            agent = pn.ExtendedAgent(busy)
            task = await client.launch(agent, calls=1000)
            await task.result()
            before, peak, pings = server.memory_info().rss, 0, []
            task = await client.launch(agent, calls=n)
            finished = asyncio.ensure_future(task.result())
            while not finished.done():
                started = time.perf_counter()
                await client.ping()
                pings.append(time.perf_counter() - started)
                peak = max(peak, server.memory_info().rss)
                await asyncio.sleep(0.005)
            await finished
            pings.sort()
            return {
                "mb": (peak - before) / 1e6,
                "ping_p99_ms": 1e3 * pings[int(len(pings) * 0.99)],
                "pings": len(pings),
            }

    try:
        return asyncio.run(watch())
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))), flush=True)
    os._exit(0)  # peers leave threads and servers behind; the measure is taken
