"""LiveView: a task's card in a cell's output, painted while it runs, and left there as plain HTML when it has ended.

Rules: fed with TaskStates and log lines from any thread; painted by one background thread for all views, at most
PAINTS_PER_S times a second and only where the HTML differs from what is there; the Cancel button calls what it was
given; when the task ends, the output is replaced by a bundle that needs neither widget nor kernel. The widget stays
alive for a while after that: a page that was reloaded meanwhile still shows it, and did not hear of the replacement.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from phasenb.display import surroundings
from phasenb.display.bundle import task_bundle
from phasenb.display.html import task_html
from phasenb.dto.base import new_ulid
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import TaskState

if TYPE_CHECKING:
    import ipywidgets

log = logging.getLogger(__name__)

PAINTS_PER_S = 4
TICK_S = 1.0  # the time so far is shown in seconds
_KEPT_WIDGETS = 20
_kept: deque[ipywidgets.VBox] = deque()


class LiveView:
    """``cancel`` is called on the kernel's thread and must not wait. ``notes`` are lines that stay in the card."""

    def __init__(self, task: TaskState, *, cancel: Callable[[], None], notes: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._task = task
        self._log: tuple[LogLine, ...] = ()
        self._notes = tuple(notes)
        self._display_id = f"phasenb-{new_ulid()}"
        self._ended = False
        self._painted = ""
        self._make_widgets(cancel)

    def show(self) -> None:
        """Put the card into the output of the cell that runs now, and paint it until the task has ended."""
        now = datetime.now(UTC)
        if self._task.state.terminal:
            self._ended = True
            self._publish(self._final(now))
            return
        self._paint(now)
        bundle = {**self._box._repr_mimebundle_(), **task_bundle(self._task, self._log, now=now, notes=self._notes)}
        self._publish(bundle)
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
        return self._ended

    def _paint(self, now: datetime) -> None:
        with self._lock:
            task, lines = self._task, self._log
        html = task_html(task, lines, now=now, live=True, notes=self._notes)
        if html != self._painted:
            self._painted = html
            self._html.value = html
        self._button.disabled = "cancel" not in task.actions

    def _finish(self, now: datetime) -> None:
        self._button.layout.display = "none"
        self._publish(self._final(now), update=True)
        _kept.append(self._box)
        while len(_kept) > _KEPT_WIDGETS:
            _kept.popleft().close_all()

    def _publish(self, bundle: dict[str, Any], *, update: bool = False) -> None:
        shell = surroundings.shell()
        if shell is not None:
            transient = {"display_id": self._display_id}
            shell.display_pub.publish(data=bundle, metadata={}, transient=transient, update=update)

    def _final(self, now: datetime) -> dict[str, Any]:
        with self._lock:
            return task_bundle(self._task, self._log, now=now, notes=self._notes)

    def _make_widgets(self, cancel: Callable[[], None]) -> None:
        import ipywidgets

        self._html = ipywidgets.HTML()
        self._button = ipywidgets.Button(
            description="Cancel",
            tooltip="Cancel this task",
            layout=ipywidgets.Layout(width="auto", margin="4px 0 2px", align_self="flex-start"),
        )

        def clicked(button: object) -> None:
            self._button.disabled = True
            self._button.description = "Cancelling"
            cancel()

        self._button.on_click(clicked)
        self._box = ipywidgets.VBox([self._html, self._button])


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
