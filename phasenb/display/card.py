"""Card: a task as a widget, for the page whose server can't tell of the task. Painted by its view.

Rules: only what differs is sent to the page; its buttons ask for what the state allows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from phasenb.dto.task_state import TaskState

Steer = Callable[[str, TaskState], None]

_BUTTONS = {  # in the order in which they stand
    "approve": ("Approve", "Go on with the output as it is"),
    "deny": ("Deny", "End the task here; task.deny(reason, redo=...) runs a phase again instead"),
    "resume": ("Resume", "Go on"),
    "pause": ("Pause", "Start nothing new after the running phase"),
    "cancel": ("Cancel", "End this task"),
}


class Card:
    """``steer(command, task)`` is called on the kernel's thread when a button is pressed, and must not wait: cancel,
    pause, resume, approve or deny; ``task`` is what was seen.
    """

    def __init__(self, steer: Steer) -> None:
        import ipywidgets  # imported late: a page that shows the task itself needs none

        self._steer = steer
        self._task: TaskState | None = None
        self._pressed: tuple[str, int] | None = None
        self.html = ipywidgets.HTML()
        self.buttons: dict[str, ipywidgets.Button] = {}
        for command, (label, tooltip) in _BUTTONS.items():
            layout = ipywidgets.Layout(width="auto", display="none")
            button = ipywidgets.Button(description=label, tooltip=tooltip, layout=layout)
            button.on_click(partial(self._clicked, command))
            self.buttons[command] = button
        row = ipywidgets.HBox(list(self.buttons.values()), layout=ipywidgets.Layout(margin="4px 0 2px"))
        self._box = ipywidgets.VBox([self.html, row])

    def bundle(self) -> dict[str, Any]:
        """The widget's view as a MIME bundle."""
        made: dict[str, Any] = self._box._repr_mimebundle_()
        return made

    def paint(self, task: TaskState, html: str) -> None:
        """Show ``html``, and the buttons for what ``task`` allows."""
        self._task = task
        self.html.value = html  # a trait: nothing is sent where it is the same
        for command, button in self.buttons.items():
            button.layout.display = "" if command in task.actions else "none"
            button.disabled = self._pressed == (command, task.seq)

    def rest(self) -> None:
        """No buttons any more."""
        for button in self.buttons.values():
            button.layout.display = "none"

    def close(self) -> None:
        """Take the widget from the page and the kernel."""
        self._box.close_all()

    def _clicked(self, command: str, _: object) -> None:
        task = self._task
        if task is not None:
            self._pressed = (command, task.seq)  # until the task has moved on: a second press would ask for the same
            self.buttons[command].disabled = True
            self._steer(command, task)
