"""What ``pn.*`` and ``flow.launch`` do where no client is named: one client for each place and session, made when used.

Rules: what is found once is kept, so a launch costs no search; a changed PHASENB_URL or session is another client; one
that was closed or refused is looked for again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from phasenb.client.client import Client
from phasenb.client.handle import TaskHandle
from phasenb.client.launching import UNCHANGED
from phasenb.client.selection import Named
from phasenb.client.sessions import check_session, chosen_session, current_session
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.parent import current_parent
from phasenb.dto.task_state import State
from phasenb.errors import LaunchError

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.store.view import MemoryView

_VARIABLES = ("PHASENB_URL", "PHASENB_TOKEN", "JPY_PARENT_PID")
_clients: dict[tuple[Any, ...], Client] = {}
_lock = threading.Lock()


def default_client(session: str | None = None) -> Client:
    """Raises ServerUnreachable, AccessDenied, StoreUnavailable, ValueError for a session that can't be one."""
    chosen = check_session(session) if session is not None else chosen_session()
    # A notebook's own session may have another name than its path gives, which another notebook's may have.
    name = (True, chosen) if chosen is not None else (False, current_session())
    parent = current_parent()
    key = (os.getpid(), *name, parent, *(os.environ.get(variable) for variable in _VARIABLES))
    with _lock:
        client = _clients.get(key)
        if client is None or client.problem is not None:
            client = _clients[key] = Client(session=chosen)
            if parent is not None:
                parent.at_end(partial(_close, key))
        return client


def _close(key: tuple[Any, ...]) -> None:
    """Of a phase that has ended."""
    with _lock:
        client = _clients.pop(key, None)
    if client is not None:
        client.close()


def _forget() -> None:
    """A forked child begins anew: the lock may have been held, and the clients' thread is not there."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)


def client_of(options: Mapping[str, Any]) -> Client:
    """The client that a launch's options ask for. Raises LaunchError for a client that is none."""
    client = options.get("client")
    if client is None:
        return default_client(options.get("session"))
    if not isinstance(client, Client):
        raise LaunchError(f"client={client!r:.80}: a Client is needed, from pn.connect(...)", argument="client")
    return client


def launch_agent(agent: ExtendedAgent, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> TaskHandle:
    """What ``agent.launch(**inputs)`` reaches (core.launchers.set_launcher)."""
    return client_of(options).launch_with(agent, inputs, options)


def last_of(agent: ExtendedAgent, options: Mapping[str, Any]) -> TaskHandle | None:
    """What ``agent.last()`` reaches (core.launchers.set_finder): its newest task in the session, with the run's
    name where the options give one.
    """
    client = client_of(options)
    run = options.get("name")
    return client.newest(lambda task: task.agent == agent.name and run in (None, task.name))


# --- pn.* --------------------------------------------------------------------------------------------------------


def connect(
    url: str | None = None, token: str | None = None, session: str | None = None, *, allow_pickle: bool = True
) -> Client:
    """A client of its own, connected. ``url`` None: the server of this kernel, else this process.

    ``allow_pickle`` False, for a server that others write to: loading a pickled value, which could run code of whoever
    wrote it, raises PickleRefused. Raises ServerUnreachable, AccessDenied, StoreUnavailable.
    """
    return Client(url, token, session, allow_pickle=allow_pickle)


def launch(agent: Any, /, **inputs: Any) -> TaskHandle:
    """Launch any agent (ExtendedAgent says which), or a registered one by name; every keyword is an input."""
    if isinstance(agent, str):
        return default_client().launch_with(agent, inputs, {})
    extended = ExtendedAgent.of(agent)
    return launch_agent(extended, inputs, extended.options)


def tasks(
    state: State | str | None = None,
    since: datetime | timedelta | str | None = None,
    label: Mapping[str, str] | str | None = None,
    scope: str = "session",
) -> pd.DataFrame:
    """This session's tasks, newest first; see Client.tasks."""
    return default_client().tasks(state, since, label, scope)


def task(task_id: str) -> TaskHandle:
    """A handle on a task, by its id, its name or the end of its id. Raises UnknownTask, AmbiguousTask."""
    return default_client().task(task_id)


def last() -> TaskHandle | None:
    """This session's newest task; None where there is none."""
    return default_client().last()


def cancel(task: Named) -> None:
    """Ask for a task's end; see Client.cancel, also for what ``task`` may be here and below."""
    default_client().cancel(task)


def pause(task: Named) -> None:
    """Start nothing new of a task; see TaskHandle.pause."""
    default_client().pause(task)


def resume(task: Named) -> None:
    """Go on with a paused task; see TaskHandle.resume."""
    default_client().resume(task)


def approve(task: Named, edit: Any = UNCHANGED, note: str | None = None) -> None:
    """Open the gate that a task waits at; see TaskHandle.approve."""
    default_client().approve(task, edit, note)


def deny(task: Named, reason: str, redo: str | None = None) -> None:
    """Keep the gate shut that a task waits at; see TaskHandle.deny."""
    default_client().deny(task, reason, redo)


def give_up(task: Named) -> None:
    """Wait for no retry of a task any more; see TaskHandle.give_up."""
    default_client().give_up(task)


def retry(task: Named, from_phase: str | None = None, agent: Any = None) -> None:
    """Run a failed or cancelled task again; see TaskHandle.retry."""
    default_client().retry(task, from_phase, agent)


def logs(task: Named) -> pd.DataFrame:
    """A row per stored line of a task's output."""
    return default_client().logs(task)


def events(task: Named) -> pd.DataFrame:
    """A row per event of a task's log, by seq."""
    return default_client().events(task)


def source(task: Named, phase: str, attempt: int | None = None) -> str:
    """The text of a phase's function, as an attempt ran it; see TaskHandle.source."""
    return default_client().source(task, phase, attempt)


def results(last: bool = False, flatten: bool = False, scope: str = "session") -> pd.DataFrame:
    """A row per attempt that ended, of this session's tasks; see Client.results."""
    return default_client().results(last, flatten, scope)


def memory() -> MemoryView:
    """This session's view of the store itself; see Client.memory."""
    return default_client().memory()


def resume_launches() -> None:
    """Let this session launch again although a threshold says wait; see Client.resume_launches."""
    default_client().resume_launches()
