"""What the system knows of a worker's memory: the kernel's kills in its cgroup, and its limit. Linux; else nothing.

Rules: version 2 of cgroups and version 1, at the places where systemd and container runtimes mount them. A container
may be told its path as the machine sees it, while its mount begins at that very group: then the mount's root is it.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from phasenb.core.memory_kills import MemoryFigures

CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # version 1 says "none" by the largest number of pages


class WorkerMemory:
    """Of one worker process. Made while it lives, as what a dead one belonged to can't be asked."""

    def __init__(self, pid: int) -> None:
        self._root, self._group, self._counter, self._limit = _found(pid)
        self._before = self._kills()

    def begin(self) -> None:
        """An attempt begins: kills before it were not of its doing."""
        self._before = self._kills()

    def figures(self, peak_bytes: int) -> MemoryFigures:
        """At the process's end. ``peak_bytes``: 0 where it is not known."""
        after = self._kills()
        grew = None if after is None or self._before is None else after - self._before
        return MemoryFigures(grew, peak_bytes or None, self._limit_bytes())

    def _kills(self) -> int | None:
        return None if self._counter is None else _number_after(self._counter, "oom_kill")

    def _limit_bytes(self) -> int:
        limits: list[int] = [psutil.virtual_memory().total]
        folder = self._group
        while folder is not None and folder.is_relative_to(self._root):
            text = _text(folder / self._limit).strip()
            if text.isdigit() and int(text) < _UNLIMITED:
                limits.append(int(text))
            folder = folder.parent
        return min(limits)


def _found(pid: int) -> tuple[Path, Path | None, Path | None, str]:
    """The mount's root, the folder of the process's group, the file with its counter, and the name of its limit."""
    for line in _text(Path(f"/proc/{pid}/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, counter, limit = CGROUPS / "memory", "memory.oom_control", "memory.limit_in_bytes"
        elif not controllers:
            root, counter, limit = CGROUPS, "memory.events", "memory.max"
        else:
            continue
        for folder in (root / path.lstrip("/"), root):
            if _number_after(folder / counter, "oom_kill") is not None:
                return root, folder, folder / counter, limit
    return CGROUPS, None, None, ""


def _number_after(file: Path, name: str) -> int | None:
    for line in _text(file).splitlines():
        word, _, number = line.partition(" ")
        if word == name and number.isdigit():
            return int(number)
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
