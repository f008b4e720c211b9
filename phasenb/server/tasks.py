"""GET handlers of tasks, their events, lines, results and artifacts."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tornado.iostream import StreamClosedError

from phasenb.errors import BadMessage
from phasenb.server.base import PhaseHandler, permitted
from phasenb.web.api import MAXIMUM_TASKS, PAGE_EVENTS, PAGE_LINES

CONTENT_TYPES = {
    "json": "application/json",
    "png": "image/png",
    "text": "text/plain; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
BYTES = "application/octet-stream"


class HealthHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, _ = await self.caller()
        self.answer(api.health())


class AgentsHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, identity = await self.caller()
        self.answer(await api.agents(identity))


class TasksHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, identity = await self.caller()
        session = self.get_query_argument("session", None)
        scope = self.get_query_argument("scope", "session" if session else "user")
        if scope not in ("session", "user") or (scope == "session" and not session):
            raise BadMessage("the query is not valid", {"scope": "`user`, or `session` with the name as `session`"})
        tasks = await api.tasks(
            identity,
            session=session if scope == "session" else None,
            state=self.get_query_argument("state", None),
            limit=self.number("limit", min(100, MAXIMUM_TASKS)),
            before=self.get_query_argument("before", None),
        )
        self.answer(tasks)


class TaskHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity = await self.caller()
        self.answer(await api.task(identity, task_id))


class EventsHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity = await self.caller()
        after, limit = self.number("after_seq", 0), self.number("limit", PAGE_EVENTS)
        self.answer(await api.events(identity, task_id, after, limit))


class LogsHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity = await self.caller()
        after, limit = self.number("after", 0), self.number("limit", PAGE_LINES)
        self.answer(await api.logs(identity, task_id, after, limit))


class ResultsHandler(PhaseHandler):
    """Of one task, or of a session (``?session=``), or of all of the owner's tasks."""

    @permitted("read")
    async def get(self, task_id: str | None = None) -> None:
        api, identity = await self.caller()
        session = self.get_query_argument("session", None)
        self.answer(await api.results(identity, task_id=task_id, session=session))


class DownloadHandler(PhaseHandler):
    """What sends stored bytes. They come from people's code: never shown inside the server's own pages."""

    async def send(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Disposition", "attachment")
        self.set_header("X-Content-Type-Options", "nosniff")
        try:
            async for chunk in chunks:
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            return  # the client has left
        self.finish(set_content_type=content_type)


class ArtifactHandler(DownloadHandler):
    @permitted("read")
    async def get(self, task_id: str, phase: str, attempt: str, name: str) -> None:
        api, identity = await self.caller()
        artifact = await api.artifact(identity, task_id, phase, int(attempt), name)
        chunks = await api.open_object(identity, artifact.hash)
        await self.send(chunks, CONTENT_TYPES.get(artifact.codec, BYTES))
