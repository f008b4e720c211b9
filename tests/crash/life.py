"""A task's whole life in a process that may be killed at any commit, and be started again to go on.

usage: python life.py   and then, a line each: FOLDER SCENARIO [before|after EVENT_TYPE NTH]
Each line is a life in a process of its own, forked (imports are most of what a life costs), and is answered by how that
process ended: 0 where the task did. A life steers the one task of a scenario to its end, looking only at its state: so
it does not matter how often it is started. ``told.txt`` gets a line for each event that was acknowledged, ``runs.txt``
one for each run of a phase's function, ``life.err`` what the life said.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from pathlib import Path

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.task_state import State
from phasenb.host import Host
from phasenb.store.saver import MemorySaver

FOLDER, SCENARIO = Path(), ""
OWNER, SESSION = "ada", "crash"
LIFE_S = 120  # far more than one takes on a busy machine
NO_WAIT = {"initial_interval": 0, "jitter": 0}


class DyingSaver(MemorySaver):
    """A store whose process dies just before, or just after, it commits the nth event of a type."""

    when, event_type, left = "", "", 0

    async def append(self, append):
        hit = any(event.type == self.event_type for event in append.events)
        DyingSaver.left -= hit
        dies = hit and self.left == 0
        if dies and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        appended = await super().append(append)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return appended


# Everything here is in __main__, so it travels to workers by value, constants and all.


def ran(ctx, kind="phase"):
    with (FOLDER / "runs.txt").open("a") as file:
        file.write(f"{ctx.task_id} {ctx.phase} {kind} {ctx.attempt}\n")


def fails_in(scenario):
    """Fail, the first time that it is asked for in this scenario."""
    if scenario == SCENARIO and not (FOLDER / "failed").exists():
        (FOLDER / "failed").touch()
        raise OSError("once")


def research(ctx):
    ran(ctx)
    fails_in("retry")
    return {"rows": 344}


def planning(ctx, research):
    ran(ctx)
    if SCENARIO in ("fallback", "giving_up"):
        raise OSError("always")
    while SCENARIO == "pause" and not (FOLDER / "paused").exists():
        ctx.update(message="waiting to be paused")
    return [research["rows"], ctx.feedback]


def simpler(ctx, research):
    ran(ctx)
    return [research["rows"], "simpler"]


def implementation(ctx, planning):
    ran(ctx)
    if SCENARIO == "rollback" and not (FOLDER / "undone").exists():
        raise OSError("until it was rolled back")
    fails_in("failure")
    while SCENARIO == "cancel" and not ctx.cancelled:
        ctx.update(message="busy")
    return planning


def undo(ctx):
    ran(ctx, "compensation")
    if ctx.phase == "planning":
        (FOLDER / "undone").touch()


def workflow():
    flow = Workflow("life")
    flow.research(research)
    flow.planning(planning)
    flow.implementation(implementation)
    if SCENARIO in ("fallback", "giving_up"):
        flow.fallback("planning")(simpler)
    if SCENARIO == "rollback":
        flow.compensate("planning")(undo)
        flow.compensate("implementation")(undo)
    return flow


def options():
    retry = {"defaults": {"retry": {**NO_WAIT, "maximum_attempts": 2 if SCENARIO == "retry" else 1}}}
    if SCENARIO == "giving_up":
        retry["defaults"]["retry"] = {"initial_interval": "1h", "maximum_attempts": 2}
    if SCENARIO == "rollback":
        retry["phases"] = {"implementation": {"rollback": {"to": "planning"}}}
    gates = ("implementation",) if SCENARIO in ("gate", "denial") else ()
    return LaunchOptions(
        executor="inline", recovery=retry, approve_before=gates, phases=("research", "planning", "implementation")
    )


async def steer(manager, task):
    """Do what the scenario asks for in this state, if anything."""
    task_id, gate = task.task_id, task.approval
    done = {phase.name for phase in task.phases if phase.status == "complete"}
    if gate is not None and SCENARIO == "denial" and task.phase_named("planning").attempt == 1:
        await manager.deny(OWNER, task_id, "ada", gate.phase, gate.seq, "again", "planning")
    elif gate is not None:
        await manager.approve(OWNER, task_id, "ada", gate.phase, gate.seq)
    elif task.state is State.PAUSED:
        await manager.resume(OWNER, task_id, "ada")
    elif SCENARIO == "pause" and "research" in done and not (FOLDER / "paused").exists():
        await manager.pause(OWNER, task_id, "ada")
        (FOLDER / "paused").touch()
    elif SCENARIO == "cancel" and "planning" in done:
        await manager.cancel(OWNER, task_id, "ada")
    elif SCENARIO == "giving_up" and task.state is State.RETRYING:
        await manager.give_up(OWNER, task_id, "ada")
    elif SCENARIO == "failure" and task.state is State.FAILED:
        await manager.retry(OWNER, task_id, "ada")


async def live():
    settings = load_settings({"store": {"url": str(FOLDER / "store.db")}, "lease_s": 2})
    host = Host(settings, embedded=True, open_store=DyingSaver.open)
    await host.start()
    note = (FOLDER / "told.txt").open("a", buffering=1)
    tell = host.hub.events

    def told(owner, task, events):
        for event in events:
            note.write(f"{event.seq} {event.type}\n")
        tell(owner, task, events)

    host.hub.events = told
    launch = Launch(code=code_json(pack(workflow())), options=options(), idempotency_key="the one")
    task = (await host.manager.launch(OWNER, SESSION, launch)).task
    while not task.state.terminal or (SCENARIO == "failure" and task.state is State.FAILED):
        await steer(host.manager, task)
        await asyncio.sleep(0.002)
        task = await host.manager.snapshot(OWNER, task.task_id)
    await host.stop()


def child(folder, scenario, *death):
    global FOLDER, SCENARIO
    FOLDER, SCENARIO = Path(folder), scenario
    if death:
        DyingSaver.when, DyingSaver.event_type, DyingSaver.left = death[0], death[1], int(death[2])
    told = os.open(FOLDER / "life.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 2)
    signal.alarm(LIFE_S)
    asyncio.run(live())


def serve():
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                child(*line.split())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
