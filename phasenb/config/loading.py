"""Where settings come from: packaged defaults, files on the Jupyter config path, ``PHASENB_*`` variables, overrides.

Later wins (design.md section 10). Variables are named by section and field: ``PHASENB_STORE_URL``,
``PHASENB_EXECUTOR_WORKERS``, ``PHASENB_LEASE_S``; their values are JSON, or plain text.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from phasenb.config.layers import Layer, read_layer, validated
from phasenb.config.settings import Settings
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import ConfigError

PREFIX = "PHASENB_"
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
    layers = [read_layer(_HERE / "server_config.json"), *_found(folders, "server_config.json")]
    layers.append(environment_layer(os.environ if environ is None else environ))
    layers.append(Layer("the command line or jupyter_server_config", overrides or {}))
    settings = validated(Settings, layers)
    return settings.with_policy(load_policy(settings.recovery, folders))


def load_policy(path: str | None = None, folders: Sequence[Path] = ()) -> RecoveryPolicy:
    """error_recovery.yaml: the packaged one, with ``path`` or those in ``folders`` over it. Raises ConfigError."""
    layers = [read_layer(_HERE / "error_recovery.yaml")]
    layers += [read_layer(Path(path).expanduser())] if path else _found(folders, "error_recovery.yaml")
    return validated(RecoveryPolicy, layers)


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The ``PHASENB_*`` variables that are settings. Raises ConfigError for a misspelt field of a section."""
    data: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        path = _setting_of(variable)
        if path is not None:
            section, field = path
            target = data.setdefault(section, {}) if field else data
            target[field or section] = _value(text)
    return Layer("the environment (PHASENB_*)", data)


def _setting_of(variable: str) -> tuple[str, str | None] | None:
    """(section, field) of a variable, (field, None) of a plain one, None for variables that are no settings."""
    name = variable.removeprefix(PREFIX).lower()
    for section, model in _SECTIONS.items():
        if name.startswith(f"{section}_"):
            field = name.removeprefix(f"{section}_")
            if field not in model.model_fields:
                near = difflib.get_close_matches(field, model.model_fields, 1)
                hint = f": did you mean {PREFIX}{section.upper()}_{near[0].upper()}?" if near else ""
                raise ConfigError(variable, f"{section}.{field}", f"there is no such setting{hint}")
            return section, field
    return (name, None) if name in _FIELDS and name not in _SECTIONS else None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _config_folders(config_path: Sequence[str] | None) -> list[Path]:
    if config_path is None:
        from jupyter_core.paths import jupyter_config_path  # imported late: tests and `run` never need it

        config_path = jupyter_config_path()
    # Jupyter lists the strongest folder first; ours are laid in order, so the strongest comes last.
    return [Path(folder) / "phasenb" for folder in reversed(config_path)]


def _found(folders: Sequence[Path], name: str) -> list[Layer]:
    return [read_layer(folder / name) for folder in folders if (folder / name).is_file()]
