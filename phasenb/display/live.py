"""LiveView: a task in a cell's output, kept up to date while it runs, and left there as plain HTML when it has ended.

Rules: fed with TaskStates and log lines from any thread; painted by one background thread for all views, at most
PAINTS_PER_S times a second. The output has three forms, and each page takes the first that it can show: JupyterLab with
the extension shows the task from its own server (bundle.py), and takes the widget out of the output; another page has
the widget (widget.py); one that can draw none has the HTML. That copy is also what a saved or exported notebook keeps:
it is brought up to date at transitions, and between them once a minute at most, as each copy is a change of the
notebook's file; beside a widget that a page shows, which each copy would draw anew, only where the task waits for a
person, or for long, as that may be all that is seen for days. A task that has ended leaves no code of a widget behind:
its output is plain, its widget rests (runners such as nbclient keep the state of widgets in the notebook), and both
are so before the cell that waited for it is over.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from phasenb.display import surroundings
from phasenb.display.bundle import task_bundle
from phasenb.display.html import task_html
from phasenb.dto.base import new_ulid
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import State, TaskState

if TYPE_CHECKING:
    from phasenb.display.widget import Answer, Steer, TaskWidget

log = logging.getLogger(__name__)

PAINTS_PER_S = 4
TICK_S = 1.0
BEAT_S = 5.0  # a page that has heard nothing for three of them says so: SILENCE_MS in labextension/src/widget.ts
MOVED_S = 5.0  # from copy to copy, where events came
COPY_S = 60.0  # where only progress did
HTML_S = 1.0  # where the copy is all that the page shows
_KEPT_WIDGETS = 20
_LONG_WAIT_S = 10.0
_kept: deque[TaskWidget] = deque()
_styled: set[int | None] = set()  # output places that have the style sheet


class LiveView:
    """``steer``, as for TaskWidget; None: no widget, as the page can draw none. ``notes`` are lines that stay in the
    display, ``passing`` ones go with the task's end; ``epoch`` and ``owner`` as in task_bundle.
    """

    def __init__(
        self,
        task: TaskState,
        *,
        steer: Steer | None,
        notes: Sequence[str] = (),
        passing: Sequence[str] = (),
        epoch: str | None = None,
        owner: str | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._painting = threading.Lock()
        self._task = task
        self._log: tuple[LogLine, ...] = ()
        self._notes = tuple(notes)
        self._passing = tuple(passing)
        self._epoch = epoch
        self._owner = owner
        self._display_id = f"phasenb-{new_ulid()}"
        self._ended = task.state.terminal
        self._again = False
        self._copied = task.seq
        self._fresh = self._unpainted = False
        self._styles = True
        self._copied_at = self._beaten_at = datetime.now(UTC)
        self._widget = None if steer is None or self._ended else self._made(steer)

    def show(self) -> None:
        """Put the task into the output of the cell that runs now, and paint it until it has ended."""
        place = surroundings.output_place()
        self._styles = place not in _styled
        _styled.add(place)
        self._copy(datetime.now(UTC))
        if not self._ended:
            PAINTER.add(self)

    def update(self, task: TaskState, log: Sequence[LogLine] = ()) -> None:
        """The newest state and log lines. Cheap: painting is the painter's."""
        with self._lock:
            self._task = task
            self._log = tuple(log)
            self._fresh = self._unpainted = True
        if self._ended and self._again and not task.state.terminal:
            PAINTER.add(self)
        PAINTER.wake(urgent=task.state.terminal)

    def paint(self) -> bool:
        """Bring the output up to date; whether the view is finished."""
        with self._painting:
            now = datetime.now(UTC)
            ended = self._task.state.terminal
            if ended != self._ended:
                self._ended = ended
                self._copy(now, update=True)
                self._turn(ended, now)
            elif self._copy_due(now):
                self._copy(now, update=True)
            if not ended:
                self._paint(now)
            return ended

    @property
    def over(self) -> bool:
        return self._task.state.terminal

    def _made(self, steer: Steer) -> TaskWidget:
        from phasenb.display.widget import TaskWidget  # imported late: ipywidgets takes its time

        def press(command: str, fields: dict[str, Any], answer: Answer) -> None:
            self._again = self._again or command == "retry"  # one that is asked for elsewhere is shown there
            steer(command, fields, answer)

        return TaskWidget(press, self._said(), self._beaten_at)

    def _said(self) -> str:
        from phasenb.display.widget import told

        with self._lock:
            task, lines = self._task, self._log
            self._unpainted = False
        return told(task, lines, self._told(task))

    def _paint(self, now: datetime) -> None:
        if self._widget is not None:
            if self._unpainted:
                self._widget.told = self._said()  # a trait: nothing is sent where it is the same
            if now - self._beaten_at >= timedelta(seconds=BEAT_S):
                self._beaten_at = now
                self._widget.beat(now)

    def _copy_due(self, now: datetime) -> bool:
        if self._widget is not None and (self._epoch is None or self._widget.drawn):
            return self._task.seq != self._copied and _waits(self._task, now)
        after = MOVED_S if self._task.seq != self._copied else COPY_S
        if self._widget is None and self._epoch is None:
            after = HTML_S
        return self._fresh and now - self._copied_at >= timedelta(seconds=after)

    def _copy(self, now: datetime, *, update: bool = False) -> None:
        """Make the output, or replace it (``update``), by the task as it is now."""
        with self._lock:
            task, lines = self._task, self._log
            self._fresh = False
        self._copied, self._copied_at = task.seq, now
        notes = self._told(task)
        bundle = task_bundle(
            task, lines, now=now, styled=self._styles, notes=notes, epoch=self._epoch, owner=self._owner
        )
        if self._widget is not None and not self._ended:
            bundle = {**self._widget.bundle(), **bundle}
        shell = surroundings.shell()
        if shell is not None:
            transient = {"display_id": self._display_id}
            shell.display_pub.publish(data=bundle, metadata={}, transient=transient, update=update)

    def _told(self, task: TaskState) -> tuple[str, ...]:
        return self._notes if task.state.terminal else (*self._notes, *self._passing)

    def _turn(self, ended: bool, now: datetime) -> None:
        """The widget stays alive for a while: a page that was reloaded shows it, and did not hear of the copy."""
        if self._widget is None:
            return
        if not ended:
            self._widget.wake(self._said())
            return
        with self._lock:
            task, lines = self._task, self._log
        self._widget.rest(task_html(task, lines, now=now, notes=self._told(task), styled=False))
        if self._widget not in _kept:
            _kept.append(self._widget)
            while len(_kept) > _KEPT_WIDGETS:
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
            if view not in self._views:
                self._views.append(view)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="phasenb display", daemon=True).start()
        surroundings.at_cell_end(self.settle)
        self.wake()

    def settle(self) -> None:
        """Return when what has ended is painted, here or by the thread, which may be about to."""
        with self._lock:
            views = [view for view in self._views if view.over]
        for view in views:
            self._painted(view)

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
