"""What an AsyncClient does with a task that its caller names: by a handle, its id, its name or the end of its id.

Rule: a command that changes a task names it as the caller did, so that the host refuses what may mean another one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from phasenb.client.launching import UNCHANGED, Prepared
from phasenb.client.selection import Named, id_of
from phasenb.client.task_model import TaskModel
from phasenb.dto.task_state import TaskState

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.async_task import AsyncTaskHandle


class AsyncVerbs:
    """All methods raise UnknownTask and AmbiguousTask, beside what the handle's own raise."""

    @abstractmethod
    async def steer(
        self, command: str, task_id: str, prepared: Prepared | None = None, *, named: str | None = None, **fields: Any
    ) -> None: ...

    @abstractmethod
    async def task(self, task_id: str) -> AsyncTaskHandle: ...

    @abstractmethod
    async def subscribe(self, task_id: str) -> TaskModel: ...

    @abstractmethod
    async def newest(self) -> TaskState | None: ...

    async def cancel(self, task: Named) -> None:
        """Ask for a task's end; durable when it returns. Raises IllegalTransition."""
        await self.steer("cancel", id_of(task))

    async def pause(self, task: Named) -> None:
        """Start nothing new; the attempt that runs finishes and counts. Raises IllegalTransition."""
        await self.steer("pause", id_of(task))

    async def resume(self, task: Named) -> None:
        """Go on after a pause. Raises IllegalTransition."""
        await (await self._steered(task)).resume()

    async def approve(self, task: Named, edit: Any = UNCHANGED, note: str | None = None) -> None:
        """Open the gate that a task waits at. Raises Conflict, ValueNotStorable."""
        await (await self._steered(task)).approve(edit=edit, note=note)

    async def deny(self, task: Named, reason: str, redo: str | None = None) -> None:
        """Keep the gate shut. Raises Conflict, LaunchError."""
        await (await self._steered(task)).deny(reason, redo)

    async def give_up(self, task: Named) -> None:
        """Wait for no retry: what follows the last attempt follows now. Raises Conflict, IllegalTransition."""
        await (await self._steered(task)).give_up()

    async def retry(self, task: Named, from_phase: str | None = None, agent: Any = None) -> None:
        """Run a failed or cancelled task again. Raises IllegalTransition, LaunchError and its kin, Conflict."""
        await (await self._steered(task)).retry(from_phase, agent)

    async def last(self) -> AsyncTaskHandle | None:
        """A handle on the session's newest task; None where there is none."""
        found = await self.newest()
        return None if found is None else await self.task(found.task_id)

    async def logs(self, task: Named) -> pd.DataFrame:
        """A row per stored line of a task's output."""
        return await (await self.task(id_of(task))).logs()

    async def events(self, task: Named) -> pd.DataFrame:
        """A row per event of a task's log, by seq."""
        return await (await self.task(id_of(task))).events()

    async def source(self, task: Named, phase: str, attempt: int | None = None) -> str:
        """The text of a phase's function, as an attempt ran it. Raises NotThere."""
        return await (await self.task(id_of(task))).source(phase, attempt)

    async def _steered(self, task: Named) -> AsyncTaskHandle:
        from phasenb.client.async_task import AsyncTaskHandle

        named = id_of(task)
        return AsyncTaskHandle(self, await self.subscribe(named), named=named)  # type: ignore[arg-type]
