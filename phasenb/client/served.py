"""``phasenb serve`` as others find it: one file in Jupyter's runtime folder for each store that has such a host.

Rules: the file is its user's alone to read (0600), since the token is in it; it counts while the process that wrote it
lives, by pid and start time, so that what a killed one left behind deceives nobody. A client that was connected finds
the next one, which has another port and token, by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from phasenb.client.backend import Link, Lost, Receive
from phasenb.client.http_backend import HttpBackend
from phasenb.config.machine import process_started
from phasenb.config.places import runtime_dir
from phasenb.errors import ServerUnreachable

PREFIX = "phasenb-serve-"


@dataclass(frozen=True)
class Served:
    """What a host says of itself in its file. ``store``: its whole path; ``pid_started`` as config.machine has it."""

    url: str
    token: str
    pid: int
    pid_started: str
    store: str
    version: str

    @property
    def lives(self) -> bool:
        return process_started(self.pid) == self.pid_started


def runtime_file(store: str) -> Path:
    """The file of the host of a store."""
    return _folder() / f"{PREFIX}{hashlib.sha256(store.encode()).hexdigest()[:12]}.json"


def read_served(store: str) -> Served | None:
    """The host of a store that lives, if there is one."""
    try:
        told = Served(**json.loads(runtime_file(store).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # none, or it is being written: its host is not ready yet
    return told if told.lives else None


def configured_store() -> str:
    """The store that this process's configuration names, as errors and files call it. Raises ConfigError."""
    from phasenb.config.jupyter_files import settings_here
    from phasenb.store.location import locate

    return locate(settings_here().store_url).shown


def served_backend() -> ServedBackend | None:
    """The host of the configured store that ``phasenb serve`` runs, if there is one. Raises ConfigError."""
    if next(_folder().glob(f"{PREFIX}*.json"), None) is None:
        return None  # nearly always: no configuration need be read to know it
    told = read_served(configured_store())
    return None if told is None else ServedBackend(told)


class ServedBackend(HttpBackend):
    """Follows the host of a store from one of its processes to the next."""

    def __init__(self, told: Served) -> None:
        super().__init__(told.url, told.token)
        self._store = told.store

    async def connect(self, receive: Receive, lost: Lost) -> Link:
        told = await asyncio.to_thread(read_served, self._store)
        if told is None:
            raise ServerUnreachable(self._url, "`phasenb serve` was stopped")
        self._base, self._token = told.url, told.token
        self._url = self._base
        return await super().connect(receive, lost)


def _folder() -> Path:
    return runtime_dir()
