"""TaskApi: what the HTTP paths do, for the server's handlers and for the embedded host alike. No Tornado here.

Rules: every answer is a JSON object, lists stand under a name; a list that has more says where to go on (``next``).
All tasks of the owner are in reach, whatever their session. Errors are those of phasenb.errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import orjson

from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import Store
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Artifact
from phasenb.errors import BadMessage, UnknownObject
from phasenb.web.identity import Identity
from phasenb.web.message_protocol import PROTOCOL

JsonObject = dict[str, Any]
T = TypeVar("T")
MAXIMUM_TASKS = 1000
PAGE_EVENTS = 1000
PAGE_LINES = 5000
_AT_ONCE = 50  # values that are turned into JSON on the loop: a few milliseconds


class TaskApi:
    """One host's tasks over calls. Every method raises Forbidden where the identity may not do it."""

    def __init__(self, manager: PhaseManager, *, version: str = "") -> None:
        self._manager = manager
        self._store: Store = manager.store
        self._version = version

    def health(self) -> JsonObject:
        """``{status, version, protocol, epoch, host, tasks}``; ``tasks``: how many this host carries."""
        return {
            "status": "ok",
            "version": self._version,
            "protocol": PROTOCOL,
            "epoch": self._store.epoch,
            "host": self._manager.host,
            "tasks": self._manager.running,
        }

    async def agents(self, identity: Identity) -> JsonObject:
        """``{"agents": [{"name"}]}``: what a launch may name."""
        await identity.require("read")
        return {"agents": [{"name": name} for name in sorted(self._manager.agents)]}

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def tasks(
        self,
        identity: Identity,
        *,
        session: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> JsonObject:
        """``{"tasks": [snapshot], "next"}``, newest first; ``session`` None: all of the owner's. Raises BadMessage."""
        await identity.require("read")
        if not 1 <= limit <= MAXIMUM_TASKS:
            raise BadMessage("the list is not valid", {"limit": f"1 to {MAXIMUM_TASKS} is possible"})
        found = await self._store.tasks(
            identity.owner, session=session, state=_state(state), limit=limit + 1, before=before
        )
        shown = [self._manager.with_progress(task) for task in found[:limit]]
        following = shown[-1].task_id if len(found) > limit else None
        return {"tasks": await _dumped(_tasks, shown), "next": following}

    async def task(self, identity: Identity, task_id: str) -> JsonObject:
        """A snapshot. Raises UnknownTask."""
        return (await self._task(identity, task_id)).as_json()

    async def events(
        self, identity: Identity, task_id: str, after_seq: int = 0, limit: int = PAGE_EVENTS
    ) -> JsonObject:
        """``{"events": [event], "next"}``: ``next`` is the ``after_seq`` of the next page, or null."""
        task = await self._task(identity, task_id)
        limit = max(1, min(limit, PAGE_EVENTS))
        texts = await self._store.events(task.task_id, max(0, after_seq), limit)
        events = [orjson.loads(text) for text in texts]
        return {"events": events, "next": events[-1]["seq"] if len(events) == limit else None}

    async def logs(self, identity: Identity, task_id: str, after: int = 0, limit: int = PAGE_LINES) -> JsonObject:
        """``{"lines": [{cursor, phase, attempt, line, stream, at, text}], "next"}``, after a cursor.

        ``next`` is the ``after`` of the next page; null where there are no more lines for now.
        """
        task = await self._task(identity, task_id)
        limit = max(1, min(limit, PAGE_LINES))
        lines = await self._store.logs(task.task_id, after=max(0, after), limit=limit)
        return {"lines": lines, "next": lines[-1]["cursor"] if len(lines) == limit else None}

    async def results(
        self, identity: Identity, *, task_id: str | None = None, session: str | None = None
    ) -> JsonObject:
        """``{"results": [{"task_id", ...PhaseResult}]}``, oldest first: of a task, of a session, or all."""
        await identity.require("read")
        if task_id is not None:
            task_id = (await self._task(identity, task_id)).task_id
        found = await self._store.results(identity.owner, session=session, task_id=task_id)
        return {"results": await _dumped(_results, found)}

    # --- objects ---------------------------------------------------------------------------------------------------

    async def artifact(self, identity: Identity, task_id: str, phase: str, attempt: int, name: str) -> Artifact:
        """What ``ctx.artifact(name, ...)`` kept in an attempt. Raises UnknownTask, UnknownObject."""
        task = await self._task(identity, task_id)
        for _, result in await self._store.results(identity.owner, task_id=task.task_id):
            if (result.phase, result.attempt) == (phase, attempt):
                for artifact in result.artifacts:
                    if artifact.name == name:
                        return artifact
        raise UnknownObject(f"{task.task_id}/{phase}/{attempt}/{name}")

    async def has_object(self, identity: Identity, hash: str) -> bool:
        await identity.require("read")
        return await self._store.has_object(identity.owner, hash)

    async def put_object(self, identity: Identity, hash: str, chunks: AsyncIterator[bytes]) -> JsonObject:
        """Keep an input's bytes: ``{"hash", "bytes"}``. Raises BadMessage where the hash is another one."""
        await identity.require("execute")
        return {"hash": hash, "bytes": await self._store.put_object(identity.owner, chunks, hash)}

    async def open_object(self, identity: Identity, hash: str) -> AsyncIterator[bytes]:
        """The bytes of an object of this owner, in chunks. Raises UnknownObject, before the first chunk."""
        await identity.require("read")
        if not await self._store.has_object(identity.owner, hash):
            raise UnknownObject(hash)
        return self._store.open_object(identity.owner, hash)

    async def _task(self, identity: Identity, task_id: str) -> TaskState:
        await identity.require("read", task_id)
        return await self._manager.snapshot(identity.owner, task_id)


async def _dumped(dump: Callable[[list[T]], list[JsonObject]], values: list[T]) -> list[JsonObject]:
    """A long list is turned into JSON in a thread: the loop must not stand still for it."""
    if len(values) <= _AT_ONCE:
        return dump(values)
    return await asyncio.to_thread(dump, values)


def _tasks(tasks: list[TaskState]) -> list[JsonObject]:
    return [task.as_json() for task in tasks]


def _results(found: list[tuple[str, PhaseResult]]) -> list[JsonObject]:
    return [{"task_id": task_id, **result.model_dump(mode="json", by_alias=True)} for task_id, result in found]


def _state(state: str | None) -> State | None:
    if state is None:
        return None
    try:
        return State(state)
    except ValueError:
        known = ", ".join(State)
        raise BadMessage("the list is not valid", {"state": f"one of {known} is possible"}) from None
