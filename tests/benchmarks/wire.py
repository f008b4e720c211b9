"""The wire beside bare Tornado: each subject runs in a process of its own and prints one JSON line.

usage: python -m tests.benchmarks.wire SUBJECT N
The server is a second process. Fan-out leaves the store out on both sides: what is measured is what phasenb adds to
Tornado between the announcement of an event and the client's socket.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

TMP = Path(tempfile.mkdtemp(prefix="phasenb-bench-"))
PHASES = ("research", "planning", "implementation")


# --- servers -----------------------------------------------------------------------------------------------------


async def _serve(handler, port_queue):
    import tornado.httpserver
    import tornado.netutil
    import tornado.web

    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    tornado.httpserver.HTTPServer(tornado.web.Application([("/ws", handler)])).add_sockets(sockets)
    port_queue.put(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


def _events(task, count):
    """Events of one size, numbered on from a task; what they say does not matter to who hands them on."""
    from phasenb.dto.events import PhaseStarted

    common = {"task_id": task.task_id, "session": task.session, "at": task.created_at, "phase": "research"}
    return [PhaseStarted(**common, seq=task.seq + n, attempt=n, worker="w" * 120) for n in range(1, count + 1)]


def serve_bare(port_queue, messages):
    """Bare Tornado: the same text to every open socket."""
    import tornado.websocket

    from phasenb.dto.base import new_ulid
    from phasenb.dto.task_state import TaskState

    now = "2026-01-01T00:00:00Z"
    task = TaskState(task_id=new_ulid(), session="bench", name="bench", agent="bench", created_at=now, updated_at=now)
    texts = [event.wire for event in _events(task, messages)]

    class Handler(tornado.websocket.WebSocketHandler):
        everybody = set()  # noqa: RUF012 - one for all connections is meant

        def open(self):
            self.set_nodelay(True)
            self.everybody.add(self)

        def on_close(self):
            self.everybody.discard(self)

        async def on_message(self, message):
            for number, text in enumerate(texts):
                for each in tuple(self.everybody):
                    each.write_message(text)
                if number % 64 == 0:
                    await asyncio.sleep(0)

    asyncio.run(_serve(Handler, port_queue))


def serve_hub(port_queue, messages):
    """phasenb's handler and hub over Tornado, with everything between an announcement and the socket."""
    from tornado.websocket import WebSocketHandler

    from phasenb.config.settings import WebSocketSettings
    from phasenb.core.phase_manager import PhaseManager
    from phasenb.dto.launch import Launch, LaunchOptions
    from phasenb.server.socket import TornadoConnection
    from phasenb.testing import FakeClock, FakeStore, ScriptedExecutor
    from phasenb.web.identity import local_identity
    from phasenb.web.message_handler import WebSocketMessageHandler
    from phasenb.web.websocket_manager import WebSocketManager

    async def main():
        store, executor = FakeStore(), ScriptedExecutor()
        executor.hold("research")
        # As wide as Tornado's own buffer, which has no bound: there is no store to read from when one is full.
        settings = WebSocketSettings(queue_events=10_000_000, max_frame_bytes=2**40, commands_per_second=1e6)
        hub = WebSocketManager(settings, store)
        manager = PhaseManager(store, {"process": executor}, hub, FakeClock())
        identity = local_identity()
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES))
        task = (await manager.launch(identity.owner, "bench", launch)).task
        await executor.started.get()
        task = await manager.snapshot(identity.owner, task.task_id)
        events = _events(task, messages)
        for event in events:
            assert event.wire  # made once, when it was stored

        class Handler(WebSocketHandler):
            def open(self):
                self.set_nodelay(True)
                self.messages = WebSocketMessageHandler(TornadoConnection(self), manager, hub, identity)
                self.messages.opened()

            async def on_message(self, message):
                if message == "task":
                    await self.write_message(task.task_id)
                elif message == "go":
                    for number, event in enumerate(events):
                        hub.events(identity.owner, task, [event])
                        if number % 64 == 0:
                            await asyncio.sleep(0)
                else:
                    await self.messages.receive(message)

            def on_close(self):
                self.messages.closed()

        await _serve(Handler, port_queue)

    asyncio.run(main())


# --- fan-out -----------------------------------------------------------------------------------------------------


def _fan_out(serve, clients, subscribe):
    """Deliveries a second of 40,000 over all clients."""
    messages = 40_000 // clients
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    server = context.Process(target=serve, args=(ports, messages), daemon=True)
    server.start()
    try:
        return asyncio.run(_delivered_per_s(ports.get(timeout=60), clients, messages, subscribe))
    finally:
        server.terminate()


async def _delivered_per_s(port, clients, messages, subscribe):
    import websockets

    address = f"ws://127.0.0.1:{port}/ws"
    sockets = [await websockets.connect(address, compression=None, max_queue=None) for _ in range(clients)]
    if subscribe:
        await sockets[0].send("task")
        task_id = await sockets[0].recv()
        for socket in sockets:
            for command in (
                {"type": "hello", "id": "1", "protocol": 1, "session": "bench"},
                {"type": "subscribe", "id": "2", "task_id": task_id, "epoch": "another"},
            ):
                await socket.send(json.dumps(command))
                await socket.recv()

    async def drain(socket):
        for _ in range(messages):
            await socket.recv()

    started = time.perf_counter()
    await sockets[0].send("go")
    await asyncio.gather(*map(drain, sockets))
    return clients * messages / (time.perf_counter() - started)


def bare(clients):
    return _fan_out(serve_bare, clients, subscribe=False)


def hub(clients):
    return _fan_out(serve_hub, clients, subscribe=True)


# --- a real server -------------------------------------------------------------------------------------------------


def _with_server(measure):
    from tests.benchmarks.server import start_server

    process, url, token = start_server(TMP)
    try:
        return asyncio.run(measure(process, url, token))
    finally:
        process.terminate()
        process.wait()


def _stamping(ctx, count):
    """Each update carries the time when it was made; slower than the coalescing interval, so none is held back."""
    import time

    for number in range(count):
        time.sleep(0.15)
        ctx.update((number + 1) / count, repr(time.time()))


def update_latency(n):
    """p50 of milliseconds from ``ctx.update`` in a worker to a client's callback, at an idle server."""

    async def measure(process, url, token):
        import phasenb as pn

        waits = []

        def seen(task):
            if task.message and (not waits or waits[-1][0] != task.message):
                waits.append((task.message, 1e3 * (time.time() - float(task.message))))

        async with pn.AsyncClient(url, token=token, session="bench") as client:
            await client.feed(seen)
            task = await client.launch(pn.ExtendedAgent(_stamping), count=n)
            await task.result()
        return statistics.median(wait for _, wait in waits)

    return _with_server(measure)


def _ending(ctx, path):
    import time
    from pathlib import Path

    Path(path).write_text(repr(time.time()))


def end_latency(n):
    """p50 of milliseconds from a phase's end to its ``phase_complete`` at the client."""

    async def measure(process, url, token):
        import phasenb as pn

        waits = []
        async with pn.AsyncClient(url, token=token, session="bench") as client:
            for number in range(n):
                path = TMP / f"end-{number}"
                task = await client.launch(pn.ExtendedAgent(_ending), path=str(path))
                await task.wait()
                waits.append(1e3 * (time.time() - float(path.read_text())))
        return statistics.median(waits[2:])

    return _with_server(measure)


def replay(n):
    """Seconds until a client that missed ``n`` events of a task has read them all."""
    from datetime import UTC, datetime

    from phasenb.core.ports import Append
    from phasenb.core.task_schema import apply
    from phasenb.dto.base import new_ulid
    from phasenb.dto.events import TaskCreated, TaskPaused, TaskResumed
    from phasenb.store.saver import MemorySaver
    from phasenb.web.identity import operating_system_user

    task_id = new_ulid()

    async def write():
        saver = MemorySaver.open(str(TMP / "server.db"))
        common = {"task_id": task_id, "session": "bench", "at": datetime.now(UTC)}
        task, events = None, [TaskCreated(**common, seq=1, name="long", agent="long", phases=PHASES)]
        kinds = (TaskPaused, TaskResumed)
        events += [kinds[number % 2](**common, seq=number, by="bench") for number in range(2, n + 1)]
        for start in range(0, n, 500):
            page = events[start : start + 500]
            for event in page:
                task = apply(task, event)
            await saver.append(Append(operating_system_user(), task, tuple(page)))
        await saver.close()

    asyncio.run(write())

    async def measure(process, url, token):
        import websockets

        address = f"{url.replace('http', 'ws', 1)}phasenb/ws?token={token}"
        async with websockets.connect(address, compression=None, max_queue=None) as socket:
            await socket.send(json.dumps({"type": "hello", "id": "1", "protocol": 1, "session": "bench"}))
            await socket.recv()
            started = time.perf_counter()
            await socket.send(json.dumps({"type": "subscribe", "id": "2", "task_id": task_id, "after_seq": 0}))
            assert json.loads(await socket.recv())["recovered"]
            seqs = [json.loads(await socket.recv())["seq"] for _ in range(n)]
            assert seqs == list(range(1, n + 1))
            return time.perf_counter() - started

    return _with_server(measure)


def idle_clients(n):
    """KB of the server's memory for each of ``n`` idle clients, and how many frames but pings they got in 5 s."""

    async def measure(process, url, token):
        import psutil
        import websockets

        server = psutil.Process(process.pid)
        address = f"{url.replace('http', 'ws', 1)}phasenb/ws?token={token}"

        async def connected():
            socket = await websockets.connect(address, compression=None)
            for command in (
                {"type": "hello", "id": "1", "protocol": 1, "session": "bench"},
                {"type": "subscribe_feed", "id": "2"},
            ):
                await socket.send(json.dumps(command))
                await socket.recv()
            return socket

        warm = [await connected() for _ in range(20)]
        before = server.memory_info().rss
        sockets = [await connected() for _ in range(n)]
        after = server.memory_info().rss
        frames = 0

        async def count(socket):
            nonlocal frames
            await socket.recv()
            frames += 1

        _, waiting = await asyncio.wait([asyncio.ensure_future(count(socket)) for socket in sockets], timeout=5)
        for each in waiting:
            each.cancel()
        for socket in (*warm, *sockets):
            await socket.close()
        return {"kb_each": (after - before) / 1024 / n, "frames": frames}

    return _with_server(measure)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))), flush=True)
    os._exit(0)
