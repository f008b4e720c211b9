"""Where settings come from: packaged defaults, files on the Jupyter config path, ``PHASENB_*`` variables, overrides.

Later wins (design.md section 10). Variables are named by section and field: ``PHASENB_STORE_URL``,
``PHASENB_EXECUTOR_WORKERS``, ``PHASENB_LEASE_S``; their values are JSON, or plain text. A variable that is none is
refused where it looks like one: its first word is a section's, or a setting has nearly its name. Others that begin with
``PHASENB_`` are somebody else's, as those are that Kubernetes sets for a service called phasenb.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from phasenb.config import places
from phasenb.config.layers import Layer, Setting, located, read_layer, settings_of, validated
from phasenb.config.settings import Settings
from phasenb.core.policy_check import OTHER, dead_rule, limit_of_nothing, matching_nothing, unknown_fallback
from phasenb.dto.policies import RecoveryPolicy, spelled_out
from phasenb.errors import ConfigError

log = logging.getLogger(__name__)
PREFIX = "PHASENB_"
DEFAULT = "default"
_NO_SETTINGS = ("URL", "TOKEN", "SESSION")  # a client's own: where it launches, and as which session
# kubernetes.io/docs/concepts/services-networking/service, "Environment variables"; a service may be `phasenb-store`.
_OF_KUBERNETES = re.compile(
    r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_NEARLY = 0.75  # of difflib's ratio: PHASENB_LEASES is PHASENB_LEASE_S, and PHASENB_PORT is nothing of ours
_HERE = Path(__file__).parent
_FIELDS = Settings.model_fields
_SECTIONS = {
    name: info.annotation
    for name, info in _FIELDS.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    config_path: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a host. ``overrides`` (traitlets) win over all; ``config_path`` is by default Jupyter's.

    Raises ConfigError with file, line and field for an unknown key, a wrong type or an impossible value.
    """
    folders = _config_folders(config_path)
    given = [Layer("the command line or jupyter_server_config", overrides)] if overrides else []
    settings = validated(Settings, _settings_layers(given, folders, environ))
    policy_layers = _policy_layers(settings.recovery, folders)
    return settings.with_policy(_policy(policy_layers, settings.agents))


def load_policy(path: str | None = None, folders: Sequence[Path] = ()) -> RecoveryPolicy:
    """error_recovery.yaml: the packaged one, with ``path`` or those in ``folders`` over it. Raises ConfigError, also
    where a rule could never do what it says. Names of agents are not looked at.
    """
    return _policy(_policy_layers(path, folders), None)


def explain(
    overrides: Sequence[Layer] = (),
    config_path: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings, list[Setting]]:
    """The settings of a host, and every value of both files with where it came from; those of error_recovery.yaml
    under ``error_recovery``. ``overrides``: layers that win over all, weakest first. Raises ConfigError.
    """
    folders = _config_folders(config_path)
    layers = _settings_layers(overrides, folders, environ)
    settings = validated(Settings, layers)
    policy_layers = _policy_layers(settings.recovery, folders)
    policy = _policy(policy_layers, settings.agents)
    found = settings_of(layers)
    found += [replace(each, field=f"error_recovery.{each.field}") for each in settings_of(policy_layers)]
    packaged = {layers[0].source, policy_layers[0].source}
    told = [replace(each, source=DEFAULT, line=None) if each.source in packaged else each for each in found]
    return settings.with_policy(policy), told


def _settings_layers(
    overrides: Sequence[Layer], folders: Sequence[Path], environ: Mapping[str, str] | None
) -> list[Layer]:
    packaged = read_layer(_HERE / "server_config.json")
    variables = environment_layers(os.environ if environ is None else environ)
    return [packaged, *_found(folders, "server_config.json"), *variables, *overrides]


def _policy_layers(path: str | None, folders: Sequence[Path]) -> list[Layer]:
    over = [read_layer(places.expanded(path))] if path else _found(folders, "error_recovery.yaml")
    layers = [read_layer(_HERE / "error_recovery.yaml"), *over]
    return [replace(layer, data=spelled_out(layer.data)) for layer in layers]


def _policy(layers: list[Layer], agents: Collection[str] | None) -> RecoveryPolicy:
    """``agents``: the registered names. Raises ConfigError where a rule can never do what it says; warns of names that
    nothing has: of exceptions, and of agents, which another host of the same files may know by its command line.
    """
    policy = validated(RecoveryPolicy, layers)
    # Whether a workflow has a fallback of its own is seen at its launch.
    wrong = dead_rule(policy, policy, (*policy.phases, OTHER), lambda phase: True) or limit_of_nothing(policy)
    if wrong is not None:
        raise located(wrong.path, wrong.told, layers)
    unknown = unknown_fallback(policy, agents) if agents is not None else None
    for problem in (*matching_nothing(policy), *([unknown] if unknown else [])):
        log.warning("%s", located(problem.path, problem.told, layers))
    return policy


def environment_layers(environ: Mapping[str, str]) -> list[Layer]:
    """A layer for each ``PHASENB_*`` variable that is a setting. Raises ConfigError for one that looks like one."""
    layers = []
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or name in _NO_SETTINGS:
            continue
        found = _setting_of(name.lower())
        if found is None:
            _refuse_near(variable, name.lower())
            continue
        section, field = found
        layers.append(Layer(variable, {section: {field: _value(text)} if field else _value(text)}))
    return layers


def _setting_of(name: str) -> tuple[str, str | None] | None:
    """(section, field) of a variable's name, (field, None) of a plain one; None for what is no setting."""
    for section, model in _SECTIONS.items():
        field = name.removeprefix(f"{section}_")
        if field != name and field in model.model_fields:
            return section, field
    return (name, None) if name in _FIELDS and name not in _SECTIONS else None


def _refuse_near(variable: str, name: str) -> None:
    """Raises ConfigError where the variable was meant for a setting."""
    if _OF_KUBERNETES.fullmatch(name.upper()):
        return
    known = {field: field for field in (*_FIELDS, *map(str.lower, _NO_SETTINGS)) if field not in _SECTIONS}
    inside = [(field, f"{section}_{field}") for section, model in _SECTIONS.items() for field in model.model_fields]
    known |= {whole: whole for _, whole in inside}
    meant = known | {field: whole for field, whole in inside if field not in known}  # its section was left out
    near = difflib.get_close_matches(name, meant, 1, _NEARLY)
    if not near and name.split("_")[0] not in _SECTIONS:
        return
    hint = f": did you mean {PREFIX}{meant[near[0]].upper()}?" if near else f" (known: {', '.join(sorted(known))})"
    raise ConfigError(variable, "", f"there is no such setting{hint}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _config_folders(config_path: Sequence[str] | None) -> list[Path]:
    if config_path is None:
        config_path = places.config_path()
    # Jupyter lists the strongest folder first; ours are laid in order, so the strongest comes last.
    return [Path(folder) / "phasenb" for folder in reversed(config_path)]


def _found(folders: Sequence[Path], name: str) -> list[Layer]:
    return [read_layer(folder / name) for folder in folders if (folder / name).is_file()]
