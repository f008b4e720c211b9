"""AsyncTaskHandle: a task, for code that awaits. To be used on its client's loop.

Rules: what the messages told is at hand; older or larger things are asked of the host; decoding a large value runs in
a thread, as it may take long and runs what unpickling runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from phasenb.client.first_failure import tell_first_failure
from phasenb.client.launching import UNCHANGED, Prepared, prepare_code, prepare_edit
from phasenb.client.outcome import Results, artifact_of, output_of, raise_unless_completed, reading, results_of
from phasenb.client.standing import check_timeout, needs, not_in_time, told
from phasenb.client.task_facts import TaskFacts
from phasenb.client.task_model import TaskModel
from phasenb.core.parent import waiting_for
from phasenb.dto.task_state import Approval
from phasenb.dto.values import Json, is_reference
from phasenb.errors import AccessDenied, Conflict, NotThere, ServerUnreachable, StoreUnavailable

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.async_client import AsyncClient

JsonObject = dict[str, Any]
LOOK_S = 2.0
# A server that starts again may be at another place, with another token: the client's connection finds it.
_AWAY = (ServerUnreachable, StoreUnavailable, AccessDenied)
OnApproval = Literal["wait", "raise"]


class AsyncTaskHandle(TaskFacts):
    """``await task`` is its result. All methods raise the client's ``problem`` once it is of no use any more."""

    def __init__(self, client: AsyncClient, model: TaskModel, *, named: str | None = None) -> None:
        """``named``: what commands call the task, where that is not its id."""
        super().__init__(model, client.values)
        self._client = client
        self._named = named

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def wait(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the name that TaskHandle's has
        """Return when the task has ended, however; where that needs a person, the client's ``notice`` is told once.

        Raises TimeoutError after ``timeout`` seconds.
        """
        check_timeout(timeout)
        try:
            async with asyncio.timeout(timeout) as limit:
                await self._until_ended("wait")
        except TimeoutError:
            if not limit.expired() or timeout is None:
                raise
            raise not_in_time(self.snapshot, timeout) from None
        if self._model.problem is not None:
            raise self._model.problem

    async def result(self, *, on_approval: OnApproval = "wait") -> Any:
        """The last phase's output. Raises TaskFailed (its cause is a PhaseRaised), TaskCancelled; with ``on_approval``
        "raise" ApprovalNeeded or TaskPaused instead of waiting for a person.
        """
        await self._until_ended(on_approval)
        task = raise_unless_completed(self._model, self)
        return await self.output(task.phases[-1].name)

    async def _until_ended(self, on_approval: OnApproval) -> None:
        seq = 0
        tell_first_failure(self._model, self._client.notice)
        with waiting_for(self.task_id):
            while not self._model.over:
                await self._model.until_standing(seq)
                seq = self.tell_standing(on_approval)

    def tell_standing(self, on_approval: OnApproval) -> int:
        """Tell the client's ``notice`` where the task needs a person now; the seq of which that was told.

        Raises ApprovalNeeded or TaskPaused instead, where ``raise`` is said.
        """
        task = self.snapshot
        if task.needs_person and not self._model.over:
            if on_approval == "raise":
                raise needs(task)
            self._client.notice(told(task, embedded=self._client.backend.embedded))
        return task.seq

    # --- steering --------------------------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Ask for the end; durable when it returns. Raises IllegalTransition where the task has ended otherwise."""
        await self._steer("cancel")

    async def pause(self) -> None:
        """Start nothing new; the attempt that runs finishes and counts. Raises IllegalTransition."""
        await self._steer("pause")

    async def resume(self) -> None:
        """Go on after a pause. Raises IllegalTransition where the task has ended."""
        await self._steer("resume")

    async def approve(self, edit: Any = UNCHANGED, note: str | None = None) -> None:
        """Open the gate that the task waits at. ``edit``: what the next phase gets instead of the last output.

        Raises Conflict where no gate is open, or someone else answered first; ValueNotStorable.
        """
        gate = self._gate()
        prepared = None if edit is UNCHANGED else await asyncio.to_thread(prepare_edit, edit, self._values)
        more: dict[str, Any] = {} if note is None else {"note": note}
        await self._steer("approve", prepared, phase=gate.phase, if_seq=gate.seq, **more)

    async def deny(self, reason: str, redo: str | None = None) -> None:
        """Keep the gate shut: run the phase ``redo`` again, with the reason as ``ctx.feedback``; or end the task.

        Raises Conflict, LaunchError (``redo`` is no phase before the gate).
        """
        gate = self._gate()
        more: dict[str, Any] = {} if redo is None else {"redo": redo}
        await self._steer("deny", phase=gate.phase, if_seq=gate.seq, reason=reason, **more)

    async def give_up(self) -> None:
        """Don't make the attempt that the task waits for: what follows the last one (fallback, rollback, its end)
        follows now. Raises IllegalTransition where it waits for none, Conflict where it went on meanwhile.
        """
        await self._steer("give_up", if_seq=self.snapshot.seq)

    async def retry(self, from_phase: str | None = None, agent: Any = None) -> None:
        """Run a failed or cancelled task again, from a phase on (None: where it stopped); phases before it stay.

        ``agent``: corrected code instead of the launch's. Raises IllegalTransition, LaunchError and its kin; Conflict
        where the task is not any more as it was seen here.
        """
        secrets = self.snapshot.secrets
        prepared = None if agent is None else await asyncio.to_thread(prepare_code, agent, self._values, secrets)
        more: dict[str, Any] = {} if from_phase is None else {"from_phase": from_phase}
        await self._steer("retry", prepared, if_seq=self.snapshot.seq, **more)

    async def _steer(self, command: str, prepared: Prepared | None = None, **fields: Any) -> None:
        await self._client.steer(command, self.task_id, prepared, named=self._named, **fields)

    def _gate(self) -> Approval:
        gate = self.snapshot.approval
        if gate is None:
            raise Conflict(self.task_id, f"it waits for no approval: it is {self.state}")
        return gate

    # --- values ----------------------------------------------------------------------------------------------------

    async def output(self, phase: str) -> Any:
        """The output of a phase, decoded: a pickle runs code of its writer (``allow_pickle``). Raises KeyError."""
        encoded = await self.encoded_output(phase)
        with reading(self.task_id, phase):
            return await self._load(encoded)

    async def artifact(self, name: str, phase: str | None = None) -> Any:
        """What ``ctx.artifact(name, value)`` kept, decoded; the newest, of one phase if it is named.

        Raises KeyError where there is none. A picture comes back as a codecs.PngImage.
        """
        found = artifact_of(await self.all_results(), self.task_id, name, phase)
        return await self._load(found.as_json())

    async def encoded_output(self, phase: str) -> Json:
        """The output of a phase as JSON or a reference. Raises KeyError."""
        known = self._model.results.get(phase)
        if known is not None:
            return known.output
        return output_of(await self.all_results(), self.snapshot, phase).output

    async def source(self, phase: str, attempt: int | None = None) -> str:
        """The text of the phase's function, as its newest attempt ran it, or ``attempt``.

        Raises NotThere for another phase or attempt, and where the text was not kept.
        """
        found = await self._client.backend.source(self.task_id, phase, attempt)
        if found["text"] is None:
            raise NotThere(f"task {self.task_id} has no source of `{phase}`: it came with no text that was kept")
        return str(found["text"])

    async def arguments(self, phase: str) -> dict[str, Any]:
        """What a phase was given, decoded: the launch's inputs, and the outputs of the phases before it that count.

        Raises KeyError for a phase that the task does not have.
        """
        names = [each.name for each in self.snapshot.phases]
        if phase not in names:
            raise NotThere(f"task {self.task_id} has no phase {phase!r} (phases: {', '.join(names)})")
        results, task = await self.all_results(), self.snapshot
        found = {name: task.output_among(results, name) for name in names[: names.index(phase)]}
        outputs = {name: result.output for name, result in found.items() if result is not None}
        return {name: await self._load(value) for name, value in {**self.snapshot.inputs, **outputs}.items()}

    async def all_results(self) -> Results:
        """Every attempt that ended, oldest first."""
        return results_of(await self._client.backend.results(task_id=self.task_id))

    async def _load(self, value: Json) -> Any:
        if is_reference(value):
            return await asyncio.to_thread(self._values.load, value)
        return self._values.load(value)

    # --- frames ----------------------------------------------------------------------------------------------------

    async def results(self, *, last: bool = False, flatten: bool = False) -> pd.DataFrame:
        """A row per attempt that ended; see memory.frames for the columns of all frames."""
        from phasenb.store.frames import set_aside

        aside = set_aside([self.snapshot]) if last else {}
        return await self._client.backend.results_frame(
            self._values.load, task_id=self.task_id, session=None, last=last, flatten=flatten, aside=aside
        )

    async def events(self) -> pd.DataFrame:
        """A row per event, by seq."""
        from phasenb.store.frames import events_frame

        return await asyncio.to_thread(events_frame, await self._client.logged_events(self.task_id))

    async def logs(self) -> pd.DataFrame:
        """A row per stored line."""
        from phasenb.store.frames import logs_frame

        lines = [line async for line in self.log_lines()]
        return await asyncio.to_thread(logs_frame, self.task_id, lines)  # pandas may have to be imported

    async def log_lines(self, *, follow: bool = False) -> AsyncIterator[JsonObject]:
        """The stored lines as JSON objects; with ``follow`` also those to come, until the task has ended, over every
        restart of the server.
        """
        after = 0
        while True:
            ended, logged = self._model.over, self._model.logged
            try:
                async for line in self._lines(after):
                    after = line["cursor"]
                    yield line
            except _AWAY:
                if not follow or self._client.problem is not None:
                    raise
                await asyncio.sleep(LOOK_S)
                continue
            if ended or not follow:
                return
            with suppress(TimeoutError):  # what another host's task writes comes without a word: look now and then
                async with asyncio.timeout(LOOK_S):
                    await self._model.until_logged(logged)

    async def _lines(self, after: int | None) -> AsyncIterator[JsonObject]:
        while after is not None:
            page = await self._client.backend.logs(self.task_id, after)
            for line in page["lines"]:
                yield line
            after = page["next"]

    async def artifacts(self) -> pd.DataFrame:
        """A row per artifact: ``phase, attempt, name, type, codec, bytes, shape, preview``."""
        from phasenb.client.artifacts import artifacts_frame

        return await asyncio.to_thread(artifacts_frame, await self.all_results())
