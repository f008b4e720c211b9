"""TaskFacts: what a handle knows of its task without asking: the newest state that messages told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from phasenb.client.task_model import TaskModel
from phasenb.client.values import Values
from phasenb.core.launch_check import suggestion
from phasenb.dto.task_state import State, TaskFailure, TaskState
from phasenb.errors import NoSuchName, PhasenbError

# What other libraries call it.
_MEANT = {
    "status": "task.state", "id": "task.task_id", "error": "task.failure", "exception": "task.failure",
    "progress": "task.percent", "outputs": "task.results()", "done": "task.state.terminal", "stop": "task.cancel()",
    "abort": "task.cancel()", "kill": "task.cancel()", "join": "task.wait()", "get": "task.result()",
    "rerun": "task.retry()", "restart": "task.retry()", "params": "task.inputs", "metrics": "task.results()",
}  # fmt: skip


def _instead(name: str, known: Iterable[str]) -> str:
    meant = _MEANT.get(name)
    return suggestion(name, known) if meant is None else f"write `{meant}`"


class TaskFacts:
    """Properties of the newest state. A handle is made when its first state is known."""

    def __init__(self, model: TaskModel, values: Values) -> None:
        self._model = model
        self._values = values

    @property
    def task_id(self) -> str:
        return self._model.task_id

    @property
    def snapshot(self) -> TaskState:
        """The whole state, as messages told it."""
        assert self._model.state is not None, "a handle is made when its first state is known"
        return self._model.state

    @property
    def name(self) -> str:
        return self.snapshot.name

    @property
    def session(self) -> str:
        return self.snapshot.session

    @property
    def state(self) -> State:
        """``queued``, ``running``, ... ; compares equal to the plain text."""
        return self.snapshot.state

    @property
    def phase(self) -> str | None:
        """The current phase; the last one of a task that has ended."""
        return self.snapshot.phase

    @property
    def percent(self) -> float:
        """0..100, of the whole task."""
        return self.snapshot.percent

    @property
    def message(self) -> str | None:
        """What the running phase said last: ``ctx.update(message=...)``, a step of its own, a bar's words."""
        return self.snapshot.message

    @property
    def failure(self) -> TaskFailure | None:
        """The newest failure: ``.phase``, ``.attempt`` and ``.error`` (``type``, ``message``, ``traceback``)."""
        return self.snapshot.error

    @property
    def problem(self) -> PhasenbError | None:
        """Why nothing more is heard of the task, if so: the client was closed, access was denied."""
        return self._model.problem

    @property
    def inputs(self) -> dict[str, Any]:
        """The launch's inputs by name; large ones are LazyValues, whose ``load()`` fetches them."""
        from phasenb.store.lazy import shown

        return {name: shown(value, self._values.load) for name, value in self.snapshot.inputs.items()}

    def __dir__(self) -> list[str]:
        """The public names alone: what completion shows."""
        return [name for name in super().__dir__() if not name.startswith("_")]

    if not TYPE_CHECKING:  # a checker knows that there is no such attribute

        def __getattr__(self, name: str) -> Any:
            raise NoSuchName("a task", name, _instead(name, dir(self)))

    def __eq__(self, other: object) -> bool:
        """Whether it is the same task, however either was come by; not that of a store which a backup became."""
        if not isinstance(other, TaskFacts):
            return NotImplemented
        mine, others = self._model.epoch, other._model.epoch
        return self.task_id == other.task_id and (mine == others or None in (mine, others))

    def __hash__(self) -> int:
        return hash(self.task_id)

    def __repr__(self) -> str:
        from phasenb.display.text import task_line

        return f"<{type(self).__name__} {task_line(self.snapshot)}>"
