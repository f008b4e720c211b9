"""Killing a worker with all that it started.

A worker leads its own process group. Children stay in it unless they begin a session of their own; those are found as
descendants, as long as their ancestors live. The worker is stopped before it is searched, so that it can't go on
forking. psutil is imported here only: most workers end without it.
"""

from __future__ import annotations

import contextlib
import os
import signal


def kill_tree(pid: int) -> None:
    """Kill the process group that ``pid`` leads, and every descendant. Nothing is left to kill: fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGSTOP)
    try:
        kill_descendants(pid)
    finally:
        _kill_group(pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_descendants(pid: int) -> None:
    """Kill children, their children and so on, but not ``pid`` itself."""
    import psutil

    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for child in children:
        # psutil compares start times, so a number that was given to another process meanwhile is safe.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            child.kill()
