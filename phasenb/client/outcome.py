"""What became of a task, for those who waited for it: an output, or the error that says why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from phasenb.client.task_model import TaskModel
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Artifact
from phasenb.errors import NotThere, PhasenbError, PhaseRaised, TaskCancelled, TaskFailed

Results = list[PhaseResult]


def raise_unless_completed(model: TaskModel, handle: Any) -> TaskState:
    """The completed task. Raises TaskFailed from PhaseRaised, TaskCancelled, or why nothing more is heard of it."""
    task = model.state
    if task is not None and task.state is State.COMPLETED:
        return task
    if model.problem is not None or task is None:
        raise model.problem or RuntimeError("the task has not ended")
    if task.state is State.CANCELLED:
        raise _cancelled(task, handle)
    failure = task.error
    assert task.state is State.FAILED, "the task has not ended"
    assert failure is not None, "a failed task says why"
    error = failure.error
    raised = PhaseRaised(error.type, error.message, error.traceback)
    raise TaskFailed(handle, failure.phase, failure.attempt, error.type, error.message) from raised


def _cancelled(task: TaskState, handle: Any) -> TaskCancelled:
    undone = task.error.error.message if task.rolling_back is not None and task.error is not None else None
    if task.stopped is None:  # a release that did not tell who
        return TaskCancelled(handle, undone=undone)
    return TaskCancelled(handle, task.stopped.by, task.stopped.phase, task.stopped.reason, undone)


@contextmanager
def reading(task_id: str, phase: str) -> Iterator[None]:
    """Within: what unpickling an output raises says of whose output."""
    try:
        yield
    except PhasenbError:
        raise
    except Exception as error:  # of a person's class
        error.add_note(
            f"phasenb: raised when the output of `{phase}` of task {task_id} was unpickled. Its bytes are whole: "
            "mend the class in this process and read again, or have the phase return plain data"
        )
        raise


def results_of(answer: dict[str, Any]) -> Results:
    """The PhaseResults of ``GET tasks/{id}/results``, oldest first."""
    return [PhaseResult.model_validate(result) for result in answer["results"]]


def output_of(results: Results, task: TaskState, phase: str) -> PhaseResult:
    """The complete attempt of a phase that counts. Raises KeyError where there is none."""
    found = task.output_among(results, phase)
    if found is None:
        known = ", ".join(each.name for each in task.phases if task.output_among(results, each.name)) or "none yet"
        raise NotThere(f"task {task.task_id} has no output of {phase!r} (phases with an output: {known})")
    return found


def artifact_of(results: Iterable[PhaseResult], task_id: str, name: str, phase: str | None) -> Artifact:
    """The newest artifact of that name, of one phase if it is named. Raises KeyError where there is none."""
    found = [(result.phase, artifact) for result in results for artifact in result.artifacts]
    mine = [artifact for owner, artifact in found if artifact.name == name and phase in (None, owner)]
    if not mine:
        known = ", ".join(dict.fromkeys(artifact.name for _, artifact in found)) or "none yet"
        raise NotThere(f"task {task_id} has no artifact {name!r} (artifacts: {known})")
    return mine[-1]
