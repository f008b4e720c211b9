"""Which imported modules are a person's own: they may be edited, and a warm worker must not remember them.

Own is what lies neither in the standard library nor in a folder of installed packages (so packages installed
"editable" are own too), nor in phasenb.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_INSTALLED = ("/site-packages/", "/dist-packages/")


class LocalModules:
    """Looks at modules once each: at its start, and then at those that came since."""

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        self._elsewhere = tuple(
            f"{path}/" for path in (paths["stdlib"], paths["platstdlib"], str(Path(__file__).parent.parent))
        )
        self._known = set(sys.modules)
        self._found = False

    def imported(self) -> bool:
        """Whether a module of a person's own was imported since the start."""
        for name in sys.modules.keys() - self._known:
            self._known.add(name)
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and not file.startswith(self._elsewhere) and not _installed(file):
                self._found = True
        return self._found


def site_directories() -> list[str]:
    """The folders of installed packages: their time changes when a package is installed, upgraded or removed."""
    paths = sysconfig.get_paths()
    return sorted({paths["purelib"], paths["platlib"]})


def _installed(file: str) -> bool:
    return any(folder in file for folder in _INSTALLED)
