"""TaskWidget: a task as an anywidget, for pages without the labextension; labextension/src/widget.ts draws it there.

Rules: one model for a task; ``told`` and ``at`` are set from any thread, so a kernel that is busy tells too, and only
what differs is sent; a button's message is taken to ``steer``, and answered when that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import anywidget
import orjson
import traitlets

from phasenb.display.bundle import short_inputs
from phasenb.display.surroundings import STATIC
from phasenb.dto.base import format_time
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import TaskState
from phasenb.errors import BadMessage, PhasenbError

JsonObject = dict[str, Any]
Answer = Callable[[PhasenbError | None], None]
Steer = Callable[[str, JsonObject, Answer], None]

LINES = 50
_RESTS = "export default{render({model,el}){el.innerHTML=model.get('copy')}}"

_COMMANDS = {  # the fields that a page may say, beside the task's id
    "cancel": (),
    "pause": (),
    "resume": (),
    "retry": ("if_seq",),
    "give_up": ("if_seq",),
    "approve": ("phase", "if_seq"),
    "deny": ("phase", "if_seq", "reason", "redo"),
}


class TaskWidget(anywidget.AnyWidget):
    """``steer(command, fields, answer)`` is called on the kernel's thread when a button is pressed, and must not wait;
    ``answer(error or None)`` may be called from any thread. ``drawn``: a page has said that it shows it. ``copy`` is
    what a page that still has it shows of a task that has ended, without any code of ours.
    """

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"
    layout = None  # ipywidgets' own would be a second model

    told = traitlets.Unicode().tag(sync=True)
    copy = traitlets.Unicode().tag(sync=True)
    at = traitlets.Unicode().tag(sync=True)

    def __init__(self, steer: Steer, said: str, at: datetime) -> None:
        self.drawn = False
        self._steer = steer
        super().__init__(told=said, at=format_time(at))
        self.on_msg(self._heard)

    def bundle(self) -> JsonObject:
        """The widget's view as a MIME bundle."""
        data, _ = self._repr_mimebundle_() or ({}, {})
        return dict(data)

    def beat(self, at: datetime) -> None:
        """Say that the kernel is there: a page that has heard nothing for a while says of which time it speaks."""
        self.at = format_time(at)

    def rest(self, copy: str) -> None:
        """The task has ended: whatever keeps the state of widgets in a notebook keeps no code of it."""
        with self.hold_sync():
            self.set_trait("told", "")
            self.set_trait("copy", copy)
            self.set_trait("_esm", _RESTS)
            self.set_trait("_css", "")

    def wake(self, said: str) -> None:
        """The task goes on."""
        with self.hold_sync():
            self.set_trait("told", said)
            self.set_trait("copy", "")
            self.set_trait("_esm", str(TaskWidget._esm))
            self.set_trait("_css", str(TaskWidget._css))

    def _heard(self, _: object, content: JsonObject, __: object) -> None:
        if "request" not in content:
            self.drawn = True
            return
        number = content.get("id")

        def answer(error: PhasenbError | None) -> None:
            told = error and {"code": error.code, "message": str(error), "details": error.details}
            self.send({"id": number, "error": told})

        try:
            command, fields = _command(content)
        except BadMessage as error:
            answer(error)
        else:
            self._steer(command, fields, answer)


def told(task: TaskState, log: Sequence[LogLine], notes: Sequence[str]) -> str:
    """What the page is told, as JSON: ``{snapshot, tail, notes}``; long inputs as their size."""
    tail = ",".join(line.model_dump_json() for line in log[-LINES:])
    snapshot = task.model_copy(update={"inputs": short_inputs(task)}).model_dump_json()
    return f'{{"snapshot":{snapshot},"tail":[{tail}],"notes":{orjson.dumps(list(notes)).decode()}}}'


def _command(content: JsonObject) -> tuple[str, JsonObject]:
    """What a page asks for. ``given``: fields as JSON text, whose numbers did not go through JavaScript."""
    request, given = content["request"], content.get("given") or {}
    names = _COMMANDS.get(request.get("type"))
    if names is None:
        raise BadMessage(f"a widget asks for no `{request.get('type')}`")
    fields = {name: request[name] for name in names if name in request}
    if request["type"] == "approve" and "edit" in given:
        try:
            fields["edit"] = orjson.loads(given["edit"])
        except orjson.JSONDecodeError as error:
            raise BadMessage(f"the edit is not JSON: {error}") from None
    return request["type"], fields
