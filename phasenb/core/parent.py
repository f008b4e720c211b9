"""ParentTask: the task whose phase this code runs in, and the way from there to its host, for what is launched inside.
Lineage: what a process that a phase started knows of that task.

Rules:

* It holds for the attempt: in a worker, which runs one at a time, in the whole process; inline in the attempt's thread
  and in what has its context.
* All goes over the line that the attempt has to its host anyway. There is no address or token that a child process, a
  log or a later task could use.
* A process that the phase starts, forked or not, belongs to the task too, and has no line: what it launches is refused,
  never sent elsewhere as if it were nobody's. It knows by VARIABLE, which has names only, and is there for the attempt.
* A server that such a process names may be used. What the host's environment names is no such server, nor is its token
  a phase's to have: a worker has neither while a phase runs.
* Messages are data; a payload is a frame of the clients' protocol, or an answer, as bytes.

Inside to host: ``open``, ``frame`` and ``close`` of a client's link, ``call``, ``wait`` and ``go_on``. Host to inside:
``frame`` and ``lost`` of a link, ``answer`` and ``refused`` of a call.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from phasenb.errors import ConfigError, ServerUnreachable, from_wire

log = logging.getLogger(__name__)

Message = dict[str, Any]
Send = Callable[[Message, bytes], Awaitable[None] | None]
"""An awaitable ends when there is room for more: who sends much waits for it."""
KINDS = ("open", "frame", "close", "call", "wait", "go_on")
VARIABLE = "PHASENB_PARENT_TASK"
CLIENTS_VARIABLES = ("PHASENB_URL", "PHASENB_TOKEN")
_OVER = "the phase of this client has ended"


@dataclass(frozen=True)
class Lineage:
    """Whose a launch is. ``session`` and ``notebook``: of what is launched; ``url``: what people call the task's host;
    ``secrets``: the variables of this process that are the task's secrets, and go along with no launch.
    """

    task_id: str
    session: str
    notebook: str | None
    url: str
    secrets: frozenset[str] = frozenset()

    def unreachable(self) -> ServerUnreachable:
        """Why nothing can be launched from a process that a phase started."""
        return ServerUnreachable(
            self.url,
            f"this process was started by a phase of task {self.task_id} and has no way to the task's host",
            "launch in the phase itself, or name a server here, by pn.connect(url), --url or PHASENB_URL",
        )

    def as_variable(self) -> str:
        return json.dumps({**asdict(self), "secrets": sorted(self.secrets)})

    @classmethod
    def of_variable(cls, told: str) -> Lineage:
        """Raises ConfigError."""
        try:
            lineage = cls(**json.loads(told))
            return replace(lineage, secrets=frozenset(lineage.secrets))
        except (ValueError, TypeError) as error:
            problem = f"only phasenb sets it, in what phases start ({error}): unset it"
            raise ConfigError(VARIABLE, "", problem) from None


class ParentTask:
    """``send`` says something to the host, ``deliver`` takes what it says; any thread may call either.

    ``objects_url`` is the folder of the owner's objects; for the others see Lineage.
    """

    def __init__(
        self,
        *,
        task_id: str,
        session: str,
        notebook: str | None,
        url: str,
        objects_url: str,
        send: Send,
        secrets: Collection[str] = (),
    ) -> None:
        self.lineage = Lineage(task_id, session, notebook, url, frozenset(secrets))
        self.objects_url = objects_url
        self._send = send
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._links: dict[int, tuple[Callable[[bytes], None], Callable[[str], None]]] = {}
        self._calls: dict[int, Future[bytes]] = {}
        self._at_end: list[Callable[[], None]] = []
        self.over = False

    def open(self, receive: Callable[[bytes], None], lost: Callable[[str], None]) -> int:
        """A link for a client; its number. ``receive(frame)`` and ``lost(reason)`` are called on any thread.

        Raises ServerUnreachable.
        """
        number = next(self._numbers)
        with self._lock:
            self.check_reachable()
            self._links[number] = receive, lost
        self._send({"kind": "open", "link": number}, b"")
        return number

    def frame(self, link: int, data: bytes) -> None:
        """Raises ConnectionError once the link is gone."""
        if self.over or link not in self._links:
            raise ConnectionError(_OVER)
        self._send({"kind": "frame", "link": link}, data)

    def close(self, link: int) -> None:
        """Idempotent. ``lost`` is not called for it."""
        with self._lock:
            known = self._links.pop(link, None)
        if known is not None and not self.over:
            self._send({"kind": "close", "link": link}, b"")

    def call(self, name: str, **arguments: Any) -> Future[bytes]:
        """Ask the host; the answer's bytes. Raises ServerUnreachable."""
        number = next(self._numbers)
        answer: Future[bytes] = Future()
        answer.set_running_or_notify_cancel()  # who asked may go: the answer comes all the same
        with self._lock:
            self.check_reachable()
            self._calls[number] = answer
        self._send({"kind": "call", "link": number, "name": name, "arguments": arguments}, b"")
        return answer

    def waits(self, task_id: str, *, begins: bool) -> None:
        """Tell the host that this phase waits for a task, or does no more: meanwhile it lends that task its place."""
        if not self.over and os.getpid() == self._pid:
            self._send({"kind": "wait" if begins else "go_on", "task_id": task_id}, b"")

    def at_end(self, callback: Callable[[], None]) -> None:
        """Have ``callback()`` called when the phase has ended, in its thread; the last one first."""
        self._at_end.append(callback)

    def deliver(self, message: Message, payload: bytes) -> None:
        """Take what the host says."""
        number, kind = message["link"], message["kind"]
        if kind == "frame":
            link = self._links.get(number)
            if link is not None:
                link[0](payload)
            return
        with self._lock:
            lost, answer = self._links.pop(number, None), self._calls.pop(number, None)
        if kind == "lost" and lost is not None:
            lost[1](message["reason"])
        elif kind == "answer" and answer is not None:
            answer.set_result(payload)
        elif kind == "refused" and answer is not None:
            answer.set_exception(from_wire(message["code"], message["message"], message["details"]))

    def end(self) -> None:
        """The phase's code is left: clean up what was made for it. Idempotent."""
        while self._at_end:
            callback = self._at_end.pop()
            try:
                callback()
            except Exception:  # the phase has its outcome: what is cleaned up after it can't take that away
                log.exception("after a phase of task %s something could not be closed", self.lineage.task_id)
        self.cut()

    def cut(self) -> None:
        """Nothing can be asked or launched any more, also where the phase's code still runs. Any thread; idempotent."""
        with self._lock:
            self.over = True
            links, self._links = self._links, {}
            calls, self._calls = self._calls, {}
        for _, lost in links.values():
            lost(_OVER)
        for answer in calls.values():
            answer.set_exception(self.gone())

    def use_session(self, name: str) -> None:
        """Have what is launched here, and in processes that are started from now on, belong to this session."""
        self.lineage = replace(self.lineage, session=name)
        if self is _of_process:
            os.environ[VARIABLE] = self.lineage.as_variable()

    def gone(self) -> ServerUnreachable:
        return ServerUnreachable(self.lineage.url, _OVER, "launch and wait while the phase runs")

    def check_reachable(self) -> None:
        """Raises ServerUnreachable where the host can't be reached from this process, or not any more."""
        if self.over:
            raise self.gone()
        if os.getpid() != self._pid:
            raise self.lineage.unreachable()


_of_context: ContextVar[ParentTask | None] = ContextVar("phasenb_parent", default=None)
_of_process: ParentTask | None = None
_of_fork: Lineage | None = None
_of_variable = lru_cache(maxsize=1)(Lineage.of_variable)


def _forked() -> None:
    """What a phase forks has no line either: it is like all that the phase starts."""
    global _of_process, _of_fork
    if _of_process is not None:
        _of_fork, _of_process = _of_process.lineage, None


os.register_at_fork(after_in_child=_forked)


def current_parent() -> ParentTask | None:
    """The task whose phase this is; None outside of phases."""
    return _of_context.get() or _of_process


def current_lineage() -> Lineage | None:
    """Whose what is launched here is, in a phase and in what it started; None elsewhere. Raises ConfigError."""
    parent = current_parent()
    return started_by() if parent is None else parent.lineage


def started_by() -> Lineage | None:
    """The task whose phase started this process; None in the phase itself, and elsewhere. Raises ConfigError."""
    if current_parent() is not None:
        return None
    told = os.environ.get(VARIABLE)
    return _of_fork or (None if told is None else _of_variable(told))


def process_parent() -> ParentTask | None:
    """The task whose phase this whole process runs: it is a worker."""
    return _of_process


@contextmanager
def process_runs(parent: ParentTask | None) -> Iterator[None]:
    """Within: this process runs a phase of ``parent``, and is no client that its host's environment sends elsewhere."""
    global _of_process
    if parent is None:
        yield
        return
    _of_process = parent
    hosts = {name: os.environ.pop(name) for name in CLIENTS_VARIABLES if name in os.environ}
    os.environ[VARIABLE] = parent.lineage.as_variable()
    try:
        yield
    finally:
        _of_process = None
        for name in (VARIABLE, *CLIENTS_VARIABLES):
            os.environ.pop(name, None)
        os.environ.update(hosts)


@contextmanager
def context_runs(parent: ParentTask | None) -> Iterator[None]:
    """Within: this context runs a phase of ``parent``."""
    token = _of_context.set(parent)
    try:
        yield
    finally:
        _of_context.reset(token)


@contextmanager
def waiting_for(task_id: str) -> Iterator[None]:
    """Within: this code waits for a task. A phase that does lends it its place, so that nesting can't deadlock.

    Raises RuntimeError in a phase of that task.
    """
    parent = current_parent()
    if parent is None:
        yield
        return
    if parent.lineage.task_id == task_id:
        raise RuntimeError(
            f"this phase would wait for its own task {task_id}, which can't end before the phase does: a launch with "
            "the key of this task is this task"
        )
    parent.waits(task_id, begins=True)
    try:
        yield
    finally:
        parent.waits(task_id, begins=False)
