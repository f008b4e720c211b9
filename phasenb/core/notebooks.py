"""Which session a notebook has, and where it is now.

Rules:

* A notebook's session has the name that its path gave it when it was first seen, and keeps it: a row of the store maps
  the path to the session, and a rename or a folder's move that this host hears of moves the row.
* A path without a row is a new notebook: one that was made where another one used to be, or a copy. Where the session
  of that name belongs to a notebook that was moved away, the new one's name gets another end.
* A deleted notebook's session keeps its tasks, and its path is free.
* Moves are recorded in the order in which they were seen. One that the store can't take waits for the next question,
  and keeps those notebooks out that it may concern, no others.
* A path that is no UTF-8 is the text that ``printable`` makes of it, here as where it comes from.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING
from weakref import WeakSet

from phasenb.dto.texts import printable
from phasenb.errors import StoreUnavailable

if TYPE_CHECKING:
    from phasenb.core.live_task import LiveTask
    from phasenb.core.ports import Store

log = logging.getLogger(__name__)

_SLUG_LENGTH = 60
_KERNELS = 1000  # remembered: more than a server has
_Kernel = tuple[str, str | None, str]  # owner, id, and the path that its server tells


@lru_cache(maxsize=16)  # asked at each launch
def session_of(path: str, kind: str = "nb", end: str = "") -> str:
    """The name of the session of the file at this absolute path; ``end`` instead of the path's own digest."""
    path = printable(path)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(path).stem).strip("-")[:_SLUG_LENGTH] or "unnamed"
    return f"{kind}:{slug}-{end or hashlib.sha256(path.encode()).hexdigest()[:8]}"


def moved(path: str, old: str, new: str | None) -> str | None:
    """Where ``path`` is after ``old``, a file or a folder, has become ``new``; None where that was a deletion."""
    if path != old and not path.startswith(f"{old}/"):
        return path
    return None if new is None else new + path[len(old) :]


class OpenNotebook:
    """A connection's notebook: its session, and its path as it is now (None: it was deleted)."""

    def __init__(self, session: str, path: str | None) -> None:
        self.session = session
        self.path = path


class Notebooks:
    """The notebooks of one host. ``path_of_kernel(kernel id)`` is the absolute path of the notebook that a kernel of
    this host's server has now, None where that is not known.
    """

    def __init__(self, store: Store, live: Mapping[str, LiveTask]) -> None:
        self._store = store
        self._live = live
        self._open: WeakSet[OpenNotebook] = WeakSet()
        self._of_kernels: dict[_Kernel, OpenNotebook] = {}
        self._seen: deque[tuple[str, str | None]] = deque()
        self._order = asyncio.Lock()
        self.path_of_kernel: Callable[[str], Awaitable[str | None]] = _of_no_kernel

    async def open(self, owner: str, path: str, kernel: str | None) -> OpenNotebook:
        """The notebook of a kernel; of the one at ``path`` where no more is known. Raises StoreUnavailable for one that
        is new, or that a move concerns which is not recorded.
        """
        told = await self.path_of_kernel(kernel) if kernel else None
        async with self._order:
            try:
                await self._record()
            except StoreUnavailable:
                if any(_concerns(told or path, old, new) for old, new in self._seen):
                    raise
            # The server may not have heard from a page that its kernel's notebook was moved: until it does, it is ours.
            notebook = self._of_kernels.get((owner, kernel, told)) if told else None
            if notebook is None or notebook.path is None:
                at = told or path
                notebook = OpenNotebook(await self._store.notebook_session(owner, at), at)
                self._open.add(notebook)
                if told:
                    self._keep((owner, kernel, told), notebook)
        return notebook

    def _keep(self, kernel: _Kernel, notebook: OpenNotebook) -> None:
        self._of_kernels[kernel] = notebook
        if len(self._of_kernels) > _KERNELS:
            del self._of_kernels[next(iter(self._of_kernels))]

    async def changed(self, old: str, new: str | None) -> None:
        """A file or folder was moved; deleted or replaced by another where ``new`` is None. Raises StoreUnavailable:
        it is recorded later then.
        """
        self._seen.append((old, new))
        async with self._order:
            await self._record()

    async def _record(self) -> None:
        while self._seen:
            old, new = self._seen[0]
            try:
                await self._store.move_notebooks(old, new)
            except StoreUnavailable:
                raise
            except Exception:  # of our own making: it would keep out all who come after it
                log.exception("that %r is %r now can't be recorded", old, new)  # their repr: a name may be no text
            self._seen.popleft()
            for notebook in self._open:
                if notebook.path is not None:
                    notebook.path = moved(notebook.path, old, new)
            await asyncio.gather(*(_follow(live, old, new) for live in tuple(self._live.values())))


def _concerns(path: str, old: str, new: str | None) -> bool:
    """Whether which notebook is at ``path`` depends on a move."""
    return any(place is not None and moved(path, place, None) is None for place in (old, new))


async def _follow(live: LiveTask, old: str, new: str | None) -> None:
    path = live.task.notebook
    if path is not None and moved(path, old, new) != path:
        async with live.lock:
            live.task = live.task.changed(notebook=moved(path, old, new))


async def _of_no_kernel(kernel: str) -> str | None:
    return None
