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
from phasenb.client.sessions import check_session, chosen_session, current_session
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.parent import current_parent
from phasenb.dto.task_state import State

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
    """The client that a launch's options ask for. Raises TypeError for a client that is none."""
    client = options.get("client")
    if client is None:
        return default_client(options.get("session"))
    if not isinstance(client, Client):
        raise TypeError(f"client={client!r:.80}: a Client is needed, from pn.connect(...)")
    return client


def launch_agent(agent: ExtendedAgent, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> TaskHandle:
    """What ``agent.launch(**inputs)`` reaches (core.launchers.set_launcher)."""
    return client_of(options).launch_with(agent, inputs, options)


def last_of(agent: ExtendedAgent, options: Mapping[str, Any]) -> TaskHandle | None:
    """What ``agent.last()`` reaches (core.launchers.set_finder): the newest task of its name in the session."""
    client = client_of(options)
    name = options.get("name") or agent.name
    found = next((task for task in client.states() if task.name == name), None)
    return client.task(found.task_id) if found is not None else None


# --- pn.* --------------------------------------------------------------------------------------------------------


def connect(url: str | None = None, token: str | None = None, session: str | None = None) -> Client:
    """A client of its own, connected. ``url`` None: the server of this kernel, else this process."""
    return Client(url, token, session)


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
    """A handle on a task, by id or a unique suffix. Raises UnknownTask."""
    return default_client().task(task_id)


def results(last: bool = False, flatten: bool = False, scope: str = "session") -> pd.DataFrame:
    """A row per attempt that ended, of this session's tasks; see Client.results."""
    return default_client().results(last, flatten, scope)


def memory() -> MemoryView:
    """This session's view of the store itself; see Client.memory."""
    return default_client().memory()


def resume_launches() -> None:
    """Let this session launch again although a threshold says wait; see Client.resume_launches."""
    default_client().resume_launches()
