"""The one composition root: a PhaseManager with its store, its executors and its hub of connections.

The Jupyter server runs a Host, and so does the embedded host of a script or a plain kernel.
Rules: everything here lives on one event loop; ``start`` either leaves a host that works or raises and leaves nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from phasenb.config.machine import process_space, process_started
from phasenb.config.settings import make_data_dir, secrets_folder
from phasenb.core import real_clock
from phasenb.core.attempts import EngineLimits
from phasenb.core.keeper import Keeper
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import HostInfo
from phasenb.core.silence import LOOP_STANDS_S
from phasenb.executors.feeding import Feeding
from phasenb.executors.process import ProcessExecutor
from phasenb.executors.secret_files import SecretFiles
from phasenb.store.heartbeat import Heartbeat
from phasenb.store.location import MEMORY
from phasenb.store.saver import MemorySaver
from phasenb.web.api import TaskApi
from phasenb.web.http_protocol import StorePlace
from phasenb.web.nested import NestedClients
from phasenb.web.websocket_manager import WebSocketManager

if TYPE_CHECKING:
    from phasenb.config import Settings
    from phasenb.core.ports import Executor, Observer


class SystemClock:
    """The machine's clock: ports.Clock."""

    def now(self) -> datetime:
        return real_clock.now()

    def monotonic(self) -> float:
        return real_clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Host:
    """What runs a PhaseManager. ``embedded``: in the launcher's own process, where ``inline`` is offered too.

    ``url`` is what clients inside phases call it. ``reading``: it shows what is in the store, adopts nothing, and is no
    host to the others; launches are not for it.
    ``stands_s``: how long its event loop may stand before it gives its tasks up.
    ``open_store(url, artifacts=, reading=)`` makes the store: a test gives one that fails where it is told to.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        embedded: bool,
        reading: bool = False,
        name: str | None = None,
        url: str = "the launcher's process",
        open_store: Callable[..., MemorySaver] = MemorySaver.open,
        observers: Sequence[Observer] = (),
        stands_s: float = LOOP_STANDS_S,
    ) -> None:
        self.settings = settings
        self._open_store = open_store
        self._observers = observers
        self.embedded = embedded
        self._nested = NestedClients(url, allow_code=embedded or settings.allow_code)
        self._reading = reading
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.store: MemorySaver
        self.manager: PhaseManager
        self.hub: WebSocketManager
        self._closing = AsyncExitStack()
        self._feeding = Feeding()
        self._stands_s = stands_s

    async def start(self) -> None:
        """Open the store and be ready for launches. Raises StoreUnavailable, with what is wrong and where."""
        async with AsyncExitStack() as closing:
            await self._start(closing)
            self._closing = closing.pop_all()

    async def stop(self) -> None:
        """Let go of the tasks as they are, end the workers, close the store."""
        await self._closing.aclose()

    async def _start(self, closing: AsyncExitStack) -> None:
        """What is made here is closed by ``closing`` in the opposite order."""
        settings = self.settings
        await asyncio.to_thread(make_data_dir, settings)
        self.store = await asyncio.to_thread(
            self._open_store, settings.store_url, artifacts=settings.store.artifacts, reading=self._reading
        )
        closing.push_async_callback(self.store.close)
        self.hub = WebSocketManager(settings.websocket, self.store)
        secrets = SecretFiles(await asyncio.to_thread(secrets_folder) / self.store.epoch)
        executors = self._make_executors()
        for executor in executors.values():
            closing.push_async_callback(executor.close)
        self.manager = PhaseManager(
            self.store,
            executors,
            self.hub,
            SystemClock(),
            policy=settings.policy,
            limits=self._limits(),
            agents=settings.agents,
            default_executor=settings.executor.kind,
            host=self.name,
            observers=self._observers,
            secrets=secrets,
        )
        self._nested.serve(self.manager, self.hub, TaskApi(self.manager, place=self.place))
        lease_s = settings.lease_s
        heartbeat = Heartbeat(
            self.store.heartbeats(lease_s / 8), self._feeding.say, lease_s=lease_s, stands_s=self._stands_s
        )
        self._feeding.frozen = heartbeat.frozen
        info = _info(self.name)
        keeper = Keeper(self.manager, self.store, SystemClock(), info, _alive, heartbeat, lease_s=lease_s)
        if not self._reading:
            closing.push_async_callback(keeper.leave)
            heartbeat.start()
            closing.push_async_callback(heartbeat.stop)
        closing.push_async_callback(self.manager.stop)
        closing.push_async_callback(keeper.stop_looking)
        await (keeper.look() if self._reading else keeper.start())
        if not self._reading:
            await secrets.sweep(self._ended)

    async def _ended(self, task_id: str) -> bool:
        stored = await self.store.find(task_id)
        return stored is None or stored.task.state.terminal

    @property
    def place(self) -> StorePlace | None:
        """Where the store is; None for one in memory."""
        if self.store.url == MEMORY:
            return None
        return StorePlace(url=self.store.url, artifacts=self.store.artifacts_url)

    def _make_executors(self) -> dict[str, Executor]:
        made: dict[str, Executor] = {
            "process": ProcessExecutor(
                self.settings.workers,
                silence_s=self.settings.lease_s / 2,
                feeding=self._feeding,
                objects_url=self.store.objects_url,
                nested=self._nested,
            )
        }
        if self.embedded:
            # Only here: a server's process never runs user code (design.md section 7).
            from phasenb.executors.inline import InlineExecutor

            made["inline"] = InlineExecutor(nested=self._nested)
        return made

    def _limits(self) -> EngineLimits:
        limits = self.settings.limits
        return EngineLimits(
            running_tasks=limits.running_tasks,
            queued_tasks=limits.queued_tasks,
            output_inline_bytes=limits.output_inline_bytes,
            log_bytes=limits.log_bytes,
            kill_grace_s=self.settings.executor.kill_grace_s,
        )


def _info(name: str) -> HostInfo:
    pid = os.getpid()
    return HostInfo(host=name, machine=process_space(), pid=pid, pid_started=process_started(pid) or "")


def _alive(host: HostInfo) -> bool | None:
    """Whether a host's process is there; None where that can't be known, and its lease has to tell: it is on another
    machine or in another container, or its start, which tells it from a later one of that pid, is unknown.
    """
    started = process_started(host.pid) if host.machine == process_space() else ""
    if started == "" or (started and not host.pid_started):
        return None
    return started == host.pid_started
