"""LiveView: a task in a cell's output, kept up to date while it runs, and left there as plain HTML when it has ended.

Rules: fed with TaskStates and log lines from any thread; painted by one background thread for all views, at most
PAINTS_PER_S times a second. Where the page's server has the task, the page shows it itself (bundle.py), and no widget
is made: a notebook that was saved meanwhile has nothing in it that needs a kernel, and is shown as HTML where there is
no phasenb. Elsewhere a widget (card.py) shows it until it has ended. The output's own copy is what a saved or exported
notebook keeps: it is brought up to date every COPY_S seconds; beside a widget, which each copy would draw anew, only
where the task waits for a person, or for long, as that may be all that is seen for days.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from phasenb.display import surroundings
from phasenb.display.bundle import task_bundle
from phasenb.display.card import Card, Steer
from phasenb.display.html import task_html
from phasenb.dto.base import new_ulid
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import State, TaskState

log = logging.getLogger(__name__)

PAINTS_PER_S = 4
TICK_S = 1.0  # the time so far is shown in seconds
COPY_S = 5.0
_KEPT_CARDS = 20
_LONG_WAIT_S = 10.0
_kept: deque[Card] = deque()


class LiveView:
    """``steer`` as in Card; ``notes`` are lines that stay in the card, ``passing`` ones go with the task's end;
    ``epoch`` as in task_bundle.
    """

    def __init__(
        self,
        task: TaskState,
        *,
        steer: Steer,
        notes: Sequence[str] = (),
        passing: Sequence[str] = (),
        epoch: str | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._task = task
        self._log: tuple[LogLine, ...] = ()
        self._notes = tuple(notes)
        self._passing = tuple(passing)
        self._epoch = epoch
        self._display_id = f"phasenb-{new_ulid()}"
        self._ended = False
        self._copied = task.seq
        self._fresh = False
        self._copied_at = datetime.now(UTC)
        self._card = Card(steer) if epoch is None else None

    def show(self) -> None:
        """Put the task into the output of the cell that runs now, and paint it until it has ended."""
        now = datetime.now(UTC)
        if self._task.state.terminal:
            self._ended = True
            self._copy(now)
            return
        self._paint(now)
        self._copy(now)
        PAINTER.add(self)

    def update(self, task: TaskState, log: Sequence[LogLine] = ()) -> None:
        """The newest state and log lines. Cheap: painting is the painter's."""
        with self._lock:
            self._task = task
            self._log = tuple(log)
            self._fresh = True
        PAINTER.wake(urgent=task.state.terminal)

    def paint(self) -> bool:
        """Bring the output up to date; whether the view is finished."""
        now = datetime.now(UTC)
        self._paint(now)
        if self._task.state.terminal and not self._ended:
            self._ended = True
            self._copy(now, update=True)
            self._retire()
        elif self._copy_due(now):
            self._copy(now, update=True)
        return self._ended

    def _paint(self, now: datetime) -> None:
        if self._card is not None:
            with self._lock:
                task, lines = self._task, self._log
            self._card.paint(task, task_html(task, lines, now=now, live=True, notes=self._told(task)))

    def _copy_due(self, now: datetime) -> bool:
        if self._card is not None:
            return self._task.seq != self._copied and _waits(self._task, now)
        return self._fresh and now - self._copied_at >= timedelta(seconds=COPY_S)

    def _copy(self, now: datetime, *, update: bool = False) -> None:
        """Make the output, or replace it (``update``), by the task as it is now."""
        with self._lock:
            task, lines = self._task, self._log
            self._fresh = False
        self._copied, self._copied_at = task.seq, now
        bundle = task_bundle(task, lines, now=now, notes=self._told(task), epoch=self._epoch)
        if self._card is not None and not self._ended:
            bundle = {**self._card.bundle(), **bundle}
        shell = surroundings.shell()
        if shell is not None:
            transient = {"display_id": self._display_id}
            shell.display_pub.publish(data=bundle, metadata={}, transient=transient, update=update)

    def _told(self, task: TaskState) -> tuple[str, ...]:
        return self._notes if task.state.terminal else (*self._notes, *self._passing)

    def _retire(self) -> None:
        """The widget stays alive for a while: a page that was reloaded shows it, and did not hear of the copy."""
        if self._card is not None:
            self._card.rest()
            _kept.append(self._card)
            while len(_kept) > _KEPT_CARDS:
                _kept.popleft().close()


def _waits(task: TaskState, now: datetime) -> bool:
    """For a person, or for long."""
    if task.state is State.RETRYING and task.retry_at is not None:
        return (task.retry_at - now).total_seconds() > _LONG_WAIT_S
    return task.state in (State.AWAITING_APPROVAL, State.PAUSED)


class Painter:
    """The background thread of all views: it runs while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._views: list[LiveView] = []
        self._news = threading.Event()
        self._urgent = threading.Event()
        self._running = False

    def add(self, view: LiveView) -> None:
        with self._lock:
            self._views.append(view)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="phasenb display", daemon=True).start()
        self.wake()

    def wake(self, urgent: bool = False) -> None:
        """There is something new to paint; ``urgent``: now, not at the next turn."""
        self._news.set()
        if urgent:
            self._urgent.set()

    def _run(self) -> None:
        while True:
            self._news.wait(TICK_S)
            self._news.clear()
            self._urgent.clear()
            with self._lock:
                views = list(self._views)
            finished = [view for view in views if self._painted(view)]
            with self._lock:
                self._views = [view for view in self._views if view not in finished]
                if not self._views:
                    self._running = False
                    return
            self._urgent.wait(1 / PAINTS_PER_S)

    @staticmethod
    def _painted(view: LiveView) -> bool:
        try:
            return view.paint()
        except Exception:
            # One view that can't be painted (its front end is gone) must not stop the others.
            log.exception("a task's display could not be painted")
            return True


PAINTER = Painter()
