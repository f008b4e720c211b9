"""Secrets that a launcher gives: what a host checks of them, and where they are while their task needs them.

Rules: values are in no launch, event or row. They are kept by ports.Secrets from before a task is stored until it ends,
and whoever retries or resumes it may give them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from phasenb.core.ports import Secrets
from phasenb.dto.launch import LAUNCHER, SHORTEST_SECRET, Launch, LaunchOptions
from phasenb.errors import LaunchError


def given_names(options: LaunchOptions) -> tuple[str, ...]:
    """The secrets whose values come from the launcher."""
    return tuple(sorted(name for name, source in options.secrets.items() if source.partition(":")[0] == LAUNCHER))


def check_given(names: Collection[str], values: Mapping[str, str], *, all_of_them: bool) -> None:
    """Raises LaunchError for a value that nobody asked for or that could not be hidden; with ``all_of_them`` also for
    one that is missing.
    """
    for name, value in values.items():
        if name not in names:
            raise LaunchError(
                f"`secret_values` has a value for {name}, which `secrets` does not take from the launcher"
            )
        if len(value) < SHORTEST_SECRET or "\0" in value:
            raise LaunchError(too_short(name), argument="secrets")
    missing = [name for name in names if name not in values]
    if all_of_them and missing:
        told = f"the option `secrets` takes {missing[0]} from the launcher, and `secret_values` has no value for it"
        raise LaunchError(told, argument="secrets")


def too_short(name: str) -> str:
    return (
        f"the option `secrets` names {name}, whose value is no text of at least {SHORTEST_SECRET} characters: it could "
        f'not be hidden in what phases tell; where it is no secret, name it by env=["{name}"]'
    )


def located(launch: Launch, task_id: str, secrets: Secrets) -> Launch:
    """The launch as this host carries it: with the places of the secrets that the launcher gave. Not to be stored."""
    names = given_names(launch.options)
    if not names:
        return launch
    places = {name: f"{LAUNCHER}:{secrets.place(task_id, name)}" for name in names}
    return launch.changed(options=launch.options.changed(secrets={**launch.options.secrets, **places}))


class NoSecrets:
    """ports.Secrets of a host that keeps none."""

    async def keep(self, task_id: str, values: Mapping[str, str]) -> None:
        """Raises LaunchError."""
        raise LaunchError("this host keeps no secrets of launchers", argument="secrets")

    def place(self, task_id: str, name: str) -> str:
        return ""

    def forget(self, task_id: str) -> None:
        """Nothing is kept."""
