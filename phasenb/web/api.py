"""TaskApi: what the HTTP paths do, for the server's handlers and for the embedded host alike. No Tornado here.

Rules: an answer is JSON text as web.http_protocol says it; what may be long is made off the loop. All tasks of the
owner are in reach, whatever their session. Launches and steering are those of the socket: web.launching, web.steering.
Errors are those of phasenb.errors.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from phasenb.config.machine import machine_id
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import Store
from phasenb.dto import problems
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Artifact
from phasenb.errors import BadMessage, NotThere, UnknownObject
from phasenb.web.http_protocol import (
    HTTP_SESSION,
    AgentDescription,
    AgentList,
    EventsQuery,
    Health,
    KeptObject,
    LaunchBody,
    LaunchedTask,
    LaunchesBody,
    LaunchingSession,
    LogsQuery,
    PhaseSource,
    RegisteredAgent,
    SourceQuery,
    StorePlace,
    TasksQuery,
)
from phasenb.web.identity import Identity
from phasenb.web.launching import launch
from phasenb.web.message_protocol import TRACEPARENT, check_depth
from phasenb.web.pages import AT_ONCE, page_of, tasks_of
from phasenb.web.results import encoded_results
from phasenb.web.steering import parse_steering, steer

JsonObject = dict[str, Any]


class TaskApi:
    """One host's tasks over calls. Every method raises Forbidden where the identity may not do it."""

    def __init__(self, manager: PhaseManager, *, version: str = "", place: StorePlace | None = None) -> None:
        self._manager = manager
        self._store: Store = manager.store
        self._version = version
        self._place = place

    async def health(self, identity: Identity, machine: str | None = None) -> Health:
        """``machine``: the caller's. Who may run code here can read the store's file, and is told of it."""
        await identity.require("read")
        manager = self._manager
        near = machine == machine_id() and await identity.may("code", None)
        trouble = manager.trouble
        return Health(
            status="ok" if trouble is None else "store_unavailable",
            problem=None if trouble is None else str(trouble) if near else trouble.problem,
            version=self._version,
            epoch=self._store.epoch,
            host=manager.host,
            tasks=manager.carried(identity.owner),
            store=self._place if near else None,
        )

    async def agents(self, identity: Identity) -> AgentList:
        await identity.require("read")
        return AgentList(agents=tuple(RegisteredAgent(name=name) for name in sorted(self._manager.agents)))

    async def agent(self, identity: Identity, name: str) -> AgentDescription:
        """Loads the agent in a worker, so it needs what a launch of it needs. Raises UnknownAgent, LaunchError,
        WorkerLost.
        """
        await identity.require("execute")
        spec = await self._manager.agent_spec(identity.owner, name)
        anything: JsonObject = {"type": "object", "properties": {}, "additionalProperties": True}
        return AgentDescription(name=name, phases=spec.phases, inputs=spec.inputs or anything)

    # --- launching and steering ------------------------------------------------------------------------------------

    async def launch(
        self, identity: Identity, body: JsonObject, *, traceparent: str | None = None, key: str | None = None
    ) -> LaunchedTask:
        """Durable when this returns. ``traceparent`` and ``key`` (an idempotency key) are what headers said: the body
        wins. Raises BadMessage, and what a launch on the socket raises.
        """
        headers = {"traceparent": _valid_traceparent(traceparent), "idempotency_key": key}
        said = {**{name: value for name, value in headers.items() if value is not None}, **body}
        check_depth(body)
        try:
            command = LaunchBody.model_validate(said)
        except ValidationError as error:
            raise BadMessage("the launch is not valid", problems.fields(error, LaunchBody, said)) from None
        launched = await launch(self._manager, identity, command.session, command)
        return LaunchedTask(task_id=launched.task.task_id, seq=launched.task.seq, duplicate=launched.duplicate)

    async def steer(self, identity: Identity, kind: str, task_id: str, body: JsonObject) -> TaskState:
        """Do what a command asks for; the task afterwards. Raises what the command raises on the socket."""
        await steer(self._manager, identity, HTTP_SESSION, parse_steering(kind, task_id, body))
        return await self._manager.snapshot(identity.owner, task_id)

    async def resume_launches(self, identity: Identity, body: JsonObject) -> LaunchingSession:
        """Let a session launch again although a threshold says wait. Raises BadMessage."""
        await identity.require("write")
        try:
            asked = LaunchesBody.model_validate(body)
        except ValidationError as error:
            raise BadMessage("`resume_launches` is not valid", problems.fields(error, LaunchesBody, body)) from None
        self._manager.resume_launches(identity.owner, asked.session)
        return LaunchingSession(session=asked.session)

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def tasks(self, identity: Identity, query: TasksQuery) -> bytes:
        """A TaskPage: newest first; shorter than asked for where snapshots are large."""
        shown, following = await tasks_of(
            self._manager, identity, session=query.session, state=query.state, limit=query.limit, before=query.before
        )
        listed, following = await page_of(shown, following)
        return b'{"tasks":[%s],"next":%s}' % (listed.encode(), orjson.dumps(following))

    async def task(self, identity: Identity, task_id: str) -> TaskState:
        """By id, name, or the end of an id. Raises UnknownTask, AmbiguousTask; all that follow do."""
        await identity.require("read", task_id)
        owner = identity.owner
        return await self._manager.snapshot(owner, await self._manager.resolve(owner, task_id))

    async def events(self, identity: Identity, task_id: str, query: EventsQuery) -> bytes:
        """An EventPage. Raises UnknownTask."""
        task = await self.task(identity, task_id)
        texts = await self._store.events(task.task_id, query.after_seq, query.limit)
        following = orjson.loads(texts[-1])["seq"] if len(texts) == query.limit else None
        return await _page("events", texts, following)

    async def logs(self, identity: Identity, task_id: str, query: LogsQuery) -> bytes:
        """A LinePage. Raises UnknownTask."""
        task = await self.task(identity, task_id)
        if query.last is not None:
            return await _page("lines", await self._store.newest_logs(task.task_id, query.last), None)
        lines = await self._store.logs(task.task_id, after=query.after, limit=query.limit)
        following = lines[-1]["cursor"] if len(lines) == query.limit else None
        return await _page("lines", lines, following)

    async def results(
        self, identity: Identity, *, task_id: str | None = None, session: str | None = None, arrow: bool = False
    ) -> AsyncIterator[bytes]:
        """A ResultList, or its rows as an Arrow IPC stream, in chunks. Raises UnknownTask, before the first chunk."""
        await identity.require("read", task_id)
        if task_id is not None:
            task_id = (await self.task(identity, task_id)).task_id
        return await encoded_results(self._store, identity.owner, session=session, task_id=task_id, arrow=arrow)

    async def source(self, identity: Identity, task_id: str, phase: str, query: SourceQuery) -> PhaseSource:
        """The text of a phase's function, as its newest attempt ran it, or ``query.attempt``; of a phase that has not
        run: as the next one will. Raises UnknownTask, NotThere.
        """
        task = await self.task(identity, task_id)
        known = next((each for each in task.phases if each.name == phase), None)
        if known is None:
            names = ", ".join(each.name for each in task.phases)
            raise NotThere(f"task {task.task_id} has no phase {phase[:100]!r} (it has {names})")
        results = await self._store.results(identity.owner, task_id=task.task_id)
        ended = {r.attempt: r.code for _, r in results if (r.phase, r.kind, r.revision) == (phase, "phase", 1)}
        attempt = query.attempt or known.attempt or None
        if query.attempt is not None and query.attempt > known.attempt:
            raise NotThere(f"task {task.task_id} has had {known.attempt} attempts at {phase}, and no {query.attempt}")
        code = ended.get(attempt, task.code) if attempt is not None else task.code
        texts = await self._store.source(task.task_id, code) if code is not None else {}
        return PhaseSource(phase=phase, attempt=attempt, code=code, text=texts.get(phase))

    # --- objects ---------------------------------------------------------------------------------------------------

    async def artifact(self, identity: Identity, task_id: str, phase: str, attempt: int, name: str) -> Artifact:
        """What ``ctx.artifact(name, ...)`` kept in an attempt. Raises UnknownTask, UnknownObject."""
        task = await self.task(identity, task_id)
        for _, result in await self._store.results(identity.owner, task_id=task.task_id):
            if (result.phase, result.attempt) == (phase, attempt):
                for artifact in result.artifacts:
                    if artifact.name == name:
                        return artifact
        raise UnknownObject(None, f"{task.task_id}/{phase}/{attempt}/{name}")

    async def has_object(self, identity: Identity, hash: str) -> bool:
        await identity.require("read")
        return await self._store.has_object(identity.owner, hash)

    async def put_object(self, identity: Identity, hash: str, chunks: AsyncIterator[bytes]) -> KeptObject:
        """Keep an input's bytes. Raises BadMessage where the hash is another one."""
        await identity.require("execute")
        return KeptObject(hash=hash, bytes=await self._store.put_object(identity.owner, chunks, hash))

    async def open_object(self, identity: Identity, hash: str) -> AsyncIterator[bytes]:
        """The bytes of an object of this owner, in chunks. Raises UnknownObject, before the first chunk."""
        await identity.require("read")
        if not await self._store.has_object(identity.owner, hash):
            raise UnknownObject(hash)
        return self._store.open_object(identity.owner, hash)


def _valid_traceparent(header: str | None) -> str | None:
    """W3 Trace Context says to go on without a header that can't be read."""
    return header if header is not None and re.fullmatch(TRACEPARENT, header) else None


Item = str | JsonObject


async def _page(name: str, items: Sequence[Item], following: str | int | None) -> bytes:
    """``{name: items, "next": following}``; a long page is made in a thread, so that the loop goes on."""
    if len(items) <= AT_ONCE:
        return _page_text(name, items, following)
    return await asyncio.to_thread(_page_text, name, items, following)


def _page_text(name: str, items: Iterable[Item], following: str | int | None) -> bytes:
    listed = b",".join(_text(item) for item in items)
    return b'{"%s":[%s],"next":%s}' % (name.encode(), listed, orjson.dumps(following))


def _text(item: Item) -> bytes:
    return item.encode() if isinstance(item, str) else orjson.dumps(item)
