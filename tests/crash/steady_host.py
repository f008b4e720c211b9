"""A host that lives until its stdin ends, and does what each line of it says.

usage: python steady_host.py FOLDER NAME [SECONDS that its loop may stand]
Lines: ``launch KIND`` (plain, gated, or once: neither retry nor recovery), ``block SECONDS...`` (its loop, which has
a turn between two of these), or a command (``cancel pause resume approve deny``) for the store's one task. Each is
answered by a line: ``ok STATE``, or the error's type. ``NAME.told`` gets a line for each event that it announced,
``runs.txt`` ``PHASE PID start|alive|end TIME`` lines of the phases.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.core.silence import LOOP_STANDS_S
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import PhasenbError
from phasenb.host import Host

FOLDER, NAME = (Path(sys.argv[1]), sys.argv[2]) if __name__ == "__main__" else (Path(), "")
OWNER = "ada"
LEASE_S = 1.6


def note(phase, what):
    with (FOLDER / "runs.txt").open("a") as file:
        file.write(f"{phase} {os.getpid()} {what} {time.monotonic()}\n")


def research():
    note("research", "start")
    note("research", "end")
    return 1


def planning(ctx, research):
    note("planning", "start")
    while not (FOLDER / "go on").exists():
        note("planning", "alive")
        ctx.update(message="busy")
        time.sleep(0.02)
    note("planning", "end")
    return research + 1


def implementation(planning):
    note("implementation", "start")
    note("implementation", "end")
    return planning + 1


def launch(kind):
    flow = Workflow("steady")
    flow.research(research)
    flow.planning(planning)
    flow.implementation(implementation)
    gates = ("implementation",) if kind == "gated" else ()
    once = {"maximum_recoveries": 0, "defaults": {"retry": {"maximum_attempts": 1}}} if kind == "once" else None
    options = LaunchOptions(phases=flow.phases, approve_before=gates, recovery=once)
    return Launch(code=code_json(pack(flow)), options=options)


async def obey(host, words):
    manager = host.manager
    if words[0] == "block":
        for seconds in words[1:]:
            time.sleep(float(seconds))  # as an extension of the same server may do  # noqa: ASYNC251
            await asyncio.sleep(0)
        return ""
    if words[0] == "launch":
        return (await manager.launch(OWNER, "steady", launch(words[1]))).task.state
    (task,) = await host.store.tasks(OWNER)
    if words[0] in ("approve", "deny"):
        (asked,) = (event for event in await log_of(host, task) if event.type == "approval_requested")
        gate = (OWNER, task.task_id, NAME, asked.phase, asked.seq)
        answering = manager.approve(*gate) if words[0] == "approve" else manager.deny(*gate, "too late")
        return (await answering).state
    return (await getattr(manager, words[0])(OWNER, task.task_id, NAME)).state


async def log_of(host, task):
    return [parse_event(text) for text in await host.store.events(task.task_id, 0, 1000)]


async def live():
    settings = load_settings(
        {"store": {"url": str(FOLDER / "store.db")}, "lease_s": LEASE_S, "executor": {"workers": 1, "kill_grace_s": 1}}
    )
    stands_s = float(sys.argv[3]) if len(sys.argv) > 3 else LOOP_STANDS_S
    host = Host(settings, embedded=False, name=NAME, stands_s=stands_s)
    await host.start()
    told = (FOLDER / f"{NAME}.told").open("a", buffering=1)
    tell = host.hub.events

    def events(owner, task, events):
        told.writelines(f"{event.seq} {event.type}\n" for event in events)
        tell(owner, task, events)

    host.hub.events = events
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            print("ok", await obey(host, line.split()), flush=True)
        except PhasenbError as error:
            print(type(error).__name__, error, flush=True)
    print("was", host.manager.host, flush=True)
    await host.stop()


if __name__ == "__main__":
    asyncio.run(live())
