"""WebSocketMessageHandler: what one client says, and what it is answered (protocol.md, "Commands").

Rules:

* Commands of a connection are taken one after the other; only launches, which may wait for a worker to read the code,
  run beside them. So ``subscribe`` and ``unsubscribe`` act in the order in which they were sent.
* Every frame gets exactly one answer (``subscribe_feed``: one or more pages); an error leaves the connection open,
  except ``unsupported_protocol``.
* A client that does not read its answers is not listened to until it does: so they are bounded.
* For a connection that went while its command waited nothing begins: nobody would end it.
* What we did not expect is logged under an id, and the client is told the id: no traceback, no path.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from phasenb.config.machine import machine_digest
from phasenb.core.notebooks import OpenNotebook, session_of
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.replay import Snapshot, plan_replay
from phasenb.dto.events import Event
from phasenb.dto.task_state import State
from phasenb.errors import (
    BadMessage,
    HelloRequired,
    PhasenbError,
    RateLimited,
    StoreUnavailable,
    TooLarge,
    UnsupportedProtocol,
)
from phasenb.errors.shortage import named_shortage
from phasenb.web import message_protocol as protocol
from phasenb.web.connection import Connection
from phasenb.web.feed import open_feed
from phasenb.web.identity import Identity
from phasenb.web.launching import launch
from phasenb.web.pages import page_of, tasks_of
from phasenb.web.rate_limit import TokenBucket
from phasenb.web.standing import ASK_EVERY_S, Standing
from phasenb.web.steering import steer
from phasenb.web.subscriber import Feed, Subscriber
from phasenb.web.websocket_manager import WebSocketManager

log = logging.getLogger(__name__)
OF_SERVER = "of this server"

HELLO_TIMEOUT_S = 10.0
HELLO_TIMEOUT = 4009
UNSUPPORTED_PROTOCOL = 4002
MAXIMUM_LAUNCHES = 256  # at once on one connection; the next commands wait for one to end


class WebSocketMessageHandler:
    """One connection's side of the host.

    The transport calls ``opened`` once, ``await receive(frame)`` for each frame in order (in the host's own process
    ``await take(message)``), ``closed`` once.
    """

    def __init__(
        self,
        connection: Connection,
        manager: PhaseManager,
        hub: WebSocketManager,
        identity: Identity,
        *,
        server: str = "phasenb",
        hello_timeout_s: float = HELLO_TIMEOUT_S,
        ask_every_s: float = ASK_EVERY_S,
    ) -> None:
        self._manager = manager
        self._hub = hub
        self._identity = identity
        self._server = server
        self._hello_timeout_s = hello_timeout_s
        self._outbox = hub.outbox(connection)
        self._over_wire = True
        self._standing = Standing(identity, self._outbox, ask_every_s)
        self._subscriber: Subscriber | None = None
        self._notebook: OpenNotebook | None = None
        self._bucket = TokenBucket(hub.settings.commands_per_second)
        self._timer: asyncio.TimerHandle | None = None
        self._launches: set[asyncio.Task[None]] = set()
        self._commands: dict[str, Callable[[Any, Subscriber], Awaitable[None]]] = {
            "launch": self._launch,
            "subscribe": self._subscribe,
            "subscribe_feed": self._subscribe_feed,
            "unsubscribe": self._unsubscribe,
            **dict.fromkeys(("cancel", "pause", "resume", "approve", "deny", "retry", "give_up"), self._steer),
            "list": self._list,
            "ping": self._ping,
        }

    # --- the transport's calls -------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Wait for ``hello``, not for ever."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            self._hello_timeout_s, self._outbox.close, HELLO_TIMEOUT, "no hello within the time for it"
        )

    async def receive(self, frame: str | bytes) -> None:
        """Take one frame. Never raises for anything a client may send."""
        reply_to: str | None = None
        self._outbox.counts.messages_received += 1
        if self._outbox.full:
            await self._outbox.room()
        try:
            wait_s = self._admit(frame)
            message = protocol.parse_object(frame)
            reply_to = _readable_id(message)
            if wait_s:
                raise RateLimited(wait_s)  # noqa: TRY301 - answered like every other refusal
            await self._dispatch(message)
        except Exception as error:
            self._refuse(reply_to, error)

    async def take(self, message: dict[str, Any]) -> None:
        """As ``receive``, from a client in this process: no text between the two, and no rate is kept."""
        self._over_wire = False
        self._outbox.counts.messages_received += 1
        try:
            await self._dispatch(message)
        except Exception as error:
            self._refuse(_readable_id(message), error)

    def closed(self) -> None:
        """The transport is gone. Launches under way go on: the client asks again by its idempotency key."""
        self._stop_timer()
        self._standing.stop()
        if self._subscriber is not None:
            self._hub.leave(self._subscriber)
        self._outbox.lost()

    # --- taking frames ---------------------------------------------------------------------------------------------

    def _admit(self, frame: str | bytes) -> float:
        """Seconds to wait for the rate, 0.0 for none. Raises TooLarge."""
        limit = self._hub.settings.max_message_bytes
        if len(frame) * 4 > limit:  # a character has at most 4 bytes: most frames need no counting
            size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
            if size > limit:
                raise TooLarge(size, limit)
        return self._bucket.take(time.monotonic())

    async def _dispatch(self, message: dict[str, Any]) -> None:
        subscriber = self._subscriber
        if subscriber is None and message.get("type") != "hello":
            raise HelloRequired(str(message.get("type"))[:100])
        command = protocol.parse_command(message)
        if isinstance(command, protocol.Hello):
            await self._hello(command)
        elif subscriber is not None:
            await self._commands[command.type](command, subscriber)

    def _refuse(self, reply_to: str | None, error: Exception) -> None:
        self._outbox.reply(error_message(reply_to, error))
        if isinstance(error, UnsupportedProtocol):
            closing = asyncio.ensure_future(self._outbox.close_when_sent(UNSUPPORTED_PROTOCOL, str(error)))
            self._launches.add(closing)
            closing.add_done_callback(self._launches.discard)
        elif self._subscriber is not None:
            self._standing.refused(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- commands --------------------------------------------------------------------------------------------------

    async def _hello(self, command: protocol.Hello) -> None:
        if self._subscriber is not None:
            raise BadMessage("hello was said already: open another connection for another session")
        if command.protocol != protocol.PROTOCOL:
            raise UnsupportedProtocol(command.protocol, protocol.PROTOCOL)
        await self._identity.require("read")
        notebook = await self._opened(command.notebook)
        session = command.session or (notebook.session if notebook else "")
        if self._outbox.closed:
            return
        self._notebook = notebook
        self._stop_timer()
        settings = self._hub.settings
        welcome = protocol.Welcome(
            reply_to=command.id,
            epoch=self._hub.store.epoch,
            server=self._server,
            session=session,
            owner=self._identity.owner,
            machine=machine_digest(),
            agents=tuple(sorted(self._manager.agents)),
            limits=protocol.Limits(
                max_message_bytes=settings.max_message_bytes,
                max_frame_bytes=settings.max_frame_bytes,
                commands_per_second=settings.commands_per_second,
                updates_per_second=settings.updates_per_second,
                replay_max_events=settings.replay_max_events,
            ),
        )
        self._subscriber = self._hub.join(self._identity.owner, session, self._outbox)
        self._outbox.reply(welcome)
        self._standing.start()

    async def _opened(self, place: protocol.NotebookPlace | None) -> OpenNotebook | None:
        """The notebook that the client runs in. One on another machine is known by nothing but its path."""
        if place is None:
            return None
        if place.machine != machine_digest():
            return OpenNotebook(session_of(place.path), place.path)
        return await self._manager.notebooks.open(self._identity.owner, place.path, place.kernel)

    async def _launch(self, command: protocol.LaunchCommand, subscriber: Subscriber) -> None:
        while len(self._launches) >= MAXIMUM_LAUNCHES:
            await asyncio.wait(self._launches, return_when=asyncio.FIRST_COMPLETED)
        launching = asyncio.get_running_loop().create_task(self._launch_one(command, subscriber))
        self._launches.add(launching)
        launching.add_done_callback(self._launches.discard)

    async def _launch_one(self, command: protocol.LaunchCommand, subscriber: Subscriber) -> None:
        try:
            with self._hub.births() as born:
                launched = await launch(self._manager, self._identity, subscriber.session, command, self._notebook)
                events = born.pop(launched.task.task_id, ())
        except Exception as error:
            self._refuse(command.id, error)
            return
        task = launched.task
        reply = protocol.Launched(reply_to=command.id, task_id=task.task_id, seq=task.seq, duplicate=launched.duplicate)
        self._outbox.reply(reply)
        if not self._outbox.closed:
            self._follow_launched(subscriber, task.task_id, task.state, events, task.seq)

    def _follow_launched(
        self, subscriber: Subscriber, task_id: str, state: State, events: tuple[Event, ...], seq: int
    ) -> None:
        """From seq 0: with the events that were just announced, or (the task was known already) from the log."""
        subscription = subscriber.subscribe(task_id)
        subscription.final = state is State.COMPLETED
        if events:
            subscriber.start(subscription, 0, 0)
            subscription.events(events)
        else:
            subscriber.start(subscription, 0, seq, read=True)

    async def _subscribe(self, command: protocol.Subscribe, subscriber: Subscriber) -> None:
        await self._identity.require("read", command.task_id)
        owner = self._identity.owner
        task_id = await self._manager.resolve(owner, command.task_id, session=subscriber.session)
        task = await self._manager.snapshot(owner, task_id)
        if self._outbox.closed:
            return
        update = self._manager.newest_update(task.task_id)
        store, maximum = self._hub.store, self._hub.settings.replay_max_events
        plan = plan_replay(command.after_seq, command.epoch, store.epoch, task.seq, maximum)
        whole = isinstance(plan, Snapshot)
        seq = plan.seq if isinstance(plan, Snapshot) else plan.after_seq
        subscription = subscriber.subscribe(task.task_id)
        subscription.final = task.state is State.COMPLETED
        reply = protocol.Subscribed(
            reply_to=command.id,
            task_id=task.task_id,
            epoch=store.epoch,
            seq=seq,
            recovered=not whole,
            snapshot=task if whole else None,
        )
        self._outbox.reply(reply)
        if update is not None:
            subscription.progress(task.seq, update)
        subscriber.start(subscription, seq, task.seq, read=True)

    async def _subscribe_feed(self, command: protocol.SubscribeFeed, subscriber: Subscriber) -> None:
        await self._identity.require("read")
        if self._outbox.closed:
            return
        self._hub.close_feed(subscriber)
        session = subscriber.session if command.scope == "session" else None
        subscriber.feed = Feed(session)
        self._hub.open_feed(subscriber)
        try:
            await open_feed(subscriber, self._manager, command, session, over_wire=self._over_wire)
        except BaseException:
            self._hub.close_feed(subscriber)
            raise

    async def _unsubscribe(self, command: protocol.Unsubscribe, subscriber: Subscriber) -> None:
        if command.task_id is None:
            self._hub.close_feed(subscriber)
        else:
            subscriber.unsubscribe(command.task_id)
        self._ok(command.id)

    async def _steer(self, command: protocol.SteeringCommand, subscriber: Subscriber) -> None:
        await steer(self._manager, self._identity, subscriber.session, command)
        self._ok(command.id)

    async def _list(self, command: protocol.ListTasks, subscriber: Subscriber) -> None:
        tasks, following = await tasks_of(
            self._manager,
            self._identity,
            session=subscriber.session if command.scope == "session" else None,
            state=command.state,
            limit=command.limit,
            before=command.before,
        )
        if not self._over_wire:
            self._outbox.reply(protocol.Tasks(reply_to=command.id, tasks=tasks, next=following))
            return
        listed, following = await page_of(tasks, following)
        said, more = orjson.dumps(command.id).decode(), orjson.dumps(following).decode()
        self._outbox.reply(f'{{"type":"tasks","reply_to":{said},"tasks":[{listed}],"next":{more}}}')

    async def _ping(self, command: protocol.Ping, subscriber: Subscriber) -> None:
        self._outbox.reply(protocol.Pong(reply_to=command.id))

    def _ok(self, reply_to: str) -> None:
        self._outbox.reply(protocol.Ok(reply_to=reply_to))


# --- errors ------------------------------------------------------------------------------------------------------


def error_message(reply_to: str | None, error: Exception) -> protocol.ErrorMessage:
    """The ``error`` that tells a client of ``error``; what nobody expected is logged, and told by the log's id."""
    error = named_shortage(error)
    if isinstance(error, PhasenbError):
        if isinstance(error, StoreUnavailable):  # the client can't mend it: who runs the server must hear of it
            log.error("%s", error)
            error = StoreUnavailable(OF_SERVER, error.problem)  # where it is on that machine is no client's business
        return protocol.ErrorMessage.model_construct(
            reply_to=reply_to, code=error.code, message=str(error), details=error.details
        )
    incident = uuid.uuid4().hex[:12]
    log.error("internal error %s", incident, exc_info=error)
    return protocol.ErrorMessage(
        reply_to=reply_to,
        code="internal",
        message=f"something went wrong in the server: its log has it under {incident}",
        details={"id": incident},
    )


def refusal(frame: str | bytes, problem: PhasenbError) -> str:
    """The answer to any frame where the host could not start, as JSON text: ``store_unavailable``, and why."""
    if not isinstance(problem, StoreUnavailable):  # a client knows this code, and none for a server's configuration
        problem = StoreUnavailable(OF_SERVER, f"phasenb is not configured rightly there: {problem}")
    try:
        reply_to = _readable_id(protocol.parse_object(frame))
    except BadMessage:
        reply_to = None
    return error_message(reply_to, problem).wire


def _readable_id(message: dict[str, Any]) -> str | None:
    given = message.get("id")
    return given if isinstance(given, str) and 0 < len(given) <= 64 else None
