"""WebSocketManager: tells connected clients what is durable, and how attempts get on (ports.Publisher).

Rules:

* Synchronous and quick: it queues into outboxes, and never waits for a client. Nobody listens: about a microsecond.
* Each message becomes text once, whoever listens (``wire``), and never for a client in this process.
* Progress and log lines of a task go out at most ``updates_per_second``; what is held back goes out before the task's
  next event. Without a change nothing is sent: an idle subscriber gets no frame at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from phasenb.config.settings import WebSocketSettings
from phasenb.core.coalescing import Coalescer, LogBacklog
from phasenb.core.ports import Store
from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.task_state import TaskState
from phasenb.web.connection import TOO_SLOW, Connection, Counts, Outbox
from phasenb.web.pace import Pace
from phasenb.web.subscriber import Subscriber
from phasenb.web.subscription import Subscription

GOING_AWAY = 1001
_HELD_LOG_BYTES = 262_144
_LOOK_S = 5.0


@dataclass(slots=True)
class _Lines:
    """Log lines of a task that wait for their turn."""

    backlog: LogBacklog = field(default_factory=lambda: LogBacklog(_HELD_LOG_BYTES))
    due: float = 0.0


class WebSocketManager:
    """The connections of one host, and the fan-out to them. Lives on one event loop."""

    def __init__(self, settings: WebSocketSettings, store: Store, *, now: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.store = store
        self.counts = Counts()
        self._now = now
        self._interval_s = 1.0 / settings.updates_per_second
        self._paces: dict[Subscriber, Pace] = {}
        self._watchers: dict[str, dict[Subscription, Subscriber]] = {}
        self._feeds: dict[str, dict[Subscriber, None]] = {}
        self._progress: Coalescer[str, tuple[int, PhaseUpdate]] = Coalescer(self._interval_s)
        self._lines: dict[str, _Lines] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._launching = 0
        self._born: dict[str, tuple[Event, ...]] = {}

    # --- connections -----------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        return len(self._paces)

    def numbers(self) -> dict[str, float]:
        """What the wire carried since the host started, and ``connections`` now; for whoever measures."""
        coalesced = self.counts.updates_coalesced + self._progress.coalesced
        return {"connections": self.connections, **asdict(self.counts), "updates_coalesced": coalesced}

    def outbox(self, connection: Connection) -> Outbox:
        """The bounded queue in front of a transport."""
        settings = self.settings
        return Outbox(
            connection, maximum=settings.queue_events, maximum_bytes=settings.max_frame_bytes, counts=self.counts
        )

    def join(self, owner: str, session: str, outbox: Outbox) -> Subscriber:
        """A client that said hello."""

        def watch(subscription: Subscription) -> None:
            self._watchers.setdefault(subscription.task_id, {})[subscription] = subscriber

        subscriber = Subscriber(
            owner,
            session,
            outbox,
            self.store,
            told_before=self._flush,
            watch=watch,
            unwatch=self._unwatch,
        )
        self._paces[subscriber] = Pace(self.settings.replay_max_events)
        self._look_later()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self._paces.pop(subscriber, None)
        if not self._paces and self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self.close_feed(subscriber)
        subscriber.close()

    def open_feed(self, subscriber: Subscriber) -> None:
        """Announce the events of all of the owner's tasks to a subscriber whose ``feed`` is set."""
        self._feeds.setdefault(subscriber.owner, {})[subscriber] = None

    def close_feed(self, subscriber: Subscriber) -> None:
        feeds = self._feeds.get(subscriber.owner)
        if feeds is not None:
            feeds.pop(subscriber, None)
            if not feeds:
                del self._feeds[subscriber.owner]
        subscriber.unsubscribe_feed()

    def close(self, code: int = GOING_AWAY, reason: str = "the server is going away") -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for subscriber in list(self._paces):
            subscriber.outbox.close(code, reason)
            self.leave(subscriber)

    def look(self) -> None:
        """Close those that do not keep up with 4008."""
        now = self._now()
        for subscriber, pace in tuple(self._paces.items()):
            outbox = subscriber.outbox
            problem = pace.problem(now, waiting=outbox.waiting, taken=outbox.taken, behind=subscriber.behind)
            if problem is not None:
                outbox.close(TOO_SLOW, problem)

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._look_later()
        self.look()

    def _unwatch(self, subscription: Subscription) -> None:
        watchers = self._watchers.get(subscription.task_id)
        if watchers is not None:
            watchers.pop(subscription, None)
            if not watchers:
                del self._watchers[subscription.task_id]

    # --- births: the first events of a task, for the connection that launched it -----------------------------------

    @contextmanager
    def births(self) -> Iterator[dict[str, tuple[Event, ...]]]:
        """Within: the events that began new tasks, by task_id, so that a launcher needs no read of the log.

        Shared by all launches that run at once; each takes its own task out.
        """
        self._launching += 1
        try:
            yield self._born
        finally:
            self._launching -= 1
            if not self._launching:
                self._born.clear()

    # --- ports.Publisher -------------------------------------------------------------------------------------------

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        task_id = task.task_id
        if self._launching and events[0].seq == 1:
            self._born[task_id] = tuple(events)
        feeds = self._feeds.get(owner)
        if feeds:
            for subscriber in feeds:
                subscriber.feed_event(task, events[0].seq)
        watchers = self._watchers.get(task_id)
        if not watchers:
            self._forget(task_id)
            return
        self._flush(task_id)
        for subscription, subscriber in tuple(watchers.items()):
            subscription.events(events)
            if task.state.terminal:
                subscriber.ended(subscription, task.state)

    def progress(self, owner: str, task: TaskState, update: PhaseUpdate) -> None:
        task_id = task.task_id
        if task_id not in self._watchers:
            return
        if self._progress.offer(task_id, (task.seq, update), self._now()):
            self._tell_progress(task_id, task.seq, update)
        else:
            self._arm()

    def log(self, owner: str, task: TaskState, log: PhaseLog) -> None:
        task_id = task.task_id
        if task_id not in self._watchers:
            return
        lines = self._lines.get(task_id)
        if lines is None:
            lines = self._lines[task_id] = _Lines()
        lines.backlog.add(log)
        if self._now() >= lines.due:
            self._tell_lines(task_id, lines)
        else:
            self._arm()

    # --- holding back ----------------------------------------------------------------------------------------------

    def _flush(self, task_id: str) -> None:
        """Tell what is held back of a task, now."""
        lines = self._lines.pop(task_id, None)
        if lines is not None and lines.backlog:
            self._tell_lines(task_id, lines)
        held = self._progress.end(task_id)
        if held is not None:
            self._tell_progress(task_id, *held)

    def _forget(self, task_id: str) -> None:
        self._lines.pop(task_id, None)
        self._progress.end(task_id)

    def _tell_progress(self, task_id: str, seq: int, update: PhaseUpdate) -> None:
        for subscription in tuple(self._watchers.get(task_id, ())):
            subscription.progress(seq, update)

    def _tell_lines(self, task_id: str, lines: _Lines) -> None:
        lines.due = self._now() + self._interval_s
        for log in lines.backlog.take():
            self.counts.log_lines_dropped += log.skipped
            for subscription in tuple(self._watchers.get(task_id, ())):
                subscription.log(log)

    def _arm(self) -> None:
        """Have ``_tick`` called when the next held message is due."""
        if self._timer is not None:
            return
        due = [lines.due for lines in self._lines.values() if lines.backlog]
        progress_due = self._progress.next_due()
        if progress_due is not None:
            due.append(progress_due)
        if due:
            delay_s = max(0.0, min(due) - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        for task_id, (seq, update) in self._progress.due(now):
            self._tell_progress(task_id, seq, update)
        for task_id, lines in tuple(self._lines.items()):
            if lines.backlog and now >= lines.due:
                self._tell_lines(task_id, lines)
        self._arm()
