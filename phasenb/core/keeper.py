"""Keeper: this host among the hosts of one store. It shows that it lives, takes over what dead hosts left behind, and
follows what living ones commit.

Rules (design.md section 5):

* A lease is a counter. Another host is dead when its process is known to be gone, or when its counter was seen
  unchanged for ``lease_s`` on this host's own monotonic clock: no wall clock is compared, so none can mislead.
* A silence counts only for who could write all the while: a store that is out of order for all ends no host.
* A host that can't show that it lives, while others can, stops what it runs before they take it up. Where it sees that
  no other one beats (a full disk, a store of its own) it goes on: nobody could take anything from it.
* A host that was taken for dead finds that out at its next beat, commit or launch. It stops what it runs, and starts
  again as a new host: its fences are worth nothing, and nobody would look for tasks under its old name. That name is
  given up last, and what was taken under it is not carried under the new one: an attempt would run twice at once.
* Heartbeats come from a thread of their own (store.heartbeat): however long an adoption takes, or the loop stands, this
  host's lease goes on. Whether this host can show that it lives is that thread's to say: a loop that is slow to hear
  of a beat knows nothing about the lease.
* What a dead host committed is told before what is done with its tasks.
* Now and then objects that nothing names are removed; any number of hosts may do so at once.
* Progress is not relayed between hosts; events are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import Clock, Heart, HostInfo, Store
from phasenb.core.silence import Alive, Watch
from phasenb.dto.base import new_ulid
from phasenb.dto.events import Event, parse_event
from phasenb.errors import LeaseLost, PhasenbError, StoreUnavailable

log = logging.getLogger(__name__)
_BEATS = 4  # in one lease: three may be late
_GLANCES = 8  # in one lease, at whether they are
_LOOK_S = 0.2
_COLLECT_EVERY_S = 3600.0
_COLLECT_GRACE_S = 86_400.0  # an upload precedes the launch that names it, by less than this
_PAGE = 1000


class Keeper:
    """``info`` describes this process; its ``host`` becomes the manager's. ``alive`` tells of a process, if it can."""

    def __init__(
        self,
        manager: PhaseManager,
        store: Store,
        clock: Clock,
        info: HostInfo,
        alive: Alive,
        heart: Heart,
        *,
        lease_s: float,
    ) -> None:
        self._manager = manager
        self._store = store
        self._clock = clock
        self._info = info
        self._alive = alive
        self._heart = heart
        self._lease_s = lease_s
        self._watch = Watch(lease_s)
        self._number = 0
        self._behind = False  # others committed, and not all of that was handed on yet
        self._following = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Become known, and take up at once what is known to be left behind. Raises StoreUnavailable."""
        await self._look_from_now()
        await self._join()
        self._manager.renew = self._renew
        turn_s = self._lease_s / _BEATS
        self._loops = [
            asyncio.create_task(self._every(turn_s, self._beat), name="phasenb lease"),
            asyncio.create_task(self._every(self._lease_s / _GLANCES, self._hold), name="phasenb hold"),
        ]
        await self._adopt()
        self._loops += [
            asyncio.create_task(self._every(turn_s, self._adopt), name="phasenb adopt"),
            asyncio.create_task(self._every(_LOOK_S, self._look), name="phasenb follow"),
            asyncio.create_task(self._every(_COLLECT_EVERY_S, self._collect), name="phasenb collect"),
        ]

    async def look(self) -> None:
        """Only follow what others commit: unknown to them, adopting nothing. Raises StoreUnavailable."""
        await self._look_from_now()
        self._loops = [asyncio.create_task(self._every(_LOOK_S, self._look), name="phasenb follow")]

    async def _look_from_now(self) -> None:
        newest = await self._store.changes(None, 1)
        self._number = newest[0].number if newest else 0

    async def stop_looking(self) -> None:
        """Adopt nothing any more: this host is about to stop."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def leave(self) -> None:
        """Go in good order: what is not finished can be taken up by others at once."""
        try:
            await self._store.leave(self._manager.host)
        except PhasenbError as error:
            log.warning("the host could not say goodbye: %s", error)

    # --- loops -----------------------------------------------------------------------------------------------------

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Trouble is told once for as long as it lasts."""
        told = ""
        while True:
            await self._clock.sleep(seconds)
            try:
                await self._turn(work)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                if problem != told and isinstance(error, PhasenbError):
                    log.warning("%s", error)  # the store is out of order: the next turn may find it mended
                elif problem != told:
                    log.exception("keeping this host's place among others failed")
                told = problem
            else:
                told = ""

    async def _turn(self, work: Callable[[], Awaitable[None]]) -> None:
        host = self._manager.host
        try:
            await work()
        except LeaseLost:
            await self._renew(host)

    async def _beat(self) -> None:
        host = self._manager.host
        try:
            await self._heart.beat(host)
        except StoreUnavailable as error:
            self._manager.trouble = error
            raise
        self._manager.trouble = None
        if self._manager.silent:  # and nobody took them up: they are this host's to take up again
            await self._renew(host, "it could not show that it lives, and can again")

    async def _hold(self) -> None:
        """Stop what this host runs, where others may soon take it up."""
        host = self._manager.host
        if self._manager.silent or not self._heart.lost(host):
            return
        log.warning("host %s can't show that it lives: it stops what it runs, as others may take it up", host)
        self._manager.silent = True
        async with self._renewing:  # what ends is waited for before its tasks are given away
            await self._manager.let_go()

    async def _renew(self, lost: str, why: str | None = None) -> None:
        """Go on under another name, where ``lost`` is still this host's."""
        async with self._renewing:
            if self._manager.host == lost:
                log.warning("%s: starting again as a new host", why or LeaseLost(lost))
                await self._manager.let_go()  # first, however long the store takes: others may run them by now
                await self._join()
                await self._manager.let_go(lost)  # what it took since; what it still takes is not carried
                await self._store.leave(lost)

    async def _join(self) -> None:
        host, asked = f"{self._info.host}:{new_ulid()[-8:]}", self._clock.monotonic()
        await self._store.join(replace(self._info, host=host, counter=0))
        self._heart.joined(host, asked)
        self._manager.host, self._manager.silent = host, False

    async def _adopt(self) -> None:
        """Take over the tasks of dead hosts, and those of none."""
        others = [host for host in await self._store.hosts() if host.host != self._manager.host]
        now = self._clock.monotonic()
        # In a thread: to ask for a process's start takes a program of its own on macOS, for seconds where all is busy.
        dead = await asyncio.to_thread(self._watch.dead, others, now, self._alive, self._heart.steady_since(now))
        for gone in (*(host.host for host in dead), None):
            found = await self._store.adopt(self._manager.host, self._manager.kinds, gone)
            try:
                if found:
                    await self._follow()
            finally:
                for adopted in found:  # they are this host's now: nobody else would ever carry them
                    await self._manager.adopt(adopted)

    async def _collect(self) -> None:
        """Remove the objects that a crash, or a launch that was refused, left behind."""
        removed = await self._store.collect(_COLLECT_GRACE_S)
        if removed:
            log.info("%d objects that no task names were removed", removed)

    async def _look(self) -> None:
        quiet_until = await self._store.quiet_until()
        if quiet_until is None or self._behind:
            await self._follow()
        else:
            self._number = max(self._number, quiet_until)

    async def _follow(self) -> None:
        """Hand on what other hosts have committed since the last look."""
        async with self._following:
            self._behind = True
            while True:
                page = await self._store.changes(self._number, _PAGE)
                by_task: dict[tuple[str, str], list[Event]] = {}
                for change in page:
                    if change.seq > self._manager.told(change.task_id):  # most are this host's own: told already
                        event = parse_event(change.event)
                        by_task.setdefault((change.owner, change.task_id), []).append(event)
                for (owner, task_id), events in by_task.items():
                    await self._hand_on(owner, task_id, events)
                if page:
                    self._number = page[-1].number
                if len(page) < _PAGE:
                    self._behind = False
                    return

    async def _hand_on(self, owner: str, task_id: str, events: list[Event]) -> None:
        try:
            await self._manager.follow(owner, task_id, events)
        except StoreUnavailable:
            raise
        except Exception:  # one task's trouble must not keep the others' events from being told
            log.exception("task %s: what another host did could not be handed on", task_id)
