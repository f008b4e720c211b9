"""What this Jupyter server knows of its notebooks: which one a kernel has, and which were moved, copied or deleted.

Rule: only what goes through Jupyter's contents manager is heard of. A file that something else moves is another file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_events import EventLogger
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import ContentsManager

from phasenb.core.notebooks import Notebooks
from phasenb.dto.texts import printable
from phasenb.errors import StoreUnavailable

_SCHEMA = ContentsManager.event_schema_id
_DRIVE = "RTC:"  # jupyter-collaboration's, before the path of what is edited together


def root_of(serverapp: ServerApp) -> Path | None:
    """The folder whose files the server shows; None where they are no files."""
    root = getattr(serverapp.contents_manager, "root_dir", "")
    return Path(root).absolute() if root else None


class Contents:
    """Tells the host's notebooks what the server hears, until ``close``."""

    def __init__(self, serverapp: ServerApp, notebooks: Notebooks) -> None:
        self._serverapp = serverapp
        self._notebooks = notebooks
        self._root = root_of(serverapp)
        self._events = serverapp.event_logger
        if self._root is not None and self._events is not None:
            notebooks.path_of_kernel = self._path_of_kernel
            self._events.add_listener(schema_id=_SCHEMA, listener=self._heard)

    def close(self) -> None:
        if self._root is not None and self._events is not None:
            self._events.remove_listener(schema_id=_SCHEMA, listener=self._heard)

    async def _path_of_kernel(self, kernel: str) -> str | None:
        """A console may be open on the same kernel: the notebook counts."""
        found = None
        for session in await ensure_async(self._serverapp.session_manager.list_sessions()):
            if session["kernel"]["id"] == kernel and (found is None or session["type"] == "notebook"):
                found = session
        return self._absolute(found["path"]) if found is not None else None

    async def _heard(self, logger: EventLogger, schema_id: str, data: dict[str, Any]) -> None:
        path = self._absolute(data["path"])
        try:
            if data["action"] == "rename":
                await self._notebooks.changed(self._absolute(data["source_path"]), path)
            elif data["action"] in ("delete", "copy"):  # a copy is a new file, whatever was known at its path
                await self._notebooks.changed(path, None)
        except StoreUnavailable as error:
            self._serverapp.log.warning("phasenb: %s of %s is not recorded yet: %s", data["action"], path, error)

    def _absolute(self, path: str) -> str:
        assert self._root is not None
        return printable(str(self._root / path.removeprefix(_DRIVE).strip("/")))
