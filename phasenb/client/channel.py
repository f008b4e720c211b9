"""Channel: commands and their replies over a link that may break, and comes back by itself.

Rules:

* Every command is safe to send twice (a launch by its idempotency key), so what has no reply yet when a link breaks is
  sent again over the next one, in the order in which it was asked.
* Messages are handed on in the order in which they came; a reply is handed on before whoever asked goes on.
* Whoever asks while the host is away for long is told so, and what was asked is not sent any more: a launch that
  happens after its caller gave up would be nobody's. Subscriptions come back by themselves whenever the host does.
* A refusal that another try can't mend (access, protocol) ends the channel: everything that waits gets that error.
* A short break is not worth a word; a longer one is told once, and its end too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
from pydantic import SecretStr

from phasenb.client.backend import Backend, JsonObject, Link
from phasenb.client.pacing import Pacing
from phasenb.dto.base import Frozen
from phasenb.errors import (
    AccessDenied,
    BadMessage,
    PhasenbError,
    RateLimited,
    ServerUnreachable,
    TooLarge,
    UnsupportedProtocol,
    from_wire,
)
from phasenb.web.message_protocol import (
    PROTOCOL,
    ErrorMessage,
    Feed,
    NotebookPlace,
    Pong,
    Reply,
    ServerMessage,
    Welcome,
    parse_server_message,
)

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)
Answer = tuple[Reply, Any]

FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 10.0
WORTH_A_WORD_S = 1.0
PATIENCE_S = 30.0  # a server restarts in less
HELLO_S = 30.0
_MEANWHILE = "tasks go on there, or as soon as it is started again"
_FINAL = (AccessDenied, UnsupportedProtocol)


def delays_s(roll: Callable[[], float] = random.random) -> Iterator[float]:
    """Waits before each try: doubling, with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter")."""
    yield 0.0
    longest = FIRST_DELAY_S
    while True:
        yield roll() * longest
        longest = min(LONGEST_DELAY_S, 2 * longest)


class _Pending:
    __slots__ = ("command", "future")

    def __init__(self, command: str | JsonObject, future: asyncio.Future[Answer]) -> None:
        self.command = command
        self.future = future


class Channel:
    """``session`` None: the notebook's. ``take(message)`` gets every message; what it returns for a reply goes along
    with it. ``back()`` is called when a link came back. All on the loop that ``open`` was awaited on.
    """

    def __init__(
        self,
        backend: Backend,
        session: str | None,
        *,
        notebook: NotebookPlace | None = None,
        take: Callable[[ServerMessage], Any],
        back: Callable[[], None],
        ended: Callable[[PhasenbError], None],
        notice: Callable[[str], None],
    ) -> None:
        self.backend = backend
        self._session = session
        self._notebook = notebook
        self.welcome: Welcome | None = None
        self.problem: PhasenbError | None = None
        self._take = take
        self._back = back
        self._ended = ended
        self._notice = notice
        self._pacing = Pacing(notice)
        self._link: Link | None = None
        self._noted: str | None = None
        self._made = 0
        self._numbers = itertools.count(1)
        self._pending: dict[str, _Pending] = {}
        self._mending: asyncio.Task[None] | None = None

    # --- opening and closing ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises ServerUnreachable, AccessDenied, and what the host has to say instead of a welcome."""
        await self._connect()

    async def close(self, problem: PhasenbError | None = None) -> None:
        """Let go of everything; who still waits gets ``problem``. Idempotent."""
        self._end(problem or ServerUnreachable(self.backend.url, "this client was closed"))
        mending, self._mending = self._mending, None
        if mending is not None and mending is not asyncio.current_task():
            mending.cancel()
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    @property
    def connected(self) -> bool:
        return self._link is not None

    # --- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, kind: str, answer: type[R], **fields: Any) -> tuple[R, Any]:
        """Send a command and wait for its reply, over as many links as it takes: (reply, what ``take`` returned).

        Raises the error that was answered, TooLarge before anything is sent, ServerUnreachable where the host is away
        for PATIENCE_S, and ``problem`` once there is one.
        """
        if kind == "launch" and self._pacing.holds:
            await self._its_turn(kind, 0.0)
        while True:
            try:
                reply, taken = await self._ask(kind, fields)
            except RateLimited as error:
                await self._its_turn(kind, error.retry_after_s)
                continue
            if not isinstance(reply, answer):
                raise BadMessage(f"the answer to `{kind}` is a {type(reply).__name__}")
            return reply, taken

    async def _its_turn(self, kind: str, wait_s: float) -> None:
        if kind == "launch" and self.welcome is not None:
            await self._pacing.turn(wait_s, self.welcome.limits.commands_per_second)
        else:
            await asyncio.sleep(wait_s)

    async def _ask(self, kind: str, fields: dict[str, Any]) -> Answer:
        if self.problem is not None:
            raise self.problem
        number = str(next(self._numbers))
        command = self._outgoing({"type": kind, "id": number, **fields})
        pending = _Pending(command, asyncio.get_running_loop().create_future())
        self._pending[number] = pending
        try:
            if self._link is not None:
                await self._send(self._link, pending.command)
            return await self._answered(kind, pending.future)
        finally:
            self._pending.pop(number, None)

    async def _answered(self, kind: str, answer: asyncio.Future[Answer]) -> Answer:
        if self.backend.embedded:
            return await answer
        while not answer.done():
            away = self._link is None
            await asyncio.wait({answer}, timeout=PATIENCE_S)
            if away and self._link is None and not answer.done():
                problem = f"no connection for {PATIENCE_S:.0f} s: whether `{kind}` arrived there is not known"
                raise ServerUnreachable(self.backend.url, problem)
        return await answer

    async def returned(self, kind: str) -> bool:
        """After the host did not answer beside the link, while ``kind`` was prepared: wait for it, and tell whether it
        was away. Raises ServerUnreachable where it is for PATIENCE_S, and ``problem`` once there is one.
        """
        made = self._made
        if self._link is not None:
            with suppress(ServerUnreachable):  # the link may have gone with the host, and nobody has noticed
                await self.ask("ping", Pong)
        elif self._mending is not None:
            await asyncio.wait({self._mending}, timeout=PATIENCE_S)
        if self._link is None:
            problem = f"no connection for {PATIENCE_S:.0f} s: `{kind}` was not sent"
            raise self.problem or ServerUnreachable(self.backend.url, problem)
        return made != self._made

    def _outgoing(self, command: JsonObject) -> str | JsonObject:
        """A command as the backend takes it. Raises TooLarge."""
        if self.backend.embedded:
            return command
        text = orjson.dumps(command, default=_as_json).decode()
        self._check_size(text)
        return text

    def _check_size(self, command: str | JsonObject) -> None:
        """Raises TooLarge for what the server would refuse, or end the connection for, each time it is sent."""
        if self.welcome is None or not isinstance(command, str):
            return
        size, limit = len(command.encode()), self.welcome.limits.max_message_bytes
        if size > limit:
            raise TooLarge(size, limit)

    async def _send(self, link: Link, command: str | JsonObject) -> None:
        try:
            await link.send(command)
        except ConnectionError:
            return  # it waits in `_pending`, and goes over the next link

    # --- one link --------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Open a link, say hello, send what waits. Raises what `open` does."""
        self._made += 1
        made = self._made
        welcomed: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()

        def receive(frame: str | bytes | ServerMessage) -> None:
            if made == self._made:
                self._receive(frame, welcomed)

        def lost(reason: str, final: PhasenbError | None) -> None:
            if not welcomed.done():
                welcomed.set_exception(final or ServerUnreachable(self.backend.url, reason))
            elif made == self._made:
                self._lost(final)

        link = await self.backend.connect(receive, lost)
        hello = {"type": "hello", "id": "hello", "protocol": PROTOCOL, "client": f"phasenb-python/{version('phasenb')}"}
        # The session that a notebook got stays this client's, whatever becomes of the notebook's path.
        session = self._session if self.welcome is None else self.welcome.session
        hello |= {} if session is None else {"session": session}
        hello |= {} if self._notebook is None else {"notebook": self._notebook.model_dump(exclude_unset=True)}
        try:
            async with asyncio.timeout(HELLO_S):
                await self._send(link, self._outgoing(hello))
                self.welcome = await welcomed
        except TimeoutError:
            await link.close()
            raise ServerUnreachable(self.backend.url, "it takes no part in the conversation") from None
        except BaseException:
            await link.close()
            raise
        self._link = link
        if link.note is not None and link.note != self._noted:
            self._noted = link.note
            self._notice(link.note)
        await self._send_again(link)

    async def _send_again(self, link: Link) -> None:
        for pending in list(self._pending.values()):
            try:
                self._check_size(pending.command)  # this server, or its proxy, may take less than the one before
                await self._send(link, pending.command)
            except PhasenbError as error:
                if not pending.future.done():
                    pending.future.set_exception(error)

    def _receive(self, frame: str | bytes | ServerMessage, welcomed: asyncio.Future[Welcome]) -> None:
        message = self._parsed(frame) if isinstance(frame, str | bytes) else frame
        if message is None:
            return
        if not welcomed.done():
            if isinstance(message, Welcome):
                welcomed.set_result(message)
            elif isinstance(message, ErrorMessage):
                welcomed.set_exception(from_wire(message.code, message.message, message.details))
            return
        taken = self._take(message)
        if isinstance(message, ErrorMessage):
            self._refused(message)
        elif isinstance(message, Reply) and not (isinstance(message, Feed) and message.next):
            pending = self._pending.get(message.reply_to)
            if pending is not None and not pending.future.done():
                pending.future.set_result((message, taken))

    def _parsed(self, frame: str | bytes) -> ServerMessage | None:
        """The message; None for one that this release can't read: it harms whoever waits for it, and nobody else."""
        try:
            return parse_server_message(frame)
        except BadMessage as error:
            log.warning("a message of %s is left out: %s", self.backend.url, error)
            pending = self._pending.get(_reply_to(frame))
            if pending is not None and not pending.future.done():
                pending.future.set_exception(error)
            return None

    def _refused(self, message: ErrorMessage) -> None:
        error = from_wire(message.code, message.message, message.details)
        pending = self._pending.get(message.reply_to or "")
        if pending is None:
            self._notice(f"the server says: {error}")
        elif not pending.future.done():
            pending.future.set_exception(error)

    # --- when it breaks --------------------------------------------------------------------------------------------

    def _lost(self, final: PhasenbError | None) -> None:
        self._link = None
        if final is not None:
            self._end(final)
        elif self.problem is None:
            self._mending = asyncio.get_running_loop().create_task(self._mend(), name="phasenb reconnect")

    async def _mend(self) -> None:
        loop = asyncio.get_running_loop()
        since, told = loop.time(), False
        for delay_s in delays_s():
            await asyncio.sleep(delay_s)
            if not told and loop.time() - since > WORTH_A_WORD_S:
                told = True
                self._notice(f"connection to {self.backend.url} lost, trying to get it back: {_MEANWHILE}")
            try:
                await self._connect()
            except _FINAL as error:
                self._end(error)
                return
            except PhasenbError:
                continue  # it is down, or still starting
            break
        if told:
            self._notice(f"connection to {self.backend.url} is back")
        self._back()

    def _end(self, problem: PhasenbError) -> None:
        if self.problem is not None:
            return
        self.problem = problem
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(problem)
        self._ended(problem)


def _as_json(part: Any) -> Any:
    """What orjson does not know: a model within a command; only what was said, so that an older host takes it."""
    if isinstance(part, Frozen):
        return part.model_dump(mode="json", exclude_unset=True)
    if isinstance(part, SecretStr):
        return part.get_secret_value()
    raise TypeError(f"a {type(part).__name__} is no JSON")


def _reply_to(frame: str | bytes) -> str:
    try:
        return str(orjson.loads(frame)["reply_to"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
