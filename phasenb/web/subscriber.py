"""One connection's subscriptions, its feed, and the task that reads the log for those that are behind.

Rules: at most one subscription for each task, explicit or by the feed, so a connection gets each event once; the log is
read in pages, one subscription after the other, and only while the outbox has room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from phasenb.core.ports import Store
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import PhasenbError, StoreUnavailable
from phasenb.web.connection import Outbox
from phasenb.web.subscription import Subscription

log = logging.getLogger(__name__)

PAGE_EVENTS = 50  # an event may carry 256 KiB of inline output: a page stays within about 12 MiB
LOG_UNREADABLE = 1011  # RFC 6455: a condition that the server did not expect


class Feed:
    """The tasks of an owner: of one session, or of all of them (``session`` None)."""

    __slots__ = ("opening", "session")

    def __init__(self, session: str | None) -> None:
        self.session = session
        self.opening = True

    def takes(self, session: str) -> bool:
        return self.session is None or self.session == session


class Subscriber:
    """``told_before``: called with a task_id before its events are given out from the log, so that progress which the
    hub still holds back comes before them. ``watch``/``unwatch`` tell the hub what to fan out here.
    """

    def __init__(
        self,
        owner: str,
        session: str,
        outbox: Outbox,
        store: Store,
        *,
        told_before: Callable[[str], None],
        watch: Callable[[Subscription], None],
        unwatch: Callable[[Subscription], None],
    ) -> None:
        self.owner = owner
        self.session = session
        self.outbox = outbox
        self.feed: Feed | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self._store = store
        self._told_before = told_before
        self._watch = watch
        self._unwatch = unwatch
        self._behind: dict[str, Subscription] = {}
        self._reader: asyncio.Task[None] | None = None

    # --- subscriptions ---------------------------------------------------------------------------------------------

    def subscribe(self, task_id: str, *, explicit: bool = True) -> Subscription:
        """A fresh subscription, in the place of an earlier one. Nothing is given out before its ``start``."""
        self.drop(task_id)
        made = Subscription(task_id, self.outbox, self._fall_behind, explicit=explicit)
        self.subscriptions[task_id] = made
        self._watch(made)
        return made

    def unsubscribe(self, task_id: str) -> None:
        """End an explicit subscription. Under a feed that takes the task its events go on, its log lines don't."""
        known = self.subscriptions.get(task_id)
        if known is None:
            return
        if self.feed is None:
            self.drop(task_id)
        else:
            known.explicit = False

    def drop(self, task_id: str) -> None:
        known = self.subscriptions.pop(task_id, None)
        if known is not None:
            self._behind.pop(task_id, None)
            self._unwatch(known)

    def unsubscribe_feed(self) -> None:
        self.feed = None
        for task_id in [task_id for task_id, each in self.subscriptions.items() if not each.explicit]:
            self.drop(task_id)

    def feed_event(self, task: TaskState, first_seq: int) -> None:
        """A task of the feed's owner has events from ``first_seq`` on: follow it, if the feed takes it."""
        feed = self.feed
        if feed is None or task.task_id in self.subscriptions or not feed.takes(task.session):
            return
        made = self.subscribe(task.task_id, explicit=False)
        if not feed.opening:
            made.start(first_seq - 1, first_seq - 1)

    def start(self, subscription: Subscription, seq: int, last_seq: int, *, read: bool = False) -> None:
        """Subscription.start; one that is live and can get no event any more is over at once."""
        subscription.start(seq, last_seq, read=read)
        if subscription.live and subscription.final:
            self.drop(subscription.task_id)

    def ended(self, subscription: Subscription, state: State) -> None:
        """The task is terminal. A completed task has no event any more; the feed hears of the others by their next."""
        subscription.final = state is State.COMPLETED or not subscription.explicit
        if subscription.final and subscription.live:
            self.drop(subscription.task_id)

    def close(self) -> None:
        """The connection is gone."""
        self.feed = None
        for task_id in list(self.subscriptions):
            self.drop(task_id)
        if self._reader is not None:
            self._reader.cancel()
        self.outbox.lost()

    @property
    def behind(self) -> int:
        """How many events of all its tasks wait for it in the log."""
        return sum(subscription.behind for subscription in self._behind.values())

    # --- catching up -----------------------------------------------------------------------------------------------

    def _fall_behind(self, subscription: Subscription) -> None:
        self._behind[subscription.task_id] = subscription
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read(), name="phasenb catch-up")

    async def _read(self) -> None:
        try:
            while self._behind and not self.outbox.closed:
                for subscription in list(self._behind.values()):
                    await self.outbox.room()
                    await self._advance(subscription)
        except PhasenbError as problem:
            log.warning("a connection is closed, its events can't be read: %s", problem)
            self.outbox.close(LOG_UNREADABLE, "the log can't be read")
        except Exception:
            log.exception("a connection is closed, its catching up failed")
            self.outbox.close(LOG_UNREADABLE, "the log can't be read")
        finally:
            self._reader = None

    async def _advance(self, subscription: Subscription) -> None:
        """Read and give out one page."""
        task_id, announced = subscription.task_id, subscription.announced
        page = await self._store.events(task_id, subscription.seq, PAGE_EVENTS)
        if self._behind.get(task_id) is not subscription or self.outbox.closed:
            return  # dropped or replaced meanwhile
        if not page and announced > subscription.seq:
            raise StoreUnavailable(task_id, f"its log ends before event {announced}, which was announced")
        self._told_before(task_id)
        subscription.replay(page, whole=len(page) < PAGE_EVENTS)
        if subscription.live:
            del self._behind[task_id]
            if subscription.final:
                self.drop(task_id)
