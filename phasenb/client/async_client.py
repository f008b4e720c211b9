"""AsyncClient: launches and follows tasks over one Channel, and folds what it hears into a model for each task.

Rules: it lives on the loop that opened it; a task's model is folded by the host's own reducer; after a break every
task is taken up at its own seq, and a launch that may not have arrived is sent again under the same idempotency key.
A model is kept while its task is live or somebody holds it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakValueDictionary

from phasenb.client.async_verbs import AsyncVerbs
from phasenb.client.backend import Backend, JsonObject
from phasenb.client.callbacks import tell
from phasenb.client.channel import Channel
from phasenb.client.discovery import backend_for
from phasenb.client.launching import NOTHING, Prepared, prepare, secret_values
from phasenb.client.selection import labels_of, scope_of, state_of, time_of
from phasenb.client.sessions import (
    check_session,
    chosen_session,
    current_place,
    current_session,
    keep_own_session,
    own_session,
)
from phasenb.client.task_model import NO_EPOCH, TaskModel
from phasenb.client.values import Values
from phasenb.client.variables import LaunchersVariables
from phasenb.config.machine import machine_digest
from phasenb.core.variables import note_of
from phasenb.display.streams import write
from phasenb.dto.events import BaseEvent, Event, PhaseLog, PhaseUpdate
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import PhasenbError, ServerUnreachable, UnknownObject
from phasenb.web import message_protocol as protocol

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.async_task import AsyncTaskHandle
    from phasenb.core.extended_agent import ExtendedAgent

R = TypeVar("R", bound=protocol.Reply)
PAGE = 1000
NEWEST_PAGE = 50
FeedCallback = Callable[[TaskState], None]


def to_stderr(text: str) -> None:
    write(f"phasenb: {text}\n", sys.stderr)


class AsyncClient(AsyncVerbs):
    """``async with AsyncClient(url, token=..., session="nightly") as client``.

    ``url`` None: as discovery finds it (client.discovery). ``session`` None: this notebook's or script's own.
    ``notice`` gets one line when a connection is lost for longer, and when it is back. ``allow_pickle`` False: no value
    is unpickled, which could run code of whoever wrote it; loading one raises PickleRefused.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        session: str | None = None,
        notice: Callable[[str], None] = to_stderr,
        backend: Backend | None = None,
        allow_pickle: bool = True,
    ) -> None:
        self.backend: Backend = backend or backend_for(url, token)
        notebook = current_place()
        chosen = check_session(session) if session is not None else chosen_session()
        chosen = chosen or own_session(self.backend.url, notebook)
        self._asked = chosen or current_session()
        self._place = notebook if chosen is None else None
        self.values = Values(self.backend, allow_pickle=allow_pickle)
        self._models: WeakValueDictionary[str, TaskModel] = WeakValueDictionary()
        self._live: dict[str, TaskModel] = {}
        self._feeds: list[FeedCallback] = []
        self._end_callbacks: list[Callable[[PhasenbError], None]] = []
        self._feed_scope: str | None = None
        self._cursor: str | None = None
        self._left: set[str] = set()  # variables that stay behind, and were told of
        self.notice = notice = partial(tell, notice)
        self._chores: set[asyncio.Task[None]] = set()
        self._channel = Channel(
            self.backend,
            self._asked if chosen or notebook is None else None,
            notebook=notebook,
            take=self._take,
            back=self._resume,
            ended=self._ended,
            notice=notice,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.backend.url}, session {self.session!r}>"

    @property
    def session(self) -> str:
        """Its name; before ``open``, a notebook's is what its path gives."""
        welcome = self._channel.welcome
        return self._asked if welcome is None else welcome.session

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect. Raises ServerUnreachable, AccessDenied, StoreUnavailable."""
        await self._channel.open()
        self._welcomed()
        if self._place is not None:
            keep_own_session(self.url, self._place, self.session)
        return self

    def _welcomed(self) -> None:
        self.values.near = self.backend.embedded or self.welcome.machine == machine_digest()

    async def close(self) -> None:
        """Tasks go on where they run; handles that wait raise ServerUnreachable. Idempotent."""
        for chore in tuple(self._chores):
            chore.cancel()
        await self._channel.close()
        await self.backend.aclose()
        self.values.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        return self.backend.url

    @property
    def problem(self) -> PhasenbError | None:
        """Why this client is of no use any more, if so: closed, or access was denied."""
        return self._channel.problem

    @property
    def welcome(self) -> protocol.Welcome:
        """What the host said of itself. Raises RuntimeError before ``open``."""
        if self._channel.welcome is None:
            raise RuntimeError("open the client first: `async with AsyncClient(...) as client`")
        return self._channel.welcome

    # --- launching -------------------------------------------------------------------------------------------------

    async def launch(self, agent: ExtendedAgent | str | Any, /, **inputs: Any) -> AsyncTaskHandle:
        """Launch an agent, a workflow, anything ExtendedAgent adapts, or a registered agent by name.

        Raises LaunchError (and its kin) before anything is sent where possible, and what the host refuses.
        """
        from phasenb.client.async_task import AsyncTaskHandle

        prepared = await asyncio.to_thread(prepare, agent, inputs, self.values)
        model, _ = await self.send_launch(prepared)
        return AsyncTaskHandle(self, model)

    async def send_launch(self, prepared: Prepared) -> tuple[TaskModel, bool]:
        """(the task, whether it was there before: launched with a key that was known)."""
        for note in (*prepared.notes, *self._left_behind(prepared)):
            self.notice(note)
        reply, model = await self._ask_with("launch", protocol.Launched, prepared)
        await model.until_known()
        return model, reply.duplicate

    def _left_behind(self, prepared: Prepared) -> list[str]:
        """Of variables that look like secrets, what is to be told: of each once."""
        found = prepared.variables
        new = [name for name in found.secret if name not in self._left] if found else []
        self._left.update(new)
        return [note_of(new, found.short)] if found and new else []

    async def _ask_with(self, kind: str, answer: type[R], prepared: Prepared, **fields: Any) -> tuple[R, Any]:
        """Ask for what was prepared, once the host has all that it names."""
        await self._upload(kind, prepared)
        await self._give(kind, prepared.variables)
        try:
            return await self._channel.ask(kind, answer, **fields, **prepared.command)
        except UnknownObject as error:
            if prepared.variables is None or error.hash != prepared.variables.name:
                raise
        self.values.forget(prepared.variables.name)  # another store than before, or it was removed there
        await self._give(kind, prepared.variables)
        return await self._channel.ask(kind, answer, **fields, **prepared.command)

    async def _give(self, kind: str, variables: LaunchersVariables | None) -> None:
        if variables is not None and not self.values.given(variables.name):
            await self._beside(kind, partial(self.values.give, variables.name, variables.data))

    async def _upload(self, kind: str, prepared: Prepared) -> None:
        try:
            for name, path in prepared.uploads:
                await self._beside(kind, partial(self.backend.upload, name, path))
        finally:
            prepared.discard()

    async def _beside(self, kind: str, work: Callable[[], None]) -> None:
        """Run what goes beside the link in a thread; again once a host that was away is back, as commands are sent."""
        while True:
            try:
                return await asyncio.to_thread(work)
            except ServerUnreachable:
                if not await self._channel.returned(kind):
                    raise

    # --- steering --------------------------------------------------------------------------------------------------

    async def steer(
        self, command: str, task_id: str, prepared: Prepared | None = None, *, named: str | None = None, **fields: Any
    ) -> None:
        """Send ``cancel``, ``pause``, ``resume``, ``approve``, ``deny``, ``give_up`` or ``retry``; durable when it
        returns.

        ``named``: what the user wrote for the task, which the host refuses where it may mean another one too. Raises
        UnknownTask, AmbiguousTask, IllegalTransition, Conflict, and what the host has against it.
        """
        if command in ("retry", "resume"):
            fields |= self._secrets_for(task_id)
        await self._ask_with(command, protocol.Ok, prepared or NOTHING, task_id=named or task_id, **fields)

    def _secrets_for(self, task_id: str) -> JsonObject:
        """What this process has of the secrets that a task's launcher gave, which its host may have forgotten."""
        model = self._models.get(task_id)
        names = model.state.secrets if model is not None and model.state is not None else ()
        values = secret_values(names)
        return {"secret_values": values} if values else {}

    def steer_soon(
        self, command: str, task_id: str, answer: Callable[[PhasenbError | None], None], /, **fields: Any
    ) -> None:
        """As ``steer``, from a callback on the loop: ``answer(error or None)`` is called when that has ended."""

        async def ask() -> None:
            try:
                await self.steer(command, task_id, **fields)
            except PhasenbError as error:
                answer(error)
            else:
                answer(None)

        self._chore(ask())

    def agents(self) -> tuple[str, ...]:
        """The names of the registered agents, which a launch may name."""
        return self.welcome.agents

    async def resume_launches(self) -> None:
        """Let this session launch again although a threshold of error_recovery.yaml says wait."""
        await self._channel.ask("resume", protocol.Ok, launches=True)

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def task(self, task_id: str) -> AsyncTaskHandle:
        """A handle on a task, by its id, its name or the end of its id. Raises UnknownTask, AmbiguousTask."""
        from phasenb.client.async_task import AsyncTaskHandle

        return AsyncTaskHandle(self, await self.subscribe(task_id))

    async def subscribe(self, task_id: str) -> TaskModel:
        """The model of a task, which follows it from now on. Raises UnknownTask."""
        known = self._models.get(task_id)
        if known is not None and known.state is not None and known.problem is None:
            return known
        _, model = await self._channel.ask(
            "subscribe", protocol.Subscribed, task_id=task_id, after_seq=0, epoch=NO_EPOCH
        )
        assert isinstance(model, TaskModel)
        await model.until_known()
        return model

    async def states(
        self,
        *,
        state: State | str | None = None,
        since: datetime | timedelta | str | None = None,
        label: Mapping[str, str] | str | None = None,
        scope: str = "session",
        limit: int | None = None,
    ) -> list[TaskState]:
        """Snapshots, newest first. ``since``: a time, or how long ago ("2h"); ``label``: {name: value} or
        "name=value"; ``scope``: ``session``, or ``user`` for those of all of the user's sessions.
        """
        oldest, labels = time_of(since), labels_of(label)
        picked = oldest is not None or bool(labels)  # here, and not by the server: how many it takes is unknown
        size = PAGE if limit is None or picked else max(1, min(PAGE, limit))
        found: list[TaskState] = []
        async for page in self._pages(scope_of(scope), state_of(state), size):
            found += [
                task
                for task in page
                if (oldest is None or task.created_at >= oldest) and labels.items() <= task.labels.items()
            ]
            if limit is not None and len(found) >= limit:
                return found[:limit]
            if oldest is not None and page and page[-1].created_at < oldest:
                break
        return found

    async def newest(self, wanted: Callable[[TaskState], bool] = lambda task: True) -> TaskState | None:
        """The session's newest task of which ``wanted(task)`` is true; None where there is none."""
        async for page in self._pages("session", None, NEWEST_PAGE):
            for task in page:
                if wanted(task):
                    return task
        return None

    async def _pages(self, scope: str, state: State | None, size: int) -> AsyncIterator[Sequence[TaskState]]:
        """Newest first."""
        before: str | None = None
        while True:
            page, _ = await self._channel.ask(
                "list", protocol.Tasks, scope=scope, state=state, limit=size, before=before
            )
            yield page.tasks
            if page.next is None:
                return
            before = page.next

    async def tasks(self, **selection: Any) -> pd.DataFrame:
        """A row per task, newest first; ``selection`` as for ``states``."""
        from phasenb.store.frames import tasks_frame

        return await asyncio.to_thread(tasks_frame, await self.states(**selection), self.values.load)

    async def results(self, *, last: bool = False, flatten: bool = False, scope: str = "session") -> pd.DataFrame:
        """A row per attempt that ended, oldest first; see memory.frames."""
        from phasenb.store.frames import set_aside

        session = self.session if scope_of(scope) == "session" else None
        aside = set_aside(await self.states(scope=scope)) if last else {}
        return await self.backend.results_frame(
            self.values.load, task_id=None, session=session, last=last, flatten=flatten, aside=aside
        )

    async def logged_events(self, task_id: str) -> list[JsonObject]:
        """A task's events as JSON objects, by seq."""
        found: list[JsonObject] = []
        after: int | None = 0
        while after is not None:
            page = await self.backend.events(task_id, after)
            found += page["events"]
            after = page["next"]
        return found

    async def feed(self, callback: FeedCallback, *, scope: str = "session") -> Callable[[], None]:
        """Have ``callback(task)`` called on the loop for every task that is live and after each change of any task in
        scope; the answer ends that. One scope for a client: the widest that was asked for.
        """
        scope = scope_of(scope)
        self._feeds.append(callback)
        if self._feed_scope is None or (scope == "user" and self._feed_scope == "session"):
            self._feed_scope = scope
            await self._channel.ask("subscribe_feed", protocol.Feed, scope=scope)
        else:
            for model in tuple(self._live.values()):
                if model.state is not None:
                    tell(callback, model.state)
        return lambda: self._feeds.remove(callback) if callback in self._feeds else None

    async def ping(self) -> None:
        await self._channel.ask("ping", protocol.Pong)

    # --- messages --------------------------------------------------------------------------------------------------

    def _take(self, message: protocol.ServerMessage) -> TaskModel | None:
        if isinstance(message, BaseEvent):
            self._event(message)
        elif isinstance(message, PhaseUpdate | PhaseLog):
            self._live_message(message)
        elif isinstance(message, protocol.Launched):
            return self._launched(message)
        elif isinstance(message, protocol.Subscribed):
            return self._subscribed(message)
        elif isinstance(message, protocol.Feed):
            for task in message.tasks:
                model = self._model(task.task_id)
                model.epoch = self.welcome.epoch
                self._reset(model, task)
            if message.next is None:  # a cursor of an earlier page would leave out what the others were to tell
                self._cursor = message.cursor
        return None

    def _event(self, event: Event) -> None:
        model = self._models.get(event.task_id)
        if model is None:
            if not self._feeds:
                return  # nobody holds it any more
            model = self._model(event.task_id)
        if model.take(event):
            self._changed(model)
        elif not model.resyncing:
            model.resyncing = True
            self._chore(self._resubscribe(model, NO_EPOCH))

    def _live_message(self, message: PhaseUpdate | PhaseLog) -> None:
        model = self._models.get(message.task_id)
        if model is None:
            return
        if isinstance(message, PhaseLog):
            model.log(message)
            return
        model.progress(message)
        self._tell_feeds(model)

    def _launched(self, reply: protocol.Launched) -> TaskModel:
        model = self._model(reply.task_id)
        model.epoch = self.welcome.epoch
        return model

    def _subscribed(self, reply: protocol.Subscribed) -> TaskModel:
        model = self._model(reply.task_id)
        model.resyncing = False
        model.epoch = reply.epoch
        if reply.snapshot is not None:
            self._reset(model, reply.snapshot)
        return model

    def _reset(self, model: TaskModel, snapshot: TaskState) -> None:
        model.reset(snapshot)
        self._changed(model)

    def _model(self, task_id: str) -> TaskModel:
        model = self._models.get(task_id)
        if model is None or model.problem is not None:
            model = self._models[task_id] = TaskModel(task_id)
        if not model.terminal:
            self._live[task_id] = model
        return model

    def _changed(self, model: TaskModel) -> None:
        if model.terminal:
            self._live.pop(model.task_id, None)
        else:
            self._live[model.task_id] = model
        self._tell_feeds(model)

    def _tell_feeds(self, model: TaskModel) -> None:
        if model.state is not None:
            for callback in tuple(self._feeds):
                tell(callback, model.state)

    # --- after a break ---------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """A link came back: take up the feed, and every task that may still have news."""
        self._welcomed()
        models = [model for model in self._models.values() if model.state is None or model.state.state != "completed"]
        self._chore(self._take_up(models))

    async def _take_up(self, models: list[TaskModel]) -> None:
        if self._feed_scope is not None:
            try:
                await self._channel.ask("subscribe_feed", protocol.Feed, scope=self._feed_scope, after=self._cursor)
            except PhasenbError as error:
                self.notice(f"the feed could not be taken up: {error}")
        for model in models:
            await self._resubscribe(model, model.epoch)

    async def _resubscribe(self, model: TaskModel, epoch: str) -> None:
        try:
            await self._channel.ask(
                "subscribe", protocol.Subscribed, task_id=model.task_id, after_seq=model.seq, epoch=epoch
            )
        except PhasenbError as problem:
            model.fail(problem)  # it is not there any more (another store, another user), or the client was closed
            self._live.pop(model.task_id, None)

    def on_end(self, callback: Callable[[PhasenbError], None]) -> None:
        """Have ``callback(problem)`` called on the loop when this client is of no use any more, at once if it is so."""
        if self.problem is not None:
            callback(self.problem)
        else:
            self._end_callbacks.append(callback)

    def _ended(self, problem: PhasenbError) -> None:
        for callback in self._end_callbacks:
            callback(problem)
        for model in tuple(self._models.values()):
            model.fail(problem)
        self._live.clear()

    def _chore(self, work: Any) -> None:
        chore = asyncio.get_running_loop().create_task(work, name="phasenb client")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
