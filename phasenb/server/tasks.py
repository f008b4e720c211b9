"""Handlers of tasks: their launch, their state, log, lines, results and artifacts, and the commands that steer them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tornado.web import HTTPError

from phasenb.codecs.result_tables import arrow_installed
from phasenb.errors import BadMessage
from phasenb.server.base import PhaseHandler, permitted
from phasenb.web.documents.files import asyncapi_text, openapi_text
from phasenb.web.http_protocol import (
    ARROW,
    BYTES,
    CONTENT_TYPES,
    JSON,
    EventsQuery,
    HealthQuery,
    LogsQuery,
    Query,
    ResultsQuery,
    SourceQuery,
    TasksQuery,
)
from phasenb.web.negotiation import preferred

_MOST_DIGITS = 18  # of a number that SQLite can hold


class HealthHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, identity, query = await self.caller(HealthQuery)
        health = await api.health(identity, query.machine)
        anywidget = await asyncio.to_thread(self.phasenb.pages_have, "anywidget")  # it looks at the disk
        self.answer(health.changed(anywidget=anywidget))


class AgentsHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, identity, _ = await self.caller()
        self.answer(await api.agents(identity))


class AgentHandler(PhaseHandler):
    @permitted("execute")
    async def get(self, agent: str) -> None:
        api, identity, _ = await self.caller()
        self.answer(await api.agent(identity, agent))


class TasksHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        api, identity, query = await self.caller(TasksQuery)
        self.answer(await api.tasks(identity, query))

    @permitted("execute")
    async def post(self) -> None:
        api, identity, _ = await self.caller()
        headers = self.request.headers
        launched = await api.launch(
            identity, self.body(), traceparent=headers.get("traceparent"), key=headers.get("Idempotency-Key")
        )
        self.set_status(200 if launched.duplicate else 201)
        self.set_header("Location", f"{self.request.path}/{launched.task_id}")
        self.answer(launched)


class TaskHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity, _ = await self.caller()
        self.answer(await api.task(identity, task_id))


class EventsHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity, query = await self.caller(EventsQuery)
        self.answer(await api.events(identity, task_id, query))


class LogsHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str) -> None:
        api, identity, query = await self.caller(LogsQuery)
        self.answer(await api.logs(identity, task_id, query))


class ResultsHandler(PhaseHandler):
    """Of one task, or of a session (``?session=``), or of all of the owner's tasks."""

    @permitted("read")
    async def get(self, task_id: str | None = None) -> None:
        api, identity, query = await self.caller(ResultsQuery if task_id is None else Query)
        session = query.session if isinstance(query, ResultsQuery) else None
        content_type = preferred(self.request.headers.get("Accept"), [JSON, *([ARROW] if arrow_installed() else [])])
        if content_type is None:
            raise HTTPError(406, f"results are sent as {JSON} here, and as {ARROW} where pyarrow is installed")
        self.set_header("Vary", "Accept")
        arrow = content_type == ARROW
        await self.stream(await api.results(identity, task_id=task_id, session=session, arrow=arrow), content_type)


class SourceHandler(PhaseHandler):
    @permitted("read")
    async def get(self, task_id: str, phase: str) -> None:
        api, identity, query = await self.caller(SourceQuery)
        self.answer(await api.source(identity, task_id, phase, query))


class SteeringHandler(PhaseHandler):
    @permitted("write")
    async def post(self, task_id: str) -> None:
        api, identity, _ = await self.caller()
        kind = self.request.path.rpartition("/")[2]
        self.answer(await api.steer(identity, kind, task_id, self.body()))


class LaunchesHandler(PhaseHandler):
    @permitted("write")
    async def post(self) -> None:
        api, identity, _ = await self.caller()
        self.answer(await api.resume_launches(identity, self.body()))


class DownloadHandler(PhaseHandler):
    """What sends stored bytes. They come from people's code: never shown inside the server's own pages."""

    async def send(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        self.set_header("Content-Disposition", "attachment")
        await self.stream(chunks, content_type)


class ArtifactHandler(DownloadHandler):
    @permitted("read")
    async def get(self, task_id: str, phase: str, attempt: str, name: str) -> None:
        api, identity, _ = await self.caller()
        if not (attempt.isascii() and attempt.isdecimal() and len(attempt) <= _MOST_DIGITS):
            raise BadMessage("the path is not valid", {"attempt": "a whole number is required"})
        artifact = await api.artifact(identity, task_id, phase, int(attempt), name)
        chunks = await api.open_object(identity, artifact.hash)
        await self.send(chunks, CONTENT_TYPES.get(artifact.codec, BYTES))


class AsyncApiHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        await self.caller()
        self.answer(await asyncapi_text())


class OpenApiHandler(PhaseHandler):
    @permitted("read")
    async def get(self) -> None:
        await self.caller()
        self.answer(await openapi_text())


class NoSuchPath(PhaseHandler):
    """So that an error is JSON here too; and who may not read here does not learn which paths there are."""

    @permitted("read")
    async def get(self) -> None:
        raise HTTPError(404, "there is no such path")

    head = post = put = patch = delete = get
