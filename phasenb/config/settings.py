"""The settings of a host: server_config.json as frozen values.

``null`` means "chosen by phasenb": the store beside Jupyter's data, as many workers as processors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr

from phasenb.config.places import make_private_folder
from phasenb.dto.base import Frozen
from phasenb.dto.policies import Number, RecoveryPolicy, Seconds, Whole
from phasenb.errors import StoreUnavailable


class _Section(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _not_yet(truth: str) -> BeforeValidator:
    """Of a field that is to come: a value that would have no effect is refused, and what holds instead is said."""

    def check(value: Any) -> None:
        if value is not None:
            raise ValueError(f"this release does not have it yet ({truth}): leave it out")

    return BeforeValidator(check)


class StoreSettings(_Section):
    """``url``: an SQLAlchemy URL or a path; ``artifacts``: any fsspec URL, by default ``artifacts/EPOCH`` beside the
    store. ``retention_days`` is refused for now: nothing is removed.
    """

    url: str | None = None
    artifacts: str | None = None
    retention_days: Annotated[float | None, _not_yet("tasks are kept until the store is deleted")] = None


class ExecutorSettings(_Section):
    kind: Literal["inline", "process"] = "process"
    workers: Whole | None = Field(default=None, ge=1)
    address: Annotated[str | None, _not_yet("phases run on this machine only")] = None
    kill_grace_s: Seconds = 5.0


class WebSocketSettings(_Section):
    """``commands_per_second``: of one connection, with one second's worth saved up. A client waits for it with its
    launches, and says so.
    """

    updates_per_second: Number = Field(default=10, gt=0)
    commands_per_second: Number = Field(default=50, gt=0)
    max_message_bytes: Whole = Field(default=4_194_304, ge=1024)
    max_frame_bytes: Whole = Field(default=16_777_216, ge=1024)
    replay_max_events: Whole = Field(default=10_000, ge=1)
    queue_events: Whole = Field(default=1000, ge=10)
    compression: bool = False


class LimitSettings(_Section):
    running_tasks: Whole | None = Field(default=None, ge=1)
    queued_tasks: Whole = Field(default=1000, ge=1)
    output_inline_bytes: Whole = Field(default=262_144, ge=0)
    log_bytes: Whole = Field(default=4_194_304, ge=1024)


class Settings(_Section):
    """All of server_config.json. ``policy`` is error_recovery.yaml, which is read beside it."""

    store: StoreSettings = StoreSettings()
    executor: ExecutorSettings = ExecutorSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    limits: LimitSettings = LimitSettings()
    lease_s: Seconds = Field(default=10, gt=0)
    allow_code: bool = True
    agents: dict[str, str] = Field(default_factory=dict)
    recovery: str | None = None
    _policy: RecoveryPolicy = PrivateAttr(default_factory=RecoveryPolicy)

    @property
    def policy(self) -> RecoveryPolicy:
        """What error_recovery.yaml says; ``recovery`` names another path for it."""
        return self._policy

    def with_policy(self, policy: RecoveryPolicy) -> Settings:
        copy = self.model_copy()
        copy._policy = policy
        return copy

    @property
    def store_url(self) -> str:
        """Where the store is: as configured, or ``jupyter_data_dir()/phasenb/phasenb.db``."""
        return self.store.url or str(default_data_dir() / "phasenb.db")

    @property
    def workers(self) -> int:
        """Worker processes at most; at least two, so that one long task does not stop the others."""
        return self.executor.workers or max(2, os.cpu_count() or 1)


def make_data_dir(settings: Settings) -> None:
    """Make the default store's folder, its user's alone, where the configuration names no store.

    Raises StoreUnavailable.
    """
    if settings.store.url is None:
        try:
            make_private_folder(default_data_dir())
        except OSError as error:
            problem = f"its folder can't be made ({error.strerror}): set store.url (PHASENB_STORE_URL) to another place"
            raise StoreUnavailable(settings.store_url, problem) from error


def secrets_folder() -> Path:
    """Where hosts keep what launchers give them in secret: beside no store, so that no copy of one has it."""
    from jupyter_core.paths import jupyter_runtime_dir  # imported late: only a host needs it

    return Path(jupyter_runtime_dir()) / "phasenb-secrets"


def default_data_dir() -> Path:
    """``jupyter_data_dir()/phasenb``: user-wide, so that server and embedded hosts share one store."""
    from phasenb.config.places import data_dir

    return data_dir() / "phasenb"
