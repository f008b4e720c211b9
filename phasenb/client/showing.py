"""How a handle shows itself: live in a notebook's cell, as one line in a terminal.

Rules: a launch shows itself once, in the cell that made it; a handle at the end of that cell does not show it again;
the display is fed by the model's messages, on the client's thread, and paints on its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from phasenb.client.discovery import page_has_anywidget
from phasenb.client.first_failure import tell_first_failure
from phasenb.client.task_model import TaskModel
from phasenb.core.parent import current_lineage
from phasenb.display import surroundings
from phasenb.display.streams import write

if TYPE_CHECKING:
    from phasenb.client.client import Client
    from phasenb.client.handle import TaskHandle
    from phasenb.display.widget import Answer

_shown: WeakKeyDictionary[TaskModel, int | None] = WeakKeyDictionary()


def show_launched(task: TaskHandle, model: TaskModel, client: Client) -> None:
    """Right after a launch: the live card; in a terminal one line to stderr, and another at the first failure."""
    if surroundings.in_kernel():
        task.show()
        return
    from phasenb.display.text import task_line

    told = _notes(client, task.note)
    write(f"phasenb: {task_line(task.snapshot)}{''.join(f'; {note}' for note in told)}\n", sys.stderr)
    watch_for_failure(model, client)


def watch_for_failure(model: TaskModel, client: Client) -> None:
    """One line to stderr at the first attempt that fails and is not the last, where no card shows it."""

    def tell(line: str) -> None:
        if not (surroundings.in_kernel() and model in _shown):
            write(f"phasenb: {line}\n", sys.stderr)

    client.post(partial(tell_first_failure, model, tell))


def show(task: TaskHandle, model: TaskModel, client: Client, note: str) -> None:
    """The live card in this cell; in a terminal the text as it is now."""
    if not surroundings.in_kernel():
        write(f"{bundle(model, client, note)['text/plain']}\n")
        return
    from phasenb.display.live import LiveView

    def steer(command: str, fields: dict[str, Any], answer: Answer) -> None:
        client.post(partial(client.on_loop.steer_soon, command, task.task_id, answer, **fields))

    view = LiveView(
        task.snapshot,
        steer=steer if surroundings.widget_is_built() and page_has_anywidget() else None,
        notes=_notes(client, note),
        passing=_others(task, client),
        epoch=_epoch(model, client),
        owner=client.owner,
    )

    def changed() -> None:
        if model.state is not None:
            view.update(model.state, tuple(model.tail))

    task.listen(changed)  # what came since the snapshot too, and on that one thread: nothing old comes last
    view.show()
    _shown[model] = surroundings.cell_number()


def show_again(task: TaskHandle, model: TaskModel, client: Client, note: str) -> None:
    """After a retry: the display where it was shown before may have been replaced by its end."""
    if surroundings.in_kernel() and model in _shown:
        show(task, model, client, note)


def show_once(task: TaskHandle, model: TaskModel, client: Client, note: str) -> None:
    """As the last line of a cell: shows the task, unless this cell did already."""
    if not surroundings.in_kernel():
        write(f"{task!r}\n")
    elif _shown.get(model) != surroundings.cell_number():
        show(task, model, client, note)


def bundle(model: TaskModel, client: Client, note: str = "") -> dict[str, Any]:
    """The task as it is now, for whatever shows or saves it."""
    from phasenb.display.bundle import task_bundle

    assert model.state is not None, "a handle is made when its first state is known"
    notes = [note] if note else []
    now, epoch = datetime.now(UTC), _epoch(model, client)
    return task_bundle(model.state, tuple(model.tail), now=now, notes=notes, epoch=epoch, owner=client.owner)


def _epoch(model: TaskModel, client: Client) -> str | None:
    return model.epoch if client.beside_page else None


def _notes(client: Client, note: str) -> list[str]:
    place = "kernel" if surroundings.in_kernel() else "process"
    here = [f"runs in this {place} and stops with it"] if client.embedded else []
    if not client.embedded and place == "process" and current_lineage() is None:
        here = [f"runs on {client.url}"]
    return [*here, note] if note else here


def _others(task: TaskHandle, client: Client) -> Sequence[str]:
    """Says if another task of this name is live: a launch without a key is always a new one."""
    if task.snapshot.key is not None or task.state.terminal:
        return []
    states = client.states(limit=100)
    others = [
        other.task_id for other in states
        if other.name == task.name and other.task_id != task.task_id and not other.state.terminal
    ]  # fmt: skip
    if not others:
        return []
    if len(others) == 1:
        return [f"another task of this name is live too: {others[0]}"]
    return [f"{len(others)} other tasks of this name are live too, the newest of them {others[0]}"]
