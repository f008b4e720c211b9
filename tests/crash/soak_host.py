"""A host of the soak: lives until its stdin ends, and does what each line of it says, many at once.

usage: python soak_host.py FOLDER NAME
A line is JSON with ``id`` and ``do``: launch, or a command of PhaseManager for ``task_id``. Each is answered by a line
with the ``id`` and ``ok`` or ``error``. ``NAME.told`` gets a line for each event that it announced, ``runs.txt`` one
for each time that a phase's function began; ``seen.txt`` has moments at which it ran.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import PhasenbError
from phasenb.host import Host

FOLDER, NAME = Path(sys.argv[1]), sys.argv[2]
OWNER, SESSION = "ada", "soak"
LEASE_S = 2.0


# --- what the phases do: everything here travels to workers by value -----------------------------------------------


def ran(ctx, folder, kind="phase"):
    with (Path(folder) / "runs.txt").open("a") as file:
        file.write(f"{ctx.task_id} {ctx.phase} {kind} {ctx.attempt}\n")
    seen(ctx, folder, kind)


def seen(ctx, folder, kind="phase"):
    with (Path(folder) / "seen.txt").open("a") as file:
        file.write(f"{ctx.task_id} {ctx.phase} {kind} {ctx.attempt} {time.monotonic()}\n")


def act(ctx, folder, script, value):
    """What the script says of this attempt: words, done one after the other."""
    ran(ctx, folder)
    for word in script.get(f"{ctx.phase} {ctx.attempt}", ()):
        if word == "slow":
            for done in ctx.track(range(20)):
                time.sleep(0.02)
                seen(ctx, folder)
                ctx.log(f"step {done}")
        elif word == "keep":
            ctx.artifact(f"kept {ctx.attempt}", list(range(ctx.attempt * 1000)))
            ctx.checkpoint({"attempt": ctx.attempt})
        elif word == "big":
            value = [value, "x" * 400_000]
        elif word == "hang":
            while not ctx.cancelled:
                time.sleep(0.01)
                seen(ctx, folder)
        elif word == "fail":
            raise OSError(f"{ctx.phase} {ctx.attempt}")
        elif word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
    seen(ctx, folder)
    return value


def research(ctx, folder, script):
    return act(ctx, folder, script, "research")


def planning(ctx, research, folder, script):
    return act(ctx, folder, script, "planning")


def simpler(ctx, research, folder, script):
    return act(ctx, folder, script, "simpler")


def implementation(ctx, planning, folder, script):
    return act(ctx, folder, script, "implementation")


def undo(ctx, folder, script):
    ran(ctx, folder, "compensation")
    if "fail" in script.get(f"undo {ctx.phase} {ctx.attempt}", ()):
        raise OSError(f"undo {ctx.phase}")


def workflow():
    flow = Workflow("soak")
    flow.research(research)
    flow.planning(planning)
    flow.implementation(implementation)
    flow.fallback("planning")(simpler)
    flow.compensate("planning")(undo)
    flow.compensate("implementation")(undo)
    return flow


CODE = code_json(pack(workflow()))


# --- what it is told to do -----------------------------------------------------------------------------------------


async def do(host, order):
    manager, what = host.manager, order["do"]
    if what == "launch":
        options = LaunchOptions(phases=("research", "planning", "implementation"), **order["options"])
        inputs = {"folder": str(FOLDER), "script": order["script"]}
        launch = Launch(code=CODE, inputs=inputs, options=options, idempotency_key=order["key"])
        return (await manager.launch(OWNER, SESSION, launch)).task.task_id
    task_id = order["task_id"]
    gate = (await manager.snapshot(OWNER, task_id)).approval
    if what in ("approve", "deny") and gate is None:
        return "there is no gate"
    if what == "approve":
        edit = (["edited"],) if order["edit"] else None
        return (await manager.approve(OWNER, task_id, NAME, gate.phase, gate.seq, None, edit)).state
    if what == "deny":
        redo = "planning" if gate.phase == "implementation" else None
        return (await manager.deny(OWNER, task_id, NAME, gate.phase, gate.seq, "no", redo)).state
    return (await getattr(manager, what)(OWNER, task_id, NAME)).state


async def answer(host, order):
    try:
        told = {"ok": str(await do(host, order))}
    except PhasenbError as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"id": order["id"], **told}), flush=True)


async def live():
    settings = load_settings(
        {
            "store": {"url": str(FOLDER / "store.db")},
            "lease_s": LEASE_S,
            "executor": {"workers": 2, "kill_grace_s": 1},
        }
    )
    host = Host(settings, embedded=True, name=NAME)
    await host.start()
    note = (FOLDER / f"{NAME}.told").open("a", buffering=1)
    tell = host.hub.events

    def told(owner, task, events):
        note.writelines(f"{event.task_id} {event.seq} {event.type}\n" for event in events)
        tell(owner, task, events)

    host.hub.events = told
    print(json.dumps({"id": 0, "ok": "ready"}), flush=True)
    answering = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(answer(host, json.loads(line)))
        answering.add(task)
        task.add_done_callback(answering.discard)
    await asyncio.gather(*answering)
    await host.stop()


if __name__ == "__main__":
    asyncio.run(live())
