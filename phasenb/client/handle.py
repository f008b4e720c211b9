"""TaskHandle: a task, as a notebook or a script holds it.

Rules: properties answer at once with what messages told; methods that ask the host wait for its answer; Ctrl-C ends a
waiting, never the task. It may be used from any thread, and awaited on any loop.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any

from phasenb.client.async_task import AsyncTaskHandle, OnApproval
from phasenb.client.launching import UNCHANGED
from phasenb.client.outcome import raise_unless_completed, reading
from phasenb.client.standing import check_timeout, not_in_time, stopped_waiting
from phasenb.client.task_facts import TaskFacts
from phasenb.client.task_model import TaskModel
from phasenb.core.parent import waiting_for
from phasenb.display.streams import write
from phasenb.display.surroundings import in_kernel
from phasenb.errors import StoppedWaiting

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.client import Client


class TaskHandle(TaskFacts):
    """What ``launch`` returns. ``note`` is what its display should say beside the state."""

    def __init__(self, client: Client, model: TaskModel) -> None:
        super().__init__(model, client.values)
        self._client = client
        self._task = AsyncTaskHandle(client.on_loop, model)
        self.note = ""

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> None:
        """Return when the task has ended, however; where that needs a person, a line to stderr says why and what to do.

        Raises TimeoutError after ``timeout`` seconds; the client's problem where nothing more will be heard: it was
        closed, or access was denied.
        """
        with waiting_for(self.task_id):
            self._until_ended(timeout, "wait")
        if self._model.problem is not None:
            raise self._model.problem

    def result(self, timeout: float | None = None, on_approval: OnApproval = "wait") -> Any:
        """The last phase's output, once the task has ended; where that needs a person, a line to stderr says so.

        Raises TaskFailed (with ``phase``, ``attempt`` and as its cause a PhaseRaised with the traceback),
        TaskCancelled, TimeoutError; with ``on_approval="raise"`` ApprovalNeeded or TaskPaused instead of waiting for a
        person.
        """
        with waiting_for(self.task_id):
            self._until_ended(timeout, on_approval)
        return self._outcome()

    def _until_ended(self, timeout: float | None, on_approval: OnApproval) -> None:
        check_timeout(timeout)
        self._client.may_wait()
        self._tell_first_failure()
        try:
            self._wait(timeout, on_approval)
        except KeyboardInterrupt:
            told = stopped_waiting(self.snapshot, embedded=self._client.embedded)
            if in_kernel():
                raise StoppedWaiting(told) from None
            write(f"phasenb: {told}\n", sys.stderr)
            raise

    def _tell_first_failure(self) -> None:
        from phasenb.client.showing import watch_for_failure

        watch_for_failure(self._model, self._client)

    def _wait(self, timeout: float | None, on_approval: OnApproval) -> None:
        end = math.inf if timeout is None else monotonic() + timeout
        in_time, told = self._model.stands.wait(timeout), 0
        while in_time and not self._model.over:
            told = self._task.tell_standing(on_approval)  # by this thread: its notebook cell is where a person looks
            in_time = self._stands_again(told, None if timeout is None else end - monotonic())
        if not in_time:
            raise not_in_time(self.snapshot, timeout or 0.0)

    def _stands_again(self, seq: int, within_s: float | None) -> bool:
        """Whether it has ended, or needs a person since an event after ``seq``, in time."""
        try:
            self._client.run(asyncio.wait_for(self._model.until_standing(seq), within_s))
        except TimeoutError:
            return False
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        told = 0
        self._tell_first_failure()
        with waiting_for(self.task_id):
            while not self._model.over:
                standing = asyncio.run_coroutine_threadsafe(self._model.until_standing(told), self._client.loop)
                await asyncio.wrap_future(standing)
                told = self._task.tell_standing("wait")
        return await asyncio.to_thread(self._outcome)

    def _outcome(self) -> Any:
        return self.output(raise_unless_completed(self._model, self).phases[-1].name)

    def cancel(self) -> None:
        """Ask for the end; durable when it returns. Raises IllegalTransition where the task has ended otherwise."""
        self._client.run(self._task.cancel())

    def pause(self) -> None:
        """Start nothing new; the attempt that runs finishes and counts. Raises IllegalTransition."""
        self._client.run(self._task.pause())

    def resume(self) -> None:
        """Go on after a pause. Raises IllegalTransition where the task has ended."""
        self._client.run(self._task.resume())

    def approve(self, edit: Any = UNCHANGED, note: str | None = None) -> None:
        """Open the gate that the task waits at. ``edit``: what the next phase gets instead of the last output.

        Raises Conflict where no gate is open, or someone else answered first; ValueNotStorable; BadMessage for an edit
        before the first phase, which has no output before it.
        """
        self._client.run(self._task.approve(edit=edit, note=note))

    def deny(self, reason: str, redo: str | None = None) -> None:
        """Keep the gate shut: run the phase ``redo`` again, with the reason as ``ctx.feedback``; or end the task.

        Raises Conflict, LaunchError (``redo`` is no phase before the gate).
        """
        self._client.run(self._task.deny(reason, redo))

    def give_up(self) -> None:
        """Don't make the attempt that the task waits for: what follows the last one (fallback, rollback, its end)
        follows now. Raises IllegalTransition where it waits for none, Conflict where it went on meanwhile.
        """
        self._client.run(self._task.give_up())

    def retry(self, from_phase: str | None = None, agent: Any = None) -> None:
        """Run a failed or cancelled task again, from a phase on (None: where it stopped); phases before it stay.

        ``agent``: corrected code; without it the launch's code is run. Raises IllegalTransition, LaunchError.
        """
        self._client.run(self._task.retry(from_phase, agent))
        self.note = "" if agent is not None else "runs the code of the launch"
        from phasenb.client.showing import show_again

        show_again(self, self._model, self._client, self.note)

    def source(self, phase: str, attempt: int | None = None) -> str:
        """The text of the phase's function, as its newest attempt ran it, or ``attempt``; ``results()`` has which code
        each one ran. Raises NotThere (a KeyError).
        """
        return self._client.run(self._task.source(phase, attempt))

    def arguments(self, phase: str) -> dict[str, Any]:
        """What a phase was given, decoded: the launch's inputs, and the outputs before it. Raises KeyError."""
        return self._client.run(self._task.arguments(phase))

    def replay(self, phase: str, agent: Any) -> Any:
        """Run a phase of ``agent`` here and now with what this task gave it: its exceptions come out as they are, for
        a debugger. ``ctx`` has the number and the failure of the attempt that failed, but no checkpoint. Nothing of it
        counts for the task.
        """
        from phasenb.agents.local_run import run_phase_here
        from phasenb.core.extended_agent import ExtendedAgent

        return run_phase_here(ExtendedAgent.of(agent), phase, self.arguments(phase), failure=self.failure)

    def listen(self, changed: Callable[[], None]) -> None:
        """Have ``changed()`` called on the client's thread, at once and after each change. It must not wait."""

        def start() -> None:
            self._model.listen(lambda _: changed())
            changed()

        self._client.post(start)

    # --- values and frames -----------------------------------------------------------------------------------------

    def output(self, phase: str) -> Any:
        """The output of a phase, decoded: a pickle runs code of its writer (``allow_pickle``). Raises KeyError."""
        known = self._model.results.get(phase)
        value = known.output if known is not None else self._client.run(self._task.encoded_output(phase))
        with reading(self.task_id, phase):
            return self._values.load(value)

    def artifact(self, name: str, phase: str | None = None) -> Any:
        """What ``ctx.artifact(name, value)`` kept, decoded: the newest, of one phase if named. Raises KeyError."""
        return self._client.run(self._task.artifact(name, phase))

    def artifacts(self) -> pd.DataFrame:
        """A row per artifact: ``phase, attempt, name, type, codec, bytes, shape, preview``."""
        return self._client.run(self._task.artifacts())

    def results(self, last: bool = False, flatten: bool = False) -> pd.DataFrame:
        """A row per attempt that ended, oldest first; ``last``: those that count; ``flatten``: ``output.*`` columns."""
        return self._client.run(self._task.results(last=last, flatten=flatten))

    def events(self) -> pd.DataFrame:
        """A row per event of the task's log, by seq."""
        return self._client.run(self._task.events())

    def logs(self, follow: bool = False) -> pd.DataFrame:
        """A row per stored line of output. ``follow``: write them to stdout as they come, until the task has ended."""
        if follow:
            for line in self.log_lines(follow=True):
                write(f"{line['text']}\n")
        return self._client.run(self._task.logs())

    def log_lines(self, *, follow: bool = False) -> Iterator[dict[str, Any]]:
        """The stored lines as JSON objects; with ``follow`` also those to come, until the task has ended."""
        lines = self._task.log_lines(follow=follow)
        with waiting_for(self.task_id) if follow else nullcontext():
            while (line := self._client.run(_next(lines))) is not None:
                yield line

    # --- showing ---------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the task live in this cell; in a terminal, as text as it is now."""
        from phasenb.client.showing import show

        show(self, self._model, self._client, self.note)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from phasenb.client.showing import bundle

        return bundle(self._model, self._client, self.note)

    def _ipython_display_(self) -> None:
        from phasenb.client.showing import show_once

        show_once(self, self._model, self._client, self.note)


async def _next(lines: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(lines, None)
