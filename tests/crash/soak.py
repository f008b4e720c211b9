"""The soak: dozens of tasks, on hosts that share a store, while phases fail, workers and hosts are killed or frozen,
and people change their minds, all at random. In the end each task has ended or waits for a person; nothing is lost.

usage: python -m tests.crash.soak   with SEED= and SECONDS= in the environment (make soak)
The seed brings the same decisions again, in the same order; what the machine makes of their timing is its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import secrets
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from phasenb.config.machine import process_started
from phasenb.store.saver import MemorySaver
from tests.crash.invariants import WAITS_FOR_A_PERSON, at_once, in_store, runs_in

HOST = Path(__file__).with_name("soak_host.py")
HOSTS = 3
LEASE_S = 2.0  # as soak_host.py says
# What its phases, its killings and their policies end tasks with; anything else is a mistake of phasenb's.
REASONS = ("OSError", "phasenb.WorkerLost", "phasenb.AttemptTimeout", "phasenb.TooManyRecoveries")
PACE_S = 0.1  # from one decision to the next
DECISIONS_PER_S = 5  # as some take longer; on a busy machine all do, and there are no fewer for that
PATIENCE_S = 120.0
OUTLIVED_S = 5.0  # a guardian needs a moment to see that its host is gone, on a busy machine
ENDED = ("completed", "failed", "cancelled")
COMMANDS = ("cancel", "pause", "resume", "resume", "retry", "retry", "approve", "approve", "approve", "deny")
GONE = {"error": "gone"}


class HostProcess:
    """One host process, and the answers that are waited for."""

    def __init__(self, name, process):
        self.name = name
        self.process = process
        self.frozen = False
        self._waiting = {0: asyncio.get_running_loop().create_future()}
        self._numbers = itertools.count(1)
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, folder, name):
        with (folder / f"{name}.err").open("w") as err:
            process = await asyncio.create_subprocess_exec(
                sys.executable, HOST, folder, name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=err,
            )  # fmt: skip
        host = cls(name, process)
        return host if await host._waiting[0] is not GONE else None

    @property
    def alive(self):
        return self.process.returncode is None

    def tell(self, order):
        """A future of the answer."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.process.stdin.write(json.dumps({"id": number, **order}).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            answer.set_result(GONE)
        return answer

    async def _read(self):
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        await self.process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(GONE)

    def signal(self, number):
        if self.alive:
            self.process.send_signal(number)

    async def end(self):
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    def guardians(self):
        """The pids of its children: each is the guardian of a worker."""
        return children(self.process.pid)

    def workers(self):
        """The pids of its worker processes."""
        return [pid for guardian in self.guardians() for pid in children(guardian)]


@dataclass
class Soak:
    """``run`` gives what is wrong, as lines; ``done`` counts what was done."""

    folder: Path
    seed: int
    seconds: float
    tasks: int
    done: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    task_ids: list = field(default_factory=list)

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.hosts = []
        self.names = itertools.count(1)
        self.later = set()
        self.left_behind = set()

    async def run(self):
        try:
            await self.chaos()
            await self.calm()
            await self.look_back()
        finally:
            for host in self.hosts:
                host.signal(signal.SIGCONT)
                host.signal(signal.SIGKILL)
        return self.wrong

    # --- chaos -----------------------------------------------------------------------------------------------------

    async def chaos(self):
        for _ in range(HOSTS):
            await self.one_more_host()
        launched = 0
        for decision in itertools.count():
            over = decision >= self.seconds * DECISIONS_PER_S
            if over and launched == self.tasks:
                return
            roll = self.dice.random()
            if launched < self.tasks and (roll < 0.25 or over):
                launched += 1
                self.soon(self.launch(launched, self.own_dice()))
            elif roll < 0.84:
                self.soon(self.command(self.own_dice()))
            elif roll < 0.93:
                self.kill_a_worker()
            elif roll < 0.955:
                await self.kill_a_host()
            elif roll < 0.975:
                self.soon(self.lock_the_store(self.dice.uniform(0.1, 1.5 * LEASE_S)))
            else:
                self.freeze_a_host()
            await asyncio.sleep(self.dice.uniform(0, 2 * PACE_S))

    def own_dice(self):
        """For what goes on beside other things: so it disturbs nobody's order of decisions."""
        return random.Random(self.dice.random())

    def soon(self, work):
        task = asyncio.create_task(work)
        self.later.add(task)
        task.add_done_callback(self.over)

    def over(self, task):
        self.later.discard(task)
        if task.exception() is not None:
            self.wrong.append(f"the soak itself failed: {task.exception()!r}")

    async def one_more_host(self):
        host = await HostProcess.start(self.folder, f"host-{next(self.names)}")
        if host is None:
            self.wrong.append("a host could not start")
        else:
            self.hosts.append(host)

    async def a_host(self, dice):
        """One that is awake: the last of them may have been killed a moment ago."""
        while not (awake := [host for host in self.hosts if not host.frozen]):
            await asyncio.sleep(0.05)
        return dice.choice(awake)

    async def launch(self, number, dice):
        """Ask until somebody answers: the key makes it one task."""
        order = {"do": "launch", "key": f"task {number}", "options": options(dice), "script": script(dice)}
        if order["options"]["executor"] == "inline":  # a phase that kills its process would kill its host
            order["script"] = {at: [word for word in words if word != "die"] for at, words in order["script"].items()}
        while True:
            answer = await (await self.a_host(dice)).tell(order)
            if "ok" in answer:
                self.done["tasks"] += 1
                self.task_ids.append(answer["ok"])
                return
            if answer is not GONE and "LeaseLost" not in answer["error"]:
                self.wrong.append(f"a launch was refused: {answer['error']}")
                return
            await asyncio.sleep(0.05)

    async def command(self, dice):
        do, edit, picked = dice.choice(COMMANDS), dice.random() < 0.5, dice.random()
        host = await self.a_host(dice)
        if not self.task_ids:
            return
        task_id = self.task_ids[int(picked * len(self.task_ids))]
        answer = await host.tell({"do": do, "task_id": task_id, "edit": edit})
        told = answer.get("error", "")
        self.done["commands refused" if told else "commands"] += 1
        if told and not told.startswith(("gone", "IllegalTransition", "Conflict", "UnknownTask")):
            self.wrong.append(f"{do} of {task_id}: {told}")

    def kill_a_worker(self):
        """Or the guardian of one."""
        kind, roll = self.dice.choice(("workers", "workers", "workers", "guardians")), self.dice.random()
        pids = [pid for host in self.hosts for pid in getattr(host, kind)()]
        if pids:
            try:
                os.kill(pids[int(roll * len(pids))], signal.SIGKILL)
                self.done[f"{kind} killed"] += 1
            except ProcessLookupError:
                pass  # it ended by itself

    async def kill_a_host(self):
        host = self.hosts[int(self.dice.random() * len(self.hosts))]
        self.hosts.remove(host)
        self.left_behind |= {(pid, process_started(pid)) for pid in host.guardians() + host.workers()}
        host.signal(signal.SIGKILL)
        self.done["hosts killed"] += 1
        await self.one_more_host()

    def freeze_a_host(self):
        awake = [host for host in self.hosts if not host.frozen]
        seconds, roll = self.dice.uniform(0.2, 2 * LEASE_S), self.dice.random()
        if len(awake) > 1:
            host = awake[int(roll * len(awake))]
            host.frozen = True
            host.signal(signal.SIGSTOP)
            self.done["hosts frozen"] += 1
            self.soon(self.thaw(host, seconds))

    async def thaw(self, host, seconds):
        await asyncio.sleep(seconds)
        host.signal(signal.SIGCONT)
        host.frozen = False

    async def lock_the_store(self, seconds):
        """As another program does that writes to it for so long."""
        other = sqlite3.connect(self.folder / "store.db", isolation_level=None, timeout=0.2)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            pass  # a host is writing at this moment
        else:
            self.done["store locked"] += 1
            await asyncio.sleep(seconds)
            other.execute("ROLLBACK")
        other.close()

    # --- calm ------------------------------------------------------------------------------------------------------

    async def calm(self):
        """Everybody is awake, and nobody says anything any more: all tasks come to an end, or wait."""
        while self.later:
            await asyncio.wait(self.later, timeout=PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while (busy := self.busy()) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        self.wrong += [f"stuck: {task_id} is {state}" for task_id, state in busy]
        for host in self.hosts:
            self.left_behind |= {(pid, process_started(pid)) for pid in host.guardians() + host.workers()}
            code = await host.end()
            if code != 0:
                said = (self.folder / f"{host.name}.err").read_text()[-2000:]
                self.wrong.append(f"{host.name} ended with {code}: {said}")
        deadline = time.monotonic() + OUTLIVED_S
        while (
            left := [pid for pid, started in self.left_behind if lives(pid, started)]
        ) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self.wrong += [f"process {pid} outlived its host" for pid in left]

    def busy(self):
        with sqlite3.connect(self.folder / "store.db") as connection:
            rows = connection.execute("SELECT task_id, state, snapshot FROM tasks").fetchall()
        return [
            (task_id, state)
            for task_id, state, snapshot in rows
            if state not in ENDED
            and (
                state not in WAITS_FOR_A_PERSON or any(p["status"] == "running" for p in json.loads(snapshot)["phases"])
            )
        ]

    # --- what is left ----------------------------------------------------------------------------------------------

    async def look_back(self):
        path = self.folder / "store.db"
        store = MemorySaver.open(path)
        await store.collect(0.0)  # nothing runs any more: what goes now, nobody needs
        for task in await store.tasks("ada", limit=10_000):
            self.done[task.state.value] += 1
        await store.close()
        found = in_store(path, runs_in(self.folder / "runs.txt"))
        self.wrong += [f"{key}: {line}" for key, lines in found.items() for line in lines]
        with sqlite3.connect(path) as connection:
            inline = {task for (task,) in connection.execute("SELECT task_id FROM tasks WHERE executor = 'inline'")}
            self.wrong += at_once(before_a_thaw(runs_in(self.folder / "seen.txt"), inline))
            ends = connection.execute("SELECT body FROM events WHERE type = 'task_error'").fetchall()
            stored = {
                f"{t} {seq} {kind}" for t, seq, kind in connection.execute("SELECT task_id, seq, type FROM events")
            }
        told = {line for file in self.folder.glob("*.told") for line in file.read_text().split("\n")[:-1]}
        self.wrong += [f"acknowledged and lost: {line}" for line in told - stored]
        errors = [(event["task_id"], event["error"]) for event in (json.loads(body) for (body,) in ends)]
        self.wrong += [f"{task_id} ended by {error}" for task_id, error in errors if error["type"] not in REASONS]
        self.done["events"] = len(stored)
        self.wrong += [line for file in self.folder.glob("*.err") for line in raised(file)]


def options(dice):
    retry = {"initial_interval": 0.05, "backoff_coefficient": 1, "maximum_attempts": dice.choice((1, 2, 3))}
    recovery = {"defaults": {"retry": retry, "timeouts": {"attempt": 4}}}
    if dice.random() < 0.5:
        recovery["phases"] = {"implementation": {"rollback": {"to": dice.choice(("research", "planning"))}}}
    gates = [phase for phase in ("planning", "implementation") if dice.random() < 0.25]
    executor = dice.choice(("inline", "process"))
    return {"executor": executor, "recovery": recovery, "approve_before": gates}


def script(dice):
    words = ("slow", "keep", "big", "hang", "fail", "die")
    chances = (0.4, 0.3, 0.1, 0.03, 0.25, 0.08)
    phases = ("research", "planning", "implementation", "undo planning", "undo implementation")
    return {
        f"{phase} {attempt}": [w for w, chance in zip(words, chances, strict=True) if dice.random() < chance]
        for phase in phases
        for attempt in range(1, 9)
    }


def before_a_thaw(seen, inline):
    """Without what an inline phase does in the moment until its thawed process hears that another one has its task
    (docs/guarantees.md): it was not seen for a lease.
    """
    last = {}
    for task_id, *attempt, at in seen:
        before = last.get((task_id, *attempt), float(at))
        if task_id not in inline or float(at) - before < LEASE_S:
            last[task_id, *attempt] = float(at)
            yield task_id, *attempt, at


def children(pid):
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def lives(pid, started):
    """Whether that process is there still, and not only its remains, which nobody has taken note of yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return started is not None and process_started(pid) == started and state != "Z"


def raised(file):
    """What a host did not expect, as it was logged."""
    parts = file.read_text(errors="replace").split("Traceback (most recent call last):\n")
    return [f"{file.stem}: {before[-300:]}{after[-1500:]}" for before, after in itertools.pairwise(parts)]


def soak(folder, seed, seconds, tasks):
    """(what is wrong, what was done)."""
    it = Soak(folder, seed, seconds, tasks)
    return asyncio.run(it.run()), it.done


def told(done):
    return ", ".join(f"{name}: {count}" for name, count in sorted(done.items()))


def main():
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**32))
    seconds = float(os.environ.get("SECONDS") or 900)
    print(f"soak for {seconds:g} s; SEED={seed} brings its decisions again", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="phasenb-soak-"))
    wrong, done = soak(folder, seed, seconds, tasks=int(seconds * 1.5))
    print(told(done))
    if wrong:
        sys.exit("\n".join([*wrong, f"SEED={seed}; what is left of it lies in {folder}"]))
    print("every task has ended or waits for a person; every log, store and file is whole")


if __name__ == "__main__":
    main()
