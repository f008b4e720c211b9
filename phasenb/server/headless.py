"""HeadlessApp: a Jupyter server on this machine's loopback with phasenb in it and nothing else, for ``phasenb serve``.

Rules: no kernels, files, terminals or pages are served, and no other extension is loaded; of the user's Jupyter
configuration only ``c.PhaseNB`` counts, so neither their port nor their password applies; the token is new with each
start, and stands in the runtime file only (client.served), which is there while the server listens.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from typing import Any

from jupyter_core.paths import secure_write
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import AsyncContentsManager
from traitlets.config import Config

from phasenb.client.served import Served, runtime_file
from phasenb.config.jupyter_files import phasenb_sections
from phasenb.config.machine import process_started
from phasenb.errors import PhasenbError
from phasenb.server.app import PhaseNB

_HERE = "127.0.0.1"


class NoContents(AsyncContentsManager):
    """A Jupyter server must have a contents manager; this one has no files, and no handler that would send them."""

    def get_extra_handlers(self) -> list[Any]:
        return []

    def info_string(self) -> str:
        return "Serving phasenb only"


class HeadlessApp(ServerApp):
    """``store``: which store's host this is. ``ready(served)`` is called once it answers; ``problem`` is set where the
    host could not be started, and the server has ended by itself.
    """

    default_services = ("api", "auth", "events")  # type: ignore[assignment]  # theirs is typed by its length

    @classmethod
    def made(cls, store: str) -> HeadlessApp:
        """Initialized, and to be started. Raises ConfigError."""
        config = Config()
        config.ServerApp.update(
            ip=_HERE,
            port=_free_port(),
            open_browser=False,
            allow_root=True,
            allow_unauthenticated_access=False,
            answer_yes=True,  # Ctrl-C asks nothing
            jpserver_extensions={"phasenb": True},
            contents_manager_class=NoContents,
        )
        config.IdentityProvider.token = secrets.token_urlsafe(32)
        app: HeadlessApp = cls(config=config, info_file=str(runtime_file(store)), no_browser_open_file=True)
        app.store = store
        app.problem = None
        app.initialize(argv=[], find_extensions=False)
        return app

    store: str
    problem: PhasenbError | None
    ready: Any

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]  # as JupyterApp has it
        for _, section in phasenb_sections():
            self.update_config(Config(PhaseNB=section))

    def server_info(self) -> dict[str, Any]:
        return vars(self.served)

    @property
    def served(self) -> Served:
        pid = os.getpid()
        return Served(
            url=f"http://{_HERE}:{self.port}/",
            token=self.identity_provider.token,
            pid=pid,
            pid_started=process_started(pid) or "",
            store=self.store,
            version=self.extension.version,
        )

    @property
    def extension(self) -> PhaseNB:
        app: PhaseNB = self.extension_manager.extension_points["phasenb"].app
        return app

    def write_server_info_file(self) -> None:
        with secure_write(self.info_file) as file:
            json.dump(self.server_info(), file)

    async def _post_start(self) -> None:
        await super()._post_start()  # type: ignore[no-untyped-call]
        self.problem = self.extension.problem
        if self.problem is not None:
            self.stop()
        else:
            self.ready(self.served)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        return int(probe.getsockname()[1])
