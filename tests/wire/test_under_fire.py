"""Recovery under fire: connections are cut again and again, in the middle of frames, while tasks emit events.

What must hold: each client's log of each task is the store's, in order, without a gap and without a repeat; a launch
whose answer was lost is one task; what was asked while the connection was down is answered when it is back.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

import phasenb as pn
from phasenb.client import channel
from phasenb.client.task_model import TaskModel
from phasenb.errors import ServerUnreachable

SEED = int(os.environ.get("PHASENB_TEST_FIRE_SEED", "20261125"))
PHASES = tuple(f"p{number}" for number in range(25))


def chatty(name, phases=PHASES):
    """A workflow of many phases that report, log and return: 52 events, and progress between them."""
    flow = pn.Workflow(name, phases=phases)
    for phase in phases:

        def work(ctx, _name=phase):
            for step in range(20):
                ctx.update(step / 20, f"{_name} {step} " + "." * 200)
            print(_name, "is done", "." * 500)
            return {"phase": _name}

        flow.phase(phase)(work)
    return flow


@pytest.fixture
def taken(monkeypatch):
    """{id of a model: (task_id, [seq ...])}: every event that any client's model took, snapshots as negative seqs."""
    found = {}
    take, reset = TaskModel.take, TaskModel.reset

    def noted_take(model, event):
        before = model.seq
        good = take(model, event)
        if model.seq != before:
            found.setdefault(id(model), (model, []))[1].append(event.seq)
        return good

    def noted_reset(model, snapshot):
        if snapshot.seq != model.seq:
            found.setdefault(id(model), (model, []))[1].append(-snapshot.seq)
        reset(model, snapshot)

    monkeypatch.setattr(TaskModel, "take", noted_take)
    monkeypatch.setattr(TaskModel, "reset", noted_reset)
    return found


def test_every_log_is_the_stores_however_often_connections_break(jupyter_process, cutting_proxy, taken):
    server = jupyter_process()
    dice = random.Random(SEED)
    print(f"seed {SEED}")

    async def main():
        fire = cutting_proxy(server.port, cut_after=lambda: dice.randrange(1_500, 30_000))
        async with fire as proxy:
            clients = [pn.AsyncClient(proxy.url, token=server.token, session=f"fire-{n}") for n in range(4)]
            for client in clients:
                await opened(client)
            launched = await asyncio.gather(
                *(
                    client.launch(chatty(f"chatty-{n}").with_options(labels={"n": str(n)}))
                    for n, client in enumerate(clients)
                )
            )
            # Everybody watches everything: what others launched by id, and by the feed.
            watched = [[await client.task(task.task_id) for task in launched] for client in clients]
            results = await asyncio.gather(*(handle.result() for handles in watched for handle in handles))
            states = [[handle.snapshot.changed(by_host=None).as_json() for handle in handles] for handles in watched]
            for client in clients:
                await client.close()
            cuts = proxy.cuts
        async with pn.AsyncClient(server.url, token=server.token, session="fire-0") as calm:
            logs = {task.task_id: list((await (await calm.task(task.task_id)).events())["seq"]) for task in launched}
            tasks = await calm.states(scope="user")
        return results, states, logs, tasks, cuts

    results, states, logs, tasks, cuts = asyncio.run(asyncio.wait_for(main(), 150))
    assert cuts >= 20, "the fire was none"
    assert [result["phase"] for result in results] == ["p24"] * 16
    assert len(tasks) == 4, "a launch whose answer was lost is still one task"
    assert all(seqs == list(range(1, 53)) for seqs in logs.values())
    for per_client in zip(*states, strict=True):
        assert all(state == per_client[0] for state in per_client), [
            {k: (v, per_client[0][k]) for k, v in state.items() if v != per_client[0][k]} for state in per_client
        ]
    assert len(taken) >= 16
    for model, seqs in taken.values():
        known = 0
        for seq in seqs:
            assert seq == known + 1 or -seq > known, f"task {model.task_id}: {seqs}"
            known = abs(seq)
        assert known == 52


async def opened(client):
    """Open through a proxy that may cut the first try: a first connection is the caller's to repeat."""
    while True:
        try:
            return await client.open()
        except pn.PhasenbError:
            continue


def test_a_reconnect_with_nothing_missed_repeats_nothing(jupyter_process, cutting_proxy, taken, tmp_path):
    """Socket.IO's connection state recovery replays nothing or everything where no event was missed; ours: nothing."""
    server, gate = jupyter_process(), tmp_path / "gate"
    os.mkfifo(gate)

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="calm") as client,
        ):
            task = await client.launch(wait_at, path=str(gate))
            for _ in range(5):
                proxy.cut()
                await client.ping()  # asked while down: answered over the next connection
            await asyncio.to_thread(gate.write_text, "go")
            return await task, proxy.sockets

    result, sockets = asyncio.run(asyncio.wait_for(main(), 60))
    assert result == "went on"
    assert sockets == 6
    [(_, seqs)] = taken.values()
    assert seqs == [1, 2, 3, 4]


def test_progress_and_log_lines_never_spoil_the_place_in_the_log(jupyter_process, cutting_proxy, taken, tmp_path):
    """Unnumbered messages between events must not count: cut after thousands of them, go on at the right event."""
    server, gate = jupyter_process(), tmp_path / "gate"
    os.mkfifo(gate)

    def noisy(ctx, path):
        for step in range(5000):
            ctx.update(step / 5000, f"step {step}")
        print("\n".join(f"line {number}" for number in range(2000)))
        Path(path).read_text()
        return "quiet"

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="noise") as client,
        ):
            task = await client.launch(noisy, path=str(gate))
            async for line in task.log_lines(follow=True):
                if line["text"] == "line 1999":
                    break
            proxy.cut()
            await asyncio.to_thread(gate.write_text, "go")
            return await task

    assert asyncio.run(asyncio.wait_for(main(), 60)) == "quiet"
    [(_, seqs)] = taken.values()
    assert seqs == [1, 2, 3, 4]


def test_a_very_long_connection_is_taken_up_where_it_broke(jupyter_process, cutting_proxy, taken, tmp_path):
    """How long it lasted, and how much it heard, does not count: only what it missed."""
    server, gate = jupyter_process(environ={"PHASENB_WEBSOCKET_REPLAY_MAX_EVENTS": "5"}), tmp_path / "gate"
    os.mkfifo(gate)
    flow = chatty("long", (*PHASES, "last"))
    flow.phase("last")(lambda path: wait_at(path))

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="long") as client,
        ):
            task = await client.launch(flow, path=str(gate))
            async for line in task.log_lines(follow=True):
                if line["text"].startswith("p24 is done"):
                    break
            proxy.cut()
            await client.ping()
            await asyncio.to_thread(gate.write_text, "go")
            return await task

    assert asyncio.run(asyncio.wait_for(main(), 60)) == "went on"
    [(_, seqs)] = taken.values()
    assert seqs == list(range(1, 55)), "no snapshot in between"


def test_commands_given_while_the_server_is_away_arrive_once(jupyter_process, cutting_proxy):
    server = jupyter_process()

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="away") as client,
        ):
            proxy.down = True
            proxy.cut()
            asked = [asyncio.ensure_future(client.launch(chatty(f"away-{n}", ("one", "two")))) for n in range(5)]
            while proxy.sockets == 1 and not any(each.done() for each in asked):
                await asyncio.sleep(0)
                proxy.down = False
            tasks = [await each for each in asked]
            await asyncio.gather(*(task.result() for task in tasks))
            return [task.task_id for task in tasks], await client.states()

    asked, tasks = asyncio.run(asyncio.wait_for(main(), 60))
    assert len(set(asked)) == 5
    assert {task.task_id for task in tasks} == set(asked)


def test_who_asks_a_server_that_stays_away_is_told_and_nothing_happens_later(
    jupyter_process, cutting_proxy, monkeypatch
):
    server = jupyter_process()
    monkeypatch.setattr(channel, "PATIENCE_S", 0.2)

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="gone") as client,
        ):
            proxy.down = True
            proxy.cut()
            with pytest.raises(ServerUnreachable, match="no connection for 0 s: `launch` was not sent"):
                await client.launch(chatty("given up", ("one",)))
            proxy.down = False
            return [task.name for task in await until_back(client)]

    assert asyncio.run(asyncio.wait_for(main(), 60)) == []


async def until_back(client):
    while True:
        try:
            return await client.states()
        except ServerUnreachable:
            continue


def wait_at(path):
    Path(path).read_text()  # a named pipe: opens when the test writes to it
    return "went on"
