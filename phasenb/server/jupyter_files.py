"""What Jupyter's own configuration files say of phasenb: ``c.PhaseNB`` in jupyter_config and jupyter_server_config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_path
from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader

from phasenb.errors import ConfigError

_NAMES = ("jupyter_config", "jupyter_server_config", "jupyter_phasenb_config")


def phasenb_sections() -> list[tuple[Path, dict[str, Any]]]:
    """(file, its ``c.PhaseNB``), the weakest first, as Jupyter reads them. Raises ConfigError for a file that fails."""
    found = []
    for name in _NAMES:
        for folder in reversed(jupyter_config_path()):
            for loader in (
                PyFileConfigLoader(f"{name}.py", path=folder),
                JSONFileConfigLoader(f"{name}.json", path=folder),
            ):
                try:
                    section = loader.load_config().get("PhaseNB", {})
                except ConfigFileNotFound:
                    continue
                except Exception as error:  # it is a program: what it raises is anyone's guess
                    raise ConfigError(
                        str(Path(folder) / loader.filename), "", f"{type(error).__name__}: {error}"
                    ) from None
                if section:
                    found.append((Path(loader.full_filename), dict(section)))
    return found
