"""AsyncTaskHandle: a task, for code that awaits. To be used on its client's loop.

Rules: what the messages told is at hand; older or larger things are asked of the host; decoding a large value runs in
a thread, as it may take long and runs what unpickling runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Any

from phasenb.client.outcome import Results, artifact_of, output_of, raise_unless_completed, results_of
from phasenb.client.task_facts import TaskFacts
from phasenb.client.task_model import TaskModel
from phasenb.dto.values import Json, is_reference

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.async_client import AsyncClient

JsonObject = dict[str, Any]


class AsyncTaskHandle(TaskFacts):
    """``await task`` is its result. All methods raise the client's ``problem`` once it is of no use any more."""

    def __init__(self, client: AsyncClient, model: TaskModel) -> None:
        super().__init__(model, client.values)
        self._client = client

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return when the task has ended, however. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._model.until_ended()
        if self._model.problem is not None:
            raise self._model.problem

    async def result(self) -> Any:
        """The last phase's output. Raises TaskFailed (its cause is a PhaseRaised), TaskCancelled."""
        await self._model.until_ended()
        task = raise_unless_completed(self._model, self)
        return await self.output(task.phases[-1].name)

    async def cancel(self) -> None:
        """Ask for the end; durable when it returns. Raises IllegalTransition where the task has ended otherwise."""
        await self._client.cancel(self.task_id)

    # --- values ----------------------------------------------------------------------------------------------------

    async def output(self, phase: str) -> Any:
        """The output of a phase, decoded. Raises KeyError where it has none (yet)."""
        return await self._load(await self.encoded_output(phase))

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
        return output_of(await self.all_results(), self.task_id, phase).output

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
        from phasenb.memory.frames import results_frame

        answer = await self._client.backend.results(task_id=self.task_id)
        return results_frame(answer["results"], last=last, flatten=flatten, load=self._values.load)

    async def events(self) -> pd.DataFrame:
        """A row per event, by seq."""
        from phasenb.memory.frames import events_frame

        found: list[JsonObject] = []
        after: int | None = 0
        while after is not None:
            page = await self._client.backend.events(self.task_id, after)
            found += page["events"]
            after = page["next"]
        return events_frame(found)

    async def logs(self) -> pd.DataFrame:
        """A row per stored line."""
        from phasenb.memory.frames import logs_frame

        return logs_frame(self.task_id, [line async for line in self.log_lines()])

    async def log_lines(self, *, follow: bool = False) -> AsyncIterator[JsonObject]:
        """The stored lines as JSON objects; with ``follow`` also those to come, until the task has ended."""
        after = 0
        while True:
            ended, logged = self._model.ended.is_set(), self._model.logged
            page: JsonObject = {"next": after}
            while page["next"] is not None:
                page = await self._client.backend.logs(self.task_id, after)
                for line in page["lines"]:
                    after = line["cursor"]
                    yield line
            if ended or not follow:
                return
            await self._model.until_logged(logged)

    async def artifacts(self) -> pd.DataFrame:
        """A row per artifact: ``phase, attempt, name, type, codec, bytes, shape, preview``."""
        from phasenb.client.artifacts import artifacts_frame

        return artifacts_frame(await self.all_results())
