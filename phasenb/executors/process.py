"""ProcessExecutor: phases in warm worker processes of this machine. POSIX only.

Rules:

* A worker serves one (owner, launcher's runtime). Until its first task it is blank: any owner, any directory.
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
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import ValidationError

from phasenb.config.machine import machine_id
from phasenb.core.ports import NONE, Slot
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.launch import Runtime
from phasenb.dto.values import Json
from phasenb.errors import LaunchError, PhasenbError, RuntimeMismatch, WorkerLost
from phasenb.executors.frames import Header
from phasenb.executors.process_run import Codes, LostSlot, WorkerSlot
from phasenb.executors.secrets import named_in
from phasenb.executors.worker_process import WorkerProcess, packages_changed

log = logging.getLogger(__name__)

DESCRIBE_S = 60.0
_DESCRIBING = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs. ``python``: the version that the launcher says its interpreter has."""

    executable: str
    cwd: str
    sys_path: tuple[str, ...]
    python: str


@dataclass(frozen=True, slots=True)
class Key:
    """Whom a bound worker serves."""

    owner: str
    place: Place


class ProcessExecutor:
    """ports.Executor. ``workers``: how many at most, by default one for each processor and at least two.

    ``idle_s``: how long a worker without work is kept. ``silence_s``: how long workers live on without a word of this
    host, which may be frozen while another one takes over; None: as long as it is there.
    """

    kind = "process"
    sets_variables = True

    def __init__(self, workers: int | None = None, *, idle_s: float = 300.0, silence_s: float | None = None) -> None:
        self.capacity = workers or max(2, os.cpu_count() or 1)
        self._silence_s = silence_s
        self._idle_s = idle_s
        self._own = Place(sys.executable, str(Path.cwd()), tuple(path for path in sys.path if path), python_version())
        self._workers: set[WorkerProcess] = set()
        self._retiring: set[WorkerProcess] = set()
        self._idle: dict[WorkerProcess, Key | None] = {}  # in the order they became idle
        self._keys: dict[WorkerProcess, Key] = {}
        self._timers: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._starting: dict[str, list[asyncio.Task[WorkerProcess]]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._describing = asyncio.Semaphore(_DESCRIBING)
        self._closed = False

    # --- ports.Executor ------------------------------------------------------------------------------------------

    def refusal(self, runtime: Runtime | None) -> RuntimeMismatch | None:
        """See ports.Executor."""
        return self._key("", runtime)[1]

    def warm(self, owner: str, runtime: Runtime | None) -> Slot | None:
        """See ports.Executor. Looks at a few file times, and does nothing that could wait."""
        key, mismatch = self._key(owner, runtime)
        worker = None if self._closed else self._take(key)
        if worker is None or not self._bind(worker, key):
            return None
        return WorkerSlot(worker, self._give_back, mismatch)

    async def reserve(self, owner: str, runtime: Runtime | None) -> Slot:
        """See ports.Executor."""
        key, mismatch = self._key(owner, runtime)
        try:
            worker = await self._worker_for(key)
        except WorkerLost as error:
            return LostSlot(error)
        return WorkerSlot(worker, self._give_back, mismatch)

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
        key, mismatch = self._key(owner, runtime)
        if mismatch is not None and code is not None:
            raise mismatch
        number, payload = Codes().number(code)
        async with self._describing:
            worker = await self._worker_for(key)
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

    def _key(self, owner: str, runtime: Runtime | None) -> tuple[Key, RuntimeMismatch | None]:
        """Whom to serve, and why that launcher's code can't run here, where it can't."""
        if runtime is not None and runtime.host == machine_id():
            return Key(owner, Place(runtime.executable, runtime.cwd, runtime.sys_path, runtime.python)), None
        mismatch = None
        if runtime is not None and _minor(runtime.python) != _minor(self._own.python):
            mismatch = RuntimeMismatch(f"Python {runtime.python}", f"Python {self._own.python}")
        return Key(owner, self._own), mismatch

    def _take(self, key: Key) -> WorkerProcess | None:
        """An idle worker that is bound to ``key``, else a blank one of its interpreter."""
        blank: WorkerProcess | None = None
        for worker, bound in list(self._idle.items()):
            if bound is None and worker.executable == key.place.executable:
                blank = blank or worker
            elif bound != key:
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

    async def _worker_for(self, key: Key) -> WorkerProcess:
        worker = self._take(key)
        if worker is None:
            claimed = self._starting.get(key.place.executable)
            worker = await (claimed.pop(0) if claimed else self._start(key.place.executable))
        if self._keys.get(worker) != key:
            try:
                problem = await asyncio.to_thread(_missing, key.place) or _mismatch(worker, key.place)
            except BaseException:  # whoever waited for it was cancelled: it is nobody's yet
                self._keep(worker, None)
                raise
            if problem is None and self._bind(worker, key):
                return worker
            self._keep(worker, None)
            raise problem or LaunchError(f"the directory {key.place.cwd} of this launch can't be entered")
        return worker

    def _bind(self, worker: WorkerProcess, key: Key) -> bool:
        """Give a blank worker its place; whether it has it."""
        if worker in self._keys:
            return self._keys[worker] == key
        place = key.place
        if _mismatch(worker, place) is not None or _missing(place) is not None:
            self._keep(worker, None)
            return False
        self._keys[worker] = key
        worker.send({"type": "bind", "cwd": place.cwd, "sys_path": place.sys_path})
        return True

    # --- starting and ending -------------------------------------------------------------------------------------

    async def _start(self, executable: str) -> WorkerProcess:
        while len(self._workers) >= self.capacity and self._idle:
            self._retire(self._checked_out(next(iter(self._idle))))
        worker = await WorkerProcess.start(executable, self._silence_s)
        self._workers.add(worker)
        worker.on_exit = self._gone
        return worker

    def _gone(self, worker: WorkerProcess) -> None:
        self._workers.discard(worker)
        self._retiring.discard(worker)
        self._keys.pop(worker, None)
        if worker in self._idle:
            self._checked_out(worker)

    async def _give_back(self, worker: WorkerProcess) -> None:
        """After a task: keep the worker, or have another one take its place."""
        if worker.run is not None:
            await worker.run.stop(0)
        if worker.alive and worker.clean and not self._closed:
            worker.send({"type": "release"})
            self._keep(worker, self._keys.get(worker))
            return
        self._retire(worker)
        self._replace(worker.executable)

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

    def _replace(self, executable: str) -> None:
        """Start a blank worker in the background, unless one is there or there are enough."""
        blank = any(key is None and worker.executable == executable for worker, key in self._idle.items())
        starting = sum(map(len, self._starting.values()))
        if self._closed or blank or self._starting.get(executable) or len(self._workers) + starting >= self.capacity:
            return
        task = asyncio.get_running_loop().create_task(self._start(executable), name=f"start {executable}")
        self._starting.setdefault(executable, []).append(task)
        task.add_done_callback(lambda done: self._started(executable, done))

    def _started(self, executable: str, task: asyncio.Task[WorkerProcess]) -> None:
        waiting = self._starting[executable]
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
        f"Python {worker.python} ({place.executable})",
        "the environment was changed since the notebook's kernel started: restart the kernel",
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
