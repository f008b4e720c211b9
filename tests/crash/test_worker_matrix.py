"""The crash matrix of workers: for every kind of message, a worker dies by SIGKILL just before and just after it says
its own. Its attempt is lost, the task is not: what was heard counts, what was not is done again.
"""

import asyncio
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from types import SimpleNamespace

import cloudpickle
import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.config.machine import machine_id
from phasenb.dto.launch import Launch, LaunchOptions, Runtime
from phasenb.executors import worker_messages
from phasenb.host import Host
from tests.crash.invariants import in_store, log_of, reruns, runs_in

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as notebook cells go; a worker can't import this file
DYING = Path(__file__).with_name("dying_worker.py")
PHASES = ("research", "planning", "implementation")
HEARTBEAT_S = 1.2  # a beat each fifth of a second

# Which of the messages of its kind a worker dies at: the second outcome is that of `planning`, the third that is nested
# is the launch itself, after a connection and its hello.
KINDS = {"outcome": 2, "nested": 3}


@dataclass(frozen=True)
class Case:
    kind: str
    when: str

    @property
    def name(self):
        return f"{self.kind}-{self.when}"

    @property
    def loses(self):
        """How many attempts may go with the worker."""
        if self.name == "outcome-after":
            return (0, 1)  # the next phase's, where its start was decided before the worker was known to be dead
        return (0,) if self.kind in ("described", "refused") else (1,)  # those are said between attempts


def kinds():
    """What a worker says, as the module says that describes it."""
    said = worker_messages.__doc__.partition("Worker to host:")[2].partition("\n\n")[0]
    both_ways = worker_messages.__doc__.partition("Both ways,")[2].partition(": ``")[2].partition("``")[0]
    return [*(name.strip("` \n.") for name in said.split(",")), both_ways]


CASES = [Case(kind, when) for kind in kinds() for when in ("before", "after")]


# --- what the workers run ------------------------------------------------------------------------------------------


def ran(ctx, folder, kind="phase"):
    with (Path(folder).parent / "runs.txt").open("a") as file:
        file.write(f"{ctx.task_id} {ctx.phase} {kind} {ctx.attempt}\n")


def research(ctx, folder):
    ran(ctx, folder)
    return list(range(50_000))  # an object, kept by reference


def planning(ctx, research, folder, kind):
    ran(ctx, folder)
    with (Path(folder) / "seen").open("a") as file:
        file.write(f"{ctx.last_checkpoint}\n")
    ctx.checkpoint({"row": 7})
    ctx.update(0.5, "half")
    print("a line")
    while kind == "beat" and not (Path(folder) / "died").exists():
        ctx.update(message="half")
    if kind == "nested":
        child.with_options(key=Path(folder).name).launch(folder=folder, n=len(research)).result(100)
    if kind == "described" and not (Path(folder) / "undone").exists():
        raise OSError("until it was undone")
    return len(research)


child = Workflow("child", phases=("count",)).with_options(show=False)


@child.phase("count")
def count(ctx, folder, n):
    ran(ctx, folder)
    return n


def implementation(ctx, planning, folder):
    ran(ctx, folder)
    return planning + 1


def undo(ctx, folder):
    ran(ctx, folder, "compensation")
    (Path(folder) / "undone").touch()


def explode():
    raise RuntimeError("it can't be made")


class Broken:
    """What can be packed, and not unpacked."""

    def __reduce__(self):
        return explode, ()


BROKEN = Broken()


def broken(ctx):
    return BROKEN


def workflow(case):
    flow = Workflow(case.name)
    flow.research(broken if case.kind == "refused" else research)
    flow.planning(planning)
    flow.implementation(implementation)
    flow.compensate("planning")(undo)
    return flow


# --- the matrix ----------------------------------------------------------------------------------------------------


def interpreter(folder, case):
    """An interpreter whose workers die as the case says."""
    path = folder / "python"
    words = (sys.executable, "-P", DYING, folder, case.kind, case.when, KINDS.get(case.kind, 1))
    quoted = " ".join(f"'{word}'" for word in words)
    path.write_text(f'#!/bin/sh\nshift 3\nexec {quoted} "$@"\n')
    path.chmod(0o700)
    return str(path)


def launch_of(case, folder):
    recovery = {"defaults": {"retry": {"initial_interval": 0, "jitter": 0, "maximum_attempts": 3}}}
    if case.kind == "described":
        retry = {"initial_interval": 0, "jitter": 0, "maximum_attempts": 1}
        recovery = {"phases": {"planning": {"retry": retry, "rollback": {"to": "research"}}}}
    executable = interpreter(folder, case)
    runtime = Runtime(python=python_version(), executable=executable, cwd=str(folder), host=machine_id())
    options = LaunchOptions(
        phases=PHASES, recovery=recovery, timeouts={"heartbeat": HEARTBEAT_S} if case.kind == "beat" else None
    )
    inputs = {"folder": str(folder), "kind": case.kind}
    return Launch(code=code_json(pack(workflow(case))), inputs=inputs, runtime=runtime, options=options)


async def run_all(root):
    """{case: its task's id}, once all have ended."""
    host = Host(load_settings({"store": {"url": str(root / "store.db")}, "executor": {"workers": 3}}), embedded=False)
    await host.start()
    tasks = {}
    for case in CASES:
        (root / case.name).mkdir()
        launched = await host.manager.launch("ada", "workers", launch_of(case, root / case.name))
        tasks[case] = launched.task.task_id
    await asyncio.gather(*(host.manager.ended(task_id) for task_id in tasks.values()))
    children = Counter(task.key for task in await host.store.tasks("ada") if task.name == "child")
    ends = {}
    for case, task_id in tasks.items():
        results = [result for _, result in await host.store.results("ada", task_id=task_id)]
        lines = [line["text"] for line in await host.store.logs(task_id)]
        task = (await host.store.find(task_id)).task
        ends[case] = SimpleNamespace(task=task, results=results, lines=lines, children=children[case.name])
    await host.stop()
    return ends


def wrong_with(case, end, folder, events, runs):
    """What is wrong with a case's end, as lines."""
    wrong = [] if (folder / "died").exists() else ["its worker never said that, so it did not die"]
    expected = "failed" if case.kind == "refused" else "completed"
    if end.task.state != expected:
        wrong.append(f"it is {end.task.state}: {end.task.error}")
    lost = [result for result in end.results if result.error and result.error.type == "phasenb.WorkerLost"]
    if len(lost) not in case.loses or any(result.status != "lost" for result in lost):
        wrong.append(f"{len(lost)} attempts were lost, not one of {case.loses}")
    wrong += [f"committed and run again: {each}" for each in reruns(events)]
    if case.kind == "checkpoint" or case.name == "outcome-before":
        seen = (folder / "seen").read_text().split("\n")[:-1]
        heard = (case.kind, case.when) != ("checkpoint", "before")
        if seen != ["None", "{'row': 7}" if heard else "None"]:
            wrong.append(f"the attempts saw the checkpoints {seen}")
    again = ["planning"] if case.when == "before" else []
    if case.kind == "outcome" and [run[1] for run in runs] != ["research", "planning", *again, "implementation"]:
        wrong.append(f"what ran is {runs}")
    if case.name == "log-after" and end.lines.count("a line") != 2:
        wrong.append(f"of its lines there are {end.lines}")
    if end.children != (case.kind == "nested"):
        wrong.append(f"its child was launched {end.children} times")
    if case.kind == "described" and not (folder / "undone").exists():
        wrong.append("nothing was undone")
    return wrong


def test_the_matrix_has_every_kind_of_message():
    assert kinds() == [
        "hello", "ready", "step", "log", "checkpoint", "beat", "outcome", "described", "refused", "nested"
    ]  # fmt: skip


@pytest.mark.timeout(900)
def test_the_crash_matrix_of_workers(tmp_path, proof):
    ends = asyncio.run(run_all(tmp_path))
    all_runs = runs_in(tmp_path / "runs.txt")
    problems = {"store": [str(found) for found in in_store(tmp_path / "store.db", all_runs).items()]}
    rows = {}
    for case, end in ends.items():
        task_id = end.task.task_id
        events = log_of(tmp_path / "store.db", task_id)
        runs = [run for run in all_runs if run[0] == task_id]
        problems[case.name] = wrong_with(case, end, tmp_path / case.name, events, runs)
        rows.setdefault(case.kind, []).append(f"{case.when}: {'WRONG' if problems[case.name] else 'ok'}")
    told = [line for wrong in problems.values() for line in wrong]
    proof(
        f"crash matrix of workers: {len(CASES)} cases, {sum(map(bool, problems.values()))} wrong; "
        f"committed phases run again: {sum('run again' in line for line in told)}",
        rows,
    )
    if told:
        pytest.fail("\n".join(f"{name}: {line}" for name, wrong in problems.items() for line in wrong))
    assert worker_pids(tmp_path) == [], "a worker outlived its host"


def worker_pids(root):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(root).encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(folder.name)
        except OSError:
            continue  # it ended meanwhile
    return found
