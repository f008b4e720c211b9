"""ProcessExecutor: phases in warm worker processes of this machine. POSIX only.

Rules:

* A worker serves one (owner, launcher's runtime). Until its first task it is blank: any owner, any directory.
* It has the launcher's environment variables. Those that are read when a process starts choose the worker; all others
  are given to it, whichever they were before, so another value of them costs no worker.
* It starts with the launcher's interpreter, in the launcher's directory, where that is on this machine; else with this
  process's own, and then code must come from the same minor Python version.
* It is used again only if its task left nothing behind: after imports of a person's own modules, a cancel, threads or
  children that still run, or a package that was installed meanwhile, another one takes its place.
* A worker that was started beside a launch's path (blank, in the background) is never waited for without need.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import ValidationError

from phasenb.config.machine import machine_id
from phasenb.core.ports import NONE, Nested, Slot
from phasenb.core.variables import AtStart, at_start
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.launch import Runtime
from phasenb.dto.values import Json
from phasenb.errors import LaunchError, PhasenbError, RuntimeMismatch, WorkerLost
from phasenb.executors.environment import Variables, VariableSets, started_with
from phasenb.executors.feeding import Feeding
from phasenb.executors.frames import Header
from phasenb.executors.process_run import Codes, LostSlot, WorkerSlot
from phasenb.executors.secrets import named_in
from phasenb.executors.worker_process import WorkerProcess, packages_changed

log = logging.getLogger(__name__)

DESCRIBE_S = 60.0
_DESCRIBING = 2


@dataclass(frozen=True, slots=True)
class Start:
    """How a worker's process is started. ``variables``: those that must be there by then (core.variables)."""

    executable: str
    variables: AtStart


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs. ``python``: the version that the launcher says its interpreter has."""

    start: Start
    cwd: str
    sys_path: tuple[str, ...]
    python: str


@dataclass(frozen=True, slots=True)
class Key:
    """Whom a bound worker serves."""

    owner: str
    place: Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """The worker that a launch needs. ``variables``: its launcher's; None: those of this host. ``mismatch``: why that
    launcher's code can't run here, where it can't.
    """

    key: Key
    variables: Variables | None = None
    mismatch: RuntimeMismatch | None = None


class ProcessExecutor:
    """ports.Executor. ``workers``: how many at most, by default one for each processor and at least two.

    ``idle_s``: how long a worker without work is kept. ``silence_s``: how long workers live on without a word of this
    host, which may be frozen while another one takes over; None: as long as it is there. ``feeding``: what says such
    words; by default the loop does. ``objects_url(owner)``: the
    folder of an owner's objects, where a launch's variables are. ``nested`` serves clients inside phases.
    """

    kind = "process"
    sets_variables = True

    def __init__(
        self,
        workers: int | None = None,
        *,
        idle_s: float = 300.0,
        silence_s: float | None = None,
        feeding: Feeding | None = None,
        objects_url: Callable[[str], str] = str,
        nested: Nested | None = None,
    ) -> None:
        self._nested = nested
        self.capacity = workers or max(2, os.cpu_count() or 1)
        self._silence_s = silence_s
        self._feeding = feeding
        self._idle_s = idle_s
        start = Start(sys.executable, at_start(os.environ))
        self._own = Place(start, str(Path.cwd()), tuple(path for path in sys.path if path), python_version())
        self._sets = VariableSets(objects_url)
        self._workers: set[WorkerProcess] = set()
        self._retiring: set[WorkerProcess] = set()
        self._idle: dict[WorkerProcess, Key | None] = {}  # in the order they became idle
        self._starts: dict[WorkerProcess, Start] = {}
        self._keys: dict[WorkerProcess, Key] = {}
        self._timers: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._starting: dict[Start, list[asyncio.Task[WorkerProcess]]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._describing = asyncio.Semaphore(_DESCRIBING)
        self._closed = False

    # --- ports.Executor ------------------------------------------------------------------------------------------

    def refusal(self, runtime: Runtime | None) -> RuntimeMismatch | None:
        """See ports.Executor."""
        return self._mismatch(runtime)

    def warm(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot | None:
        """See ports.Executor. Looks at a few file times, and does nothing that could wait."""
        name = _variables_of(runtime)
        variables = self._sets.known(owner, name) if name else None
        if self._closed or (name and variables is None):
            return None
        wanted = self._wanted(owner, runtime, variables)
        worker = self._take(wanted.key, fresh)
        if worker is None or not self._bind(worker, wanted):
            return None
        give_back = self._replace_used if fresh else self._give_back
        return WorkerSlot(worker, give_back, wanted.mismatch, self._nested)

    async def reserve(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot:
        """See ports.Executor."""
        wanted = await self._read(owner, runtime)
        try:
            worker = await self._worker_for(wanted, fresh)
        except WorkerLost as error:
            return LostSlot(error)
        give_back = self._replace_used if fresh else self._give_back
        return WorkerSlot(worker, give_back, wanted.mismatch, self._nested)

    async def describe(
        self,
        owner: str,
        runtime: Runtime | None,
        agent: str | None,
        code: Json,
        objects_url: str,
        *,
        env: Mapping[str, str] = NONE,
        secrets: Mapping[str, str] = NONE,
    ) -> AgentSpec:
        """See ports.Executor. Beyond ``capacity``: at most two workers at once describe."""
        wanted = await self._read(owner, runtime)
        if wanted.mismatch is not None and code is not None:
            raise wanted.mismatch
        number, payload = Codes().number(code)
        async with self._describing:
            worker = await self._worker_for(wanted)
            try:
                header: Header = {"type": "describe", "agent": agent, "objects_url": objects_url, "code": number}
                header.update(env=dict(env), secrets=dict(secrets), found=named_in(secrets, os.environ))
                answer = await asyncio.wait_for(worker.ask(header, payload), DESCRIBE_S)
                return AgentSpec.model_validate(answer["spec"])
            except (TimeoutError, KeyError, ValidationError) as error:
                worker.clean = False
                self._later(worker.kill())
                problem = (
                    f"took more than {DESCRIBE_S:.0f} s" if isinstance(error, TimeoutError) else "is not a valid one"
                )
                raise LaunchError(f"what the agent says of itself {problem}") from error
            finally:
                await self._give_back(worker)

    async def close(self) -> None:
        """End every worker, and what runs in it."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        starting = [task for tasks in self._starting.values() for task in tasks]
        ending = [*starting, *self._background]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.gather(*(worker.kill() for worker in self._workers | self._retiring))

    @property
    def pids(self) -> list[int]:
        """The processes that are there now."""
        return [worker.pid for worker in self._workers | self._retiring]

    # --- choosing a worker ---------------------------------------------------------------------------------------

    def _mismatch(self, runtime: Runtime | None) -> RuntimeMismatch | None:
        if runtime is None or _is_ours(runtime) or _minor(runtime.python) == _minor(self._own.python):
            return None
        return RuntimeMismatch(f"Python {runtime.python}", f"Python {self._own.python}")

    def _wanted(self, owner: str, runtime: Runtime | None, variables: Variables | None) -> Wanted:
        if runtime is None or not _is_ours(runtime):
            return Wanted(Key(owner, self._own), mismatch=self._mismatch(runtime))
        start = Start(runtime.executable, self._own.start.variables if variables is None else variables.start)
        return Wanted(Key(owner, Place(start, runtime.cwd, runtime.sys_path, runtime.python)), variables)

    async def _read(self, owner: str, runtime: Runtime | None) -> Wanted:
        """The worker that a launch needs, its variables read. Raises LaunchError where they can't be."""
        name = _variables_of(runtime)
        return self._wanted(owner, runtime, await self._sets.read(owner, name) if name else None)

    def _take(self, key: Key, fresh: bool = False) -> WorkerProcess | None:
        """An idle worker that is bound to ``key`` (no ``fresh`` one is), else a blank one that was started alike."""
        blank: WorkerProcess | None = None
        for worker, bound in list(self._idle.items()):
            if bound is None and self._starts[worker] == key.place.start:
                blank = blank or worker
            elif bound != key or fresh:
                continue
            elif not packages_changed(worker):
                return self._checked_out(worker)
            else:
                self._retire(self._checked_out(worker))
        if blank is not None and packages_changed(blank):
            self._retire(self._checked_out(blank))
            return None
        return blank and self._checked_out(blank)

    def _checked_out(self, worker: WorkerProcess) -> WorkerProcess:
        del self._idle[worker]
        timer = self._timers.pop(worker, None)
        if timer is not None:
            timer.cancel()
        return worker

    async def _worker_for(self, wanted: Wanted, fresh: bool = False) -> WorkerProcess:
        key = wanted.key
        worker = self._take(key, fresh)
        if worker is None:
            claimed = self._starting.get(key.place.start)
            worker = await (claimed.pop(0) if claimed else self._start(key.place.start))
        if self._keys.get(worker) != key:
            try:
                problem = await asyncio.to_thread(_missing, key.place) or _mismatch(worker, key.place)
            except BaseException:  # whoever waited for it was cancelled: it is nobody's yet
                self._keep(worker, None)
                raise
            if problem is not None:
                self._keep(worker, None)
                raise problem
        if not self._bind(worker, wanted):
            raise LaunchError(f"the directory {key.place.cwd} of this launch can't be entered")
        return worker

    def _bind(self, worker: WorkerProcess, wanted: Wanted) -> bool:
        """Give a worker that is blank, or was such a launcher's, its place and variables; whether it has them."""
        place, variables = wanted.key.place, wanted.variables
        bound = self._keys.get(worker)
        if bound is None and (_mismatch(worker, place) is not None or _missing(place) is not None):
            self._keep(worker, None)
            return False
        name = None if variables is None else variables.name
        if bound is None or worker.variables != name:
            self._keys[worker] = wanted.key
            worker.variables = name
            header: Header = {"type": "bind", "cwd": place.cwd, "sys_path": place.sys_path}
            worker.send(header, b"" if variables is None else variables.data)
        return True

    # --- starting and ending -------------------------------------------------------------------------------------

    async def _start(self, start: Start) -> WorkerProcess:
        while len(self._workers) >= self.capacity and self._idle:
            self._retire(self._checked_out(next(iter(self._idle))))
        variables = started_with(start.variables, os.environ)
        worker = await WorkerProcess.start(start.executable, self._silence_s, variables, self._feeding)
        self._starts[worker] = start
        self._workers.add(worker)
        worker.on_exit = self._gone
        return worker

    def _gone(self, worker: WorkerProcess) -> None:
        self._workers.discard(worker)
        self._retiring.discard(worker)
        self._keys.pop(worker, None)
        if worker in self._idle:
            self._checked_out(worker)
        self._starts.pop(worker, None)

    async def _give_back(self, worker: WorkerProcess) -> None:
        """After a task: keep the worker, or have another one take its place."""
        if worker.run is not None:
            await worker.run.stop(0)
        extra = len(self._workers) > self.capacity  # of a place that was lent
        if worker.alive and worker.clean and not extra and not self._closed:
            worker.send({"type": "release"})
            self._keep(worker, self._keys.get(worker))
            return
        start = self._starts.get(worker, self._own.start)
        if worker.left:
            log.debug("%s is retired: it can't put back %s", worker.name, worker.left)
        self._retire(worker)
        self._replace(start)

    async def _replace_used(self, worker: WorkerProcess) -> None:
        """After a task that wanted a fresh worker: it is no other's."""
        worker.clean = False
        await self._give_back(worker)

    def _keep(self, worker: WorkerProcess, key: Key | None) -> None:
        if not worker.alive or self._closed:
            return
        self._idle[worker] = key
        loop = asyncio.get_running_loop()
        self._timers[worker] = loop.call_later(self._idle_s, self._expire, worker)

    def _expire(self, worker: WorkerProcess) -> None:
        if worker in self._idle:
            self._retire(self._checked_out(worker))

    def _retire(self, worker: WorkerProcess) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._retiring.add(worker)
            self._keys.pop(worker, None)
            self._later(worker.retire())

    def _replace(self, start: Start) -> None:
        """Start a blank worker in the background, unless one is there or there are enough."""
        blank = any(key is None and self._starts[worker] == start for worker, key in self._idle.items())
        starting = sum(map(len, self._starting.values()))
        if self._closed or blank or self._starting.get(start) or len(self._workers) + starting >= self.capacity:
            return
        task = asyncio.get_running_loop().create_task(self._start(start), name=f"start {start.executable}")
        self._starting.setdefault(start, []).append(task)
        task.add_done_callback(lambda done: self._started(start, done))

    def _started(self, start: Start, task: asyncio.Task[WorkerProcess]) -> None:
        waiting = self._starting[start]
        if task not in waiting:
            return  # a launch waits for it, and hears its error
        waiting.remove(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._keep(task.result(), None)
        elif isinstance(error, PhasenbError):
            log.warning("no worker in reserve: %s", error)
        else:
            log.error("no worker in reserve", exc_info=error)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _is_ours(runtime: Runtime) -> bool:
    """Whether a launcher's paths are those of this machine. Its variables are full of them, and count as they do."""
    return runtime.host == machine_id()


def _variables_of(runtime: Runtime | None) -> str | None:
    """The object that has a launch's variables, where they count here."""
    return runtime.variables if runtime is not None and _is_ours(runtime) else None


def _missing(place: Place) -> LaunchError | None:
    if os.path.isdir(place.cwd):  # noqa: PTH112 - called for each launch: Path costs more than the stat
        return None
    return LaunchError(
        f"the directory {place.cwd}, where this launch comes from, is not there any more: launch again from a notebook "
        "or script that lies in a directory that is there"
    )


def _mismatch(worker: WorkerProcess, place: Place) -> RuntimeMismatch | None:
    if _minor(worker.python) == _minor(place.python):
        return None
    return RuntimeMismatch(
        f"Python {place.python}",
        f"Python {worker.python} ({place.start.executable})",
        "the environment was changed since the notebook's kernel started: restart the kernel",
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
