"""PhaseNB: the extension that runs a Host in the Jupyter server.

Rules: whatever is wrong with the configuration or the store, the Jupyter server starts and goes on; what is wrong is
said once in the log, by ``health`` and on the socket, and no file is deleted. User code never runs in this process.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from copy import copy
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from prometheus_client import REGISTRY
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Dict, Float, Int, TraitError, Unicode

from phasenb.config import Settings, load_settings
from phasenb.core.ports import Observer
from phasenb.errors import ConfigError, PhasenbError, StoreUnavailable
from phasenb.host import Host
from phasenb.server.contents import Contents, root_of
from phasenb.server.handlers import HANDLERS
from phasenb.server.identities import only_owner
from phasenb.server.own_socket import OwnSocket
from phasenb.server.state_events import StateEvents
from phasenb.telemetry.metrics import Metrics
from phasenb.telemetry.task_log import TaskLog
from phasenb.web.api import TaskApi
from phasenb.web.identity import operating_system_user
from phasenb.web.polling import PolledConnections

_WHERE = "c.PhaseNB (jupyter_server_config or the command line)"
_ACTIVITY_MS = 30_000  # idle cullers look every minute or so
START_AGAIN_S = 10.0  # after a start that the store did not allow
_OVERRIDES = ("store", "executor", "websocket", "limits", "lease_s", "allow_code", "agents", "recovery")


class PhaseNB(ExtensionApp):
    """Traits override server_config.json; those that are not set leave it as it is."""

    name = "phasenb"

    store = Dict(help="store: url, artifacts").tag(config=True)
    executor = Dict(help="executor: kind, workers, kill_grace_s").tag(config=True)
    websocket = Dict(help="websocket: rates, sizes and bounds of the socket").tag(config=True)
    limits = Dict(help="limits: running_tasks, queued_tasks, output_inline_bytes, log_bytes").tag(config=True)
    lease_s = Float(None, allow_none=True, help="seconds after which a silent host's tasks may be adopted").tag(
        config=True
    )
    allow_code = Bool(None, allow_none=True, help="whether clients may send code, not only name agents").tag(
        config=True
    )
    agents = Dict(help='registered agents: {name: "module:attribute"}').tag(config=True)
    recovery = Unicode(None, allow_none=True, help="path of error_recovery.yaml").tag(config=True)
    owner = Unicode(
        None,
        allow_none=True,
        help="the owner of every task here; by default the operating system's user, or the user name "
        "under an identity provider that is not jupyter_server's own",
    ).tag(config=True)
    max_object_bytes = Int(16 * 1024**3, help="the largest object that may be uploaded, in bytes").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.host: Host | None = None
        self.api: TaskApi | None = None
        self.polled = PolledConnections()
        self.problem: PhasenbError | None = None
        self.version = version("phasenb")
        self._settings: Settings | None = None
        self._started: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._listeners: list[Observer] = []
        self._activity: PeriodicCallback | None = None
        self._metrics: Metrics | None = None
        self._own_socket: OwnSocket | None = None
        self._contents: Contents | None = None

    # --- jupyter_server's hooks ------------------------------------------------------------------------------------

    def _link_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        try:
            super()._link_jupyter_server_extension(serverapp)
        except TraitError as error:
            # jupyter_server would load the extension all the same, with half of its configuration.
            self._fail(ConfigError(_WHERE, "", str(error)))
            self._linked = True

    def initialize_settings(self) -> None:
        self._join_log(self.log)
        self._tell_folder()
        if self.problem is not None:
            return
        try:
            self._settings = self._load_settings()
        except ConfigError as error:
            self._fail(error)

    def initialize_handlers(self) -> None:
        self.handlers.extend(HANDLERS)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        await self.ready()

    async def stop_extension(self) -> None:
        if self._own_socket is not None:
            self._own_socket.stop()
        if self._again is not None:
            self._again.cancel()
        if self._activity is not None:
            self._activity.stop()
        if self._started is not None:
            await asyncio.wait([self._started])
        self._join_log(logging.getLogger())
        if self._contents is not None:
            self._contents.close()
        host, self.host, self.api = self.host, None, None
        if self._metrics is not None:
            REGISTRY.unregister(self._metrics)
            self._metrics = None
        self.polled.close()
        if host is not None:
            host.hub.close()
            await host.stop()

    def current_activity(self) -> dict[str, int] | None:
        """Truthy while tasks are carried: an idle server with a running task is not idle."""
        running = self.host.manager.running if self.host is not None else 0
        return {"tasks": running} if running else None

    # --- the host --------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Return when the host runs, or could not be started (``problem``). Starts it at the first call."""
        if self._started is None:
            self._open_own_socket()
            self._started = asyncio.create_task(self._start(), name="phasenb start")
        # A client that goes away meanwhile must not cancel the start for everybody.
        await asyncio.shield(self._started)

    def running(self) -> tuple[Host, TaskApi]:
        """Raises what was wrong at the start; StoreUnavailable while stopping."""
        if self.problem is not None:
            raise copy(self.problem)  # each raising adds its frames to an error, which would keep what they hold
        if self.host is None or self.api is None:
            raise StoreUnavailable("(not opened)", "the server is starting or stopping")
        return self.host, self.api

    async def _start(self) -> None:
        if self._settings is None:
            return
        self._again = None
        self._listeners = self._listeners or self._observers()
        url = self.serverapp.connection_url if self.serverapp is not None else ""
        host = Host(self._settings, embedded=False, url=url, observers=self._listeners)
        try:
            await host.start()
        except StoreUnavailable as error:
            # A full disk is emptied, a lock let go of: the tasks in there must not wait for Jupyter's next start.
            self._fail(error)
            self._again = asyncio.get_running_loop().call_later(START_AGAIN_S, self._start_again)
            return
        except PhasenbError as error:
            self._fail(error)
            return
        except Exception as error:
            self.log.exception("phasenb: the host could not be started")
            self._fail(StoreUnavailable(self._settings.store_url, f"{type(error).__name__}: {error}"))
            return
        self.problem = None
        self.host, self.api = host, TaskApi(host.manager, version=self.version, place=host.place)
        if self.serverapp is not None:
            self._contents = Contents(self.serverapp, host.manager.notebooks)
        self._activity = PeriodicCallback(self._tell_activity, _ACTIVITY_MS)
        self._activity.start()
        self.log.info("phasenb %s: store %s", self.version, self._settings.store_url)

    def _open_own_socket(self) -> None:
        if self.serverapp is not None:
            handlers = [(path, kind, {"name": self.name}) for path, kind in HANDLERS]
            self._own_socket = OwnSocket(self.serverapp, handlers, self.owner or operating_system_user())
            self._own_socket.start()

    def _start_again(self) -> None:
        self._started = asyncio.create_task(self._start(), name="phasenb start")

    def _observers(self) -> list[Observer]:
        """Who hears of the tasks: Jupyter's /metrics and /api/events, and OpenTelemetry where it is installed."""
        metrics = self._metrics = Metrics(self._numbers)
        REGISTRY.register(metrics)  # jupyter_server shows what is in this registry
        observers: list[Observer] = [metrics, TaskLog()]
        server = self.serverapp
        if server is not None and server.event_logger is not None:
            owner = only_owner(server.identity_provider, self.owner)
            observers += [StateEvents(server.event_logger, owner)] if owner is not None else []
        if find_spec("opentelemetry") is not None:
            from phasenb.telemetry.spans import Spans

            observers.append(Spans())
        return observers

    def _numbers(self) -> dict[str, float]:
        host = self.host
        if host is None:
            return {}
        manager = host.manager
        carried = {"tasks": manager.running, "queue_length": manager.queued, "waiting_tasks": manager.waiting}
        return {**carried, **host.hub.numbers()}

    def _join_log(self, above: logging.Logger) -> None:
        """Have the package's records go where ``above``'s go: Jupyter gives its own applications handlers only."""
        package = logging.getLogger("phasenb")
        package.parent = above
        package.setLevel(package.level)  # which levels are on is asked of the one above, and remembered until this

    def _fail(self, problem: PhasenbError) -> None:
        told, self.problem = self.problem, copy(problem)
        if str(told) == str(problem):
            return  # the same as at the try before
        self.log.error("phasenb is not available: %s. The rest of the Jupyter server goes on.", problem)

    def _tell_activity(self) -> None:
        if self.current_activity() and self.serverapp is not None:
            self.serverapp.web_app.settings["last_activity_times"][self.name] = datetime.now(UTC)

    def _tell_folder(self) -> None:
        """Let the page know where the server's notebooks are: tasks name those that launched them in full, and
        JupyterLab's own ``serverRoot`` is shortened with a ``~``.
        """
        if self.serverapp is None:
            return
        root = root_of(self.serverapp)
        if root is not None:
            page_config = self.serverapp.web_app.settings.setdefault("page_config_data", {})
            page_config["phasenbRoot"] = str(root)

    def pages_have(self, labextension: str) -> bool:
        """Whether the pages of this server have a labextension: JupyterLab's, where it is there, else Notebook's."""
        manager = self.serverapp.extension_manager if self.serverapp is not None else None
        apps: list[Any] = [app for apps in manager.extension_apps.values() for app in apps] if manager else []
        names = ("labextensions_path", "extra_labextensions_path")
        asked = [app for app in apps if app.name == "lab"] or apps
        folders = [folder for app in asked for name in names for folder in getattr(app, name, ())]
        return any(Path(folder, labextension, "package.json").is_file() for folder in folders)

    # --- configuration ---------------------------------------------------------------------------------------------

    def _load_settings(self) -> Settings:
        """Raises ConfigError."""
        self._refuse_unknown_traits()
        given = {name: getattr(self, name) for name in _OVERRIDES}
        settings = load_settings({name: value for name, value in given.items() if value not in (None, {})})
        if settings.executor.kind == "inline":
            raise ConfigError(
                "the configuration",
                "executor.kind",
                "a Jupyter server does not run phases in its own process: use process",
            )
        return settings

    def _refuse_unknown_traits(self) -> None:
        # traitlets only warns; a misspelt `allow_code` must not leave the default in force.
        known = self.trait_names(config=True)
        for given in self.config.get("PhaseNB", {}):
            if given not in known:
                near = difflib.get_close_matches(given, known, 1)
                hint = f": did you mean {near[0]}?" if near else ""
                raise ConfigError(_WHERE, given, f"there is no such setting{hint}")
