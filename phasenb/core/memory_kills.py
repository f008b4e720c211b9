"""Whether a process that was killed was killed because memory ran out. Pure: a function of figures.

Rules:

* A kill by SIGKILL says nothing by itself: an administrator sends it too. The kernel counts its own kills for want of
  memory in the cgroup of the process (``oom_kill``: cgroup-v2.rst "memory.events", cgroup-v1/memory.rst).
* A cgroup may hold many processes. One that held next to nothing was not what the kernel ended to make room.
* Where nobody counts, the process's own peak is what is left to judge by.
"""

from __future__ import annotations

from dataclasses import dataclass

_FULL = 0.9  # of the limit: the rest is the kernel's, and what was read from files
_NEXT_TO_NOTHING = 1 / 32  # of the limit: less than one of many equal workers
_GB, _MB = 1e9, 1e6


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """``kills``: by how many the counter of the process's cgroup grew while it ran. ``peak_bytes``: the most that the
    process held, or one of the processes that it has waited for, whichever was larger (wait4(2), ``ru_maxrss``): never
    their sum. ``limit_bytes``: what it could have had. None: not known.
    """

    kills: int | None = None
    peak_bytes: int | None = None
    limit_bytes: int | None = None

    @property
    def share(self) -> float | None:
        """How much of its limit the process held."""
        if self.peak_bytes is None or not self.limit_bytes:
            return None
        return self.peak_bytes / self.limit_bytes


def out_of_memory(figures: MemoryFigures) -> bool:
    """Whether the figures of a process that SIGKILL ended prove that memory ran out."""
    share = figures.share
    if figures.kills is None:
        return share is not None and share >= _FULL
    return figures.kills > 0 and (share is None or share >= _NEXT_TO_NOTHING)


def held(figures: MemoryFigures) -> str:
    """What it held, for people; empty where that is not known."""
    if figures.peak_bytes is None:
        return ""
    of = f" of {_size(figures.limit_bytes)}" if figures.limit_bytes else ""
    return f"it held {_size(figures.peak_bytes)}{of} at most"


def _size(count: int) -> str:
    return f"{count / _GB:.1f} GB" if count >= _GB else f"{count / _MB:.0f} MB"
