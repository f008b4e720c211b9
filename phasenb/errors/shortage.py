"""A user who may start no more processes or threads: told as that, and not as a defect of ours."""

from __future__ import annotations

from phasenb.errors.tasks import WorkerLost

NO_MORE = "its user may start no more processes or threads now (`ulimit -u`), or the machine has too many"
NO_THREADS = "can't start new thread"  # CPython's words for EAGAIN of pthread_create(3), a RuntimeError


def named_shortage(error: Exception) -> Exception:
    """WorkerLost where this process could not start a thread of its own; any other error as it is."""
    if isinstance(error, RuntimeError) and NO_THREADS in str(error):
        return WorkerLost("of this host", f"could not be started, as the host can't start a thread: {NO_MORE}")
    return error
