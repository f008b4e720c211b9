"""Client: the synchronous face of AsyncClient, for notebooks and scripts.

Rules: all of it lives on this process's loop thread, where the embedded host is too, so that a launch there is one hop
to that thread and back; any thread may use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from phasenb.client.async_client import AsyncClient, to_stderr
from phasenb.client.backend import Backend
from phasenb.client.discovery import is_kernels_server
from phasenb.client.handle import TaskHandle
from phasenb.client.launching import UNCHANGED, attached_note, prepare
from phasenb.client.loop_thread import shared_loop
from phasenb.client.selection import Named
from phasenb.client.task_model import TaskModel
from phasenb.client.values import Values
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import PhasenbError

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.store.view import MemoryView

T = TypeVar("T")


class Client:
    """Connected when it is made. ``url`` None: as client.discovery finds it; ``session`` None: this process's own.

    ``allow_pickle`` False: no value is unpickled, which could run code of whoever wrote it; loading one raises
    PickleRefused. Raises ServerUnreachable, AccessDenied, StoreUnavailable.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        session: str | None = None,
        *,
        notice: Callable[[str], None] = to_stderr,
        backend: Backend | None = None,
        allow_pickle: bool = True,
    ) -> None:
        self._thread = shared_loop()
        self.on_loop = AsyncClient(
            url, token=token, session=session, notice=notice, backend=backend, allow_pickle=allow_pickle
        )
        self.run(self.on_loop.open())

    def __repr__(self) -> str:
        return f"<Client of {self.url}, session {self.session!r}>"

    @property
    def url(self) -> str:
        return self.on_loop.url

    @property
    def session(self) -> str:
        return self.on_loop.session

    @property
    def owner(self) -> str:
        """Whose tasks these are, as the host sees this user."""
        return self.on_loop.welcome.owner

    @property
    def embedded(self) -> bool:
        """Whether tasks run in this process, and stop with it."""
        return self.on_loop.backend.embedded

    @property
    def beside_page(self) -> bool:
        """Whether tasks run on the server that also serves this notebook's page."""
        return not self.embedded and is_kernels_server(self.url)

    @property
    def values(self) -> Values:
        return self.on_loop.values

    @property
    def problem(self) -> PhasenbError | None:
        return self.on_loop.problem

    # --- the loop --------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._thread.loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop and wait for what it returns."""
        return self._thread.run(work)

    def post(self, call: Callable[..., Any], *args: Any) -> None:
        """Have ``call`` called on the client's loop, soon."""
        self._thread.loop.call_soon_threadsafe(call, *args)

    def may_wait(self) -> None:
        """Raises RuntimeError on the client's own thread, where waiting would wait for itself."""
        if self._thread.current:
            raise RuntimeError("this would wait for itself: `await` it here")

    # --- tasks -----------------------------------------------------------------------------------------------------

    def launch(self, agent: Any, /, **inputs: Any) -> TaskHandle:
        """Launch an agent, a workflow, or a registered agent by name; every keyword is an input. Shows itself once.

        Raises LaunchError and its kin, before anything is sent where possible, and what the host refuses.
        """
        return self.launch_with(agent, inputs, getattr(agent, "options", None) or {})

    def launch_with(self, agent: Any, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> TaskHandle:
        """As ``launch``, with options given apart."""
        prepared = prepare(agent, inputs, self.values, options)
        model, duplicate = self.run(self.on_loop.send_launch(prepared))
        task = TaskHandle(self, model)
        if duplicate and options.get("key") is not None:
            task.note = attached_note(prepared.command["inputs"], task.snapshot)
        if options.get("show", True):
            from phasenb.client.showing import show_launched

            show_launched(task, model, self)
        return task

    def task(self, task_id: str) -> TaskHandle:
        """A handle on a task, by its id, its name or the end of its id. Raises UnknownTask, AmbiguousTask."""
        return TaskHandle(self, self._model(task_id))

    def newest(self, wanted: Callable[[TaskState], bool]) -> TaskHandle | None:
        """A handle on the session's newest task of which ``wanted(task)`` is true; None where there is none."""
        found = self.run(self.on_loop.newest(wanted))
        return None if found is None else self.task(found.task_id)

    def last(self) -> TaskHandle | None:
        """A handle on the session's newest task; None where there is none."""
        return self.newest(lambda task: True)

    def cancel(self, task: Named) -> None:
        """Ask for a task's end; durable when it returns. ``task``: a handle, its id, its name or the end of its id.

        Raises UnknownTask, AmbiguousTask, IllegalTransition; those that follow raise the first two, and what a handle's
        own method does.
        """
        self.run(self.on_loop.cancel(task))

    def pause(self, task: Named) -> None:
        """See TaskHandle.pause."""
        self.run(self.on_loop.pause(task))

    def resume(self, task: Named) -> None:
        """See TaskHandle.resume."""
        self.run(self.on_loop.resume(task))

    def approve(self, task: Named, edit: Any = UNCHANGED, note: str | None = None) -> None:
        """See TaskHandle.approve."""
        self.run(self.on_loop.approve(task, edit=edit, note=note))

    def deny(self, task: Named, reason: str, redo: str | None = None) -> None:
        """See TaskHandle.deny."""
        self.run(self.on_loop.deny(task, reason, redo))

    def give_up(self, task: Named) -> None:
        """See TaskHandle.give_up."""
        self.run(self.on_loop.give_up(task))

    def retry(self, task: Named, from_phase: str | None = None, agent: Any = None) -> None:
        """See TaskHandle.retry."""
        self.run(self.on_loop.retry(task, from_phase, agent))

    def agents(self) -> tuple[str, ...]:
        """The names of the registered agents, which a launch may name."""
        return self.on_loop.agents()

    def logs(self, task: Named) -> pd.DataFrame:
        """A row per stored line of a task's output."""
        return self.run(self.on_loop.logs(task))

    def events(self, task: Named) -> pd.DataFrame:
        """A row per event of a task's log, by seq."""
        return self.run(self.on_loop.events(task))

    def source(self, task: Named, phase: str, attempt: int | None = None) -> str:
        """See TaskHandle.source."""
        return self.run(self.on_loop.source(task, phase, attempt))

    def resume_launches(self) -> None:
        """Let this session launch again although a threshold of error_recovery.yaml says wait."""
        self.run(self.on_loop.resume_launches())

    def states(self, **selection: Any) -> list[TaskState]:
        """Snapshots, newest first; ``selection`` as for ``tasks``, and ``limit``."""
        return self.run(self.on_loop.states(**selection))

    def tasks(
        self,
        state: State | str | None = None,
        since: datetime | timedelta | str | None = None,
        label: Mapping[str, str] | str | None = None,
        scope: str = "session",
    ) -> pd.DataFrame:
        """A row per task, newest first. ``since``: a time, or how long ago ("2h"); ``label``: {name: value} or
        "name=value"; ``scope``: "session", or "user" for all of the user's sessions.
        """
        return self.run(self.on_loop.tasks(state=state, since=since, label=label, scope=scope))

    def results(self, last: bool = False, flatten: bool = False, scope: str = "session") -> pd.DataFrame:
        """A row per attempt that ended, of all tasks in scope, oldest first."""
        return self.run(self.on_loop.results(last=last, flatten=flatten, scope=scope))

    def memory(self) -> MemoryView:
        """This session's view of the store itself: frames without a server in between, read-only.

        Raises StoreUnavailable where the store is not on this machine, or not this user's to read.
        """
        view = self.run(self.on_loop.backend.memory(self.owner, self.session))
        view.allow_pickle = self.values.allow_pickle
        return view

    def feed(self, callback: Callable[[TaskState], None], *, scope: str = "session") -> Callable[[], None]:
        """Have ``callback(task)`` called, on the client's thread, for live tasks and after each change of any task in
        scope; the answer ends that. It must not wait.
        """
        return self.run(self.on_loop.feed(callback, scope=scope))

    def on_end(self, callback: Callable[[PhasenbError], None]) -> None:
        """Have ``callback(problem)`` called, on the client's thread, when this client is of no use any more."""
        self.post(self.on_loop.on_end, callback)

    def ping(self) -> None:
        """Return when the host has answered."""
        self.run(self.on_loop.ping())

    def close(self) -> None:
        """Tasks go on where they run. Idempotent."""
        self.run(self.on_loop.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _model(self, task_id: str) -> TaskModel:
        return self.run(self.on_loop.subscribe(task_id))
