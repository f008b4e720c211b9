"""``get_ipython`` in a phase: ``!command`` and ``%magic`` of a cell are calls of it.

Inline, the notebook's shell is there, and they work as in the cell. In a worker there is none: the name that IPython
puts into a notebook is then as good as missing, as in a script, and an imported ``get_ipython`` gives something false,
as IPython's own gives None. Both say what to do instead.
"""

from __future__ import annotations

import sys
from types import FunctionType, MethodType
from typing import Any

NO_MAGICS = (
    "`!command`, `%magic` and get_ipython() belong to the notebook and do not run in a worker: "
    "use subprocess.run(...) for a command, and the library itself for a magic"
)


class NoShell:
    """Stands where IPython's own ``get_ipython()`` gives None."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(NO_MAGICS)


def get_ipython() -> Any:
    """In the place of the name that a notebook has from IPython. Raises NameError where there is no notebook."""
    shell = _shell()
    if shell is None:
        raise NameError(NO_MAGICS)
    return shell


def imported_get_ipython() -> Any:
    """In the place of ``from IPython import get_ipython``."""
    shell = _shell()
    return NoShell() if shell is None else shell


def stand_in(value: Any) -> Any:
    """What travels in the place of ``value`` where that is a ``get_ipython``, else None."""
    if type(value) is MethodType and value.__func__.__name__ == "get_ipython":
        module = sys.modules.get("IPython.core.interactiveshell")
        if module is not None and isinstance(value.__self__, module.InteractiveShell):
            return get_ipython
    elif type(value) is FunctionType and value.__module__ == "IPython.core.getipython":
        return imported_get_ipython
    return None


def is_stream(kind: type) -> bool:
    """Whether an instance may be the notebook's ``sys.stdout`` or ``sys.stderr``, of now or saved before."""
    return kind in (type(sys.stdout), type(sys.stderr)) or kind is _notebook_stream()


def stream_name(value: Any) -> str | None:
    for name in ("stdout", "stderr"):
        if value is getattr(sys, name) or (type(value) is _notebook_stream() and value.name == name):
            return name
    return None


def _notebook_stream() -> Any:
    return getattr(sys.modules.get("ipykernel.iostream"), "OutStream", None)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
