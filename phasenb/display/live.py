"""LiveView: a task's card in a cell's output, painted while it runs, and left there as plain HTML when it has ended.

Rules: fed with TaskStates and log lines from any thread; painted by one background thread for all views, at most
PAINTS_PER_S times a second and only where the HTML differs from what is there; its buttons ask for what the state
allows; when the task ends, the output is replaced by a bundle that needs neither widget nor kernel. The widget stays
alive for a while after that: a page that was reloaded meanwhile still shows it, and did not hear of the replacement.
Where the task waits for a person, or for long, the output's own copy is brought up to date once: that is what a saved
notebook keeps, and it may be all that is seen for days.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from phasenb.display import surroundings
from phasenb.display.bundle import task_bundle
from phasenb.display.html import task_html
from phasenb.dto.base import new_ulid
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import State, TaskState

if TYPE_CHECKING:
    import ipywidgets

log = logging.getLogger(__name__)

Steer = Callable[[str, TaskState], None]

PAINTS_PER_S = 4
TICK_S = 1.0  # the time so far is shown in seconds
_KEPT_WIDGETS = 20
_LONG_WAIT_S = 10.0
_BUTTONS = {  # in the order in which they stand
    "approve": ("Approve", "Go on with the output as it is"),
    "deny": ("Deny", "End the task here; task.deny(reason, redo=...) runs a phase again instead"),
    "resume": ("Resume", "Go on"),
    "pause": ("Pause", "Start nothing new after the running phase"),
    "cancel": ("Cancel", "End this task"),
}
_kept: deque[ipywidgets.VBox] = deque()


class LiveView:
    """``steer(command, task)`` is called on the kernel's thread when a button is pressed, and must not wait: cancel,
    pause, resume, approve, deny or retry. ``notes`` are lines that stay in the card, ``passing`` ones go with
    the task's end; ``by_server`` as in task_bundle.
    """

    def __init__(
        self,
        task: TaskState,
        *,
        steer: Steer,
        notes: Sequence[str] = (),
        passing: Sequence[str] = (),
        by_server: bool = True,
    ) -> None:
        self._lock = threading.Lock()
        self._task = task
        self._log: tuple[LogLine, ...] = ()
        self._notes = tuple(notes)
        self._passing = tuple(passing)
        self._by_server = by_server
        self._display_id = f"phasenb-{new_ulid()}"
        self._ended = False
        self._painted = ""
        self._copied = task.seq
        self._pressed: tuple[str, int] | None = None
        self._make_widgets(steer)

    def show(self) -> None:
        """Put the card into the output of the cell that runs now, and paint it until the task has ended."""
        now = datetime.now(UTC)
        if self._task.state.terminal:
            self._ended = True
            self._publish(self._copy(now))
            return
        self._paint(now)
        self._publish(self._with_widget(now))
        PAINTER.add(self)

    def update(self, task: TaskState, log: Sequence[LogLine] = ()) -> None:
        """The newest state and log lines. Cheap: painting is the painter's."""
        with self._lock:
            self._task = task
            self._log = tuple(log)
        PAINTER.wake(urgent=task.state.terminal)

    def paint(self) -> bool:
        """Bring the output up to date; whether the view is finished."""
        now = datetime.now(UTC)
        self._paint(now)
        if self._task.state.terminal and not self._ended:
            self._ended = True
            self._finish(now)
        elif self._task.seq != self._copied and _waits(self._task, now):
            self._copied = self._task.seq
            self._publish(self._with_widget(now), update=True)
        return self._ended

    def _paint(self, now: datetime) -> None:
        with self._lock:
            task, lines = self._task, self._log
        html = task_html(task, lines, now=now, live=True, notes=self._told(task))
        if html != self._painted:
            self._painted = html
            self._html.value = html
        for command, button in self._buttons.items():
            button.layout.display = "" if command in task.actions else "none"
            button.disabled = self._pressed == (command, task.seq)

    def _finish(self, now: datetime) -> None:
        for button in self._buttons.values():
            button.layout.display = "none"
        self._publish(self._copy(now), update=True)
        _kept.append(self._box)
        while len(_kept) > _KEPT_WIDGETS:
            _kept.popleft().close_all()

    def _publish(self, bundle: dict[str, Any], *, update: bool = False) -> None:
        shell = surroundings.shell()
        if shell is not None:
            transient = {"display_id": self._display_id}
            shell.display_pub.publish(data=bundle, metadata={}, transient=transient, update=update)

    def _copy(self, now: datetime) -> dict[str, Any]:
        with self._lock:
            notes = self._told(self._task)
            return task_bundle(self._task, self._log, now=now, notes=notes, by_server=self._by_server)

    def _told(self, task: TaskState) -> tuple[str, ...]:
        return self._notes if task.state.terminal else (*self._notes, *self._passing)

    def _with_widget(self, now: datetime) -> dict[str, Any]:
        return {**self._box._repr_mimebundle_(), **self._copy(now)}

    def _make_widgets(self, steer: Steer) -> None:
        import ipywidgets

        self._html = ipywidgets.HTML()
        self._buttons = {}
        for command, (label, tooltip) in _BUTTONS.items():
            layout = ipywidgets.Layout(width="auto", display="none")
            button = ipywidgets.Button(description=label, tooltip=tooltip, layout=layout)
            button.on_click(partial(self._clicked, steer, command))
            self._buttons[command] = button
        row = ipywidgets.HBox(list(self._buttons.values()), layout=ipywidgets.Layout(margin="4px 0 2px"))
        self._box = ipywidgets.VBox([self._html, row])

    def _clicked(self, steer: Steer, command: str, button: object) -> None:
        with self._lock:
            task = self._task
        self._pressed = (command, task.seq)  # until the task has moved on: a second press would ask for the same
        self._buttons[command].disabled = True
        steer(command, task)


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
