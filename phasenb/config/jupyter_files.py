"""The settings of a host that starts here, Jupyter's own configuration files included: ``c.PhaseNB`` in
jupyter_config and jupyter_server_config.

Rules: a Jupyter server, ``phasenb serve``, an embedded host and a command that looks at the store find the same store;
a trait of a later file takes the place of an earlier one's whole, as traitlets has it. These files are programs, and
may need what is installed in their server's environment only: one that fails here counts only where it speaks of
PhaseNB.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, LazyConfigValue, PyFileConfigLoader

from phasenb.config.layers import Layer, Setting
from phasenb.config.loading import explain
from phasenb.config.places import config_path
from phasenb.config.settings import Settings
from phasenb.errors import ConfigError

log = logging.getLogger(__name__)

_NAMES = ("jupyter_config", "jupyter_server_config", "jupyter_phasenb_config")
_SECTION = "PhaseNB"


def settings_here() -> Settings:
    """The settings of a host that starts in this process's surroundings. Raises ConfigError."""
    return explain_here()[0]


def explain_here() -> tuple[Settings, list[Setting]]:
    """``settings_here``, and every value with where it came from. Raises ConfigError."""
    layers: list[Layer] = []
    taken: set[str] = set()
    for path, section in reversed(phasenb_sections()):
        found = _settings_of(section)
        layers.insert(0, Layer(f"c.PhaseNB in {path}", {name: found[name] for name in found.keys() - taken}))
        taken |= found.keys()
    return explain(layers)


def _settings_of(section: dict[str, Any]) -> dict[str, Any]:
    """Without what is not set, and the traits that are no settings of a host: ``owner`` and ``max_object_bytes``."""
    plain = {
        name: value.get_value({}) if isinstance(value, LazyConfigValue) else value for name, value in section.items()
    }
    return {name: value for name, value in plain.items() if name in Settings.model_fields and value not in (None, {})}


def phasenb_sections() -> list[tuple[Path, dict[str, Any]]]:
    """(file, its ``c.PhaseNB``), the weakest first, as Jupyter reads them. Raises ConfigError for one that fails."""
    found = []
    for name in _NAMES:
        for folder in reversed(config_path()):
            for loader in (
                PyFileConfigLoader(f"{name}.py", path=folder),
                JSONFileConfigLoader(f"{name}.json", path=folder),
            ):
                section = _section(loader)
                if section:
                    found.append((Path(loader.full_filename), section))
    return found


def _section(loader: PyFileConfigLoader | JSONFileConfigLoader) -> dict[str, Any]:
    try:
        return dict(loader.load_config().get(_SECTION, {}))
    except ConfigFileNotFound:
        return {}
    except Exception as error:  # it is a program: what it raises is anyone's guess
        file = Path(loader.full_filename)
        problem = ConfigError(str(file), "", f"{type(error).__name__}: {error}")
        if _SECTION not in file.read_text(encoding="utf-8", errors="replace"):
            log.debug("it is left out: %s", problem)
            return {}
        raise problem from None
