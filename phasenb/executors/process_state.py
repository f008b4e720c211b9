"""What a process keeps from one attempt to the next, and how each of it is put back.

Rules:

* A probe takes how its thing is before the first task, and puts it back after each attempt. It is cheap where nothing
  changed. It imports nothing: a module that is not loaded holds nothing.
* What a probe can't put back (limits that only root may raise, another user, a filter of system calls) it tells, and
  the worker is retired after its task. So it is with what a probe raises: nobody knows then how the process is.
* Modules whose insides a phase exchanged (monkeypatches) are not looked at, but for ``builtins`` and the clocks.
* Handlers of ``atexit`` are not looked at: Python tells nobody which there are. They run when the worker ends.
"""

from __future__ import annotations

import builtins
import faulthandler
import gc
import locale
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from phasenb.core import real_clock
from phasenb.core.variables import stays_set
from phasenb.executors.logging_state import LOGGING
from phasenb.executors.probes import (
    Entries,
    MayStay,
    Probe,
    additions,
    attributes,
    each_time,
    never,
    only_adds,
    pair,
    unchanged,
)
from phasenb.executors.worker_io import die_with_guardian

# --- signals and timers ----------------------------------------------------------------------------------------------


def _stop_timers() -> None:
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)  # the first is alarm()'s as well
    faulthandler.cancel_dump_traceback_later()


_SIGNALS = tuple(map(int, signal.valid_signals()))  # to ask for them, as enums, takes 0.1 ms
_KNOWN = [number for number in _SIGNALS if number < 32]
_REAL_TIME = [number for number in _SIGNALS if number >= 32]  # where there are
_FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}
_OTHERS = tuple(number for number in _SIGNALS if number not in _FAULTS)


def _tell_of_crashes() -> None:
    for number in _OTHERS:
        faulthandler.unregister(number)
    faulthandler.enable(file=2)  # where the host finds it


def _handlers(numbers: Sequence[int]) -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in numbers}


def _put_handlers(taken: Mapping[int, Any]) -> None:
    signal.set_wakeup_fd(-1)
    for number, handler in taken.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)
            if number == signal.SIGHUP:  # Python does not know of this one
                die_with_guardian()


# --- what the system keeps for a process -----------------------------------------------------------------------------


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})


def _limits() -> dict[int, tuple[int, int]]:
    return {limit: resource.getrlimit(limit) for limit in _LIMITS}


def _put_limits(taken: Mapping[int, tuple[int, int]]) -> None:
    for limit, values in taken.items():
        if resource.getrlimit(limit) != values:
            resource.setrlimit(limit, values)


def _identity() -> tuple[Any, ...]:
    """Whose process it is, in which group, and under which root."""
    root = os.stat("/")  # noqa: PTH116 - after each attempt
    ids = os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()
    return *ids, os.getpgrp(), os.getsid(0), root.st_dev, root.st_ino


def _filters() -> list[bytes]:
    """Of system calls (seccomp), and whether privileges can be gained: proc(5). Seen on Linux only."""
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123
            return [line for line in file if line.startswith((b"Seccomp:", b"NoNewPrivs:"))]
    except OSError:
        return []


def _affinity() -> Any:
    return os.sched_getaffinity(0) if sys.platform == "linux" else None


def _put_affinity(taken: Any) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, taken)


# --- directory, path, variables --------------------------------------------------------------------------------------


def _put_variables(taken: Mapping[bytes, bytes]) -> None:
    """As bytes: what changed is seen in half the time."""
    now = dict(os.environb)
    for name in now.keys() - taken.keys():
        del os.environb[name]
    for name, value in taken.items():
        if now.get(name) != value:
            os.environb[name] = value
    time.tzset()  # also for a TZ that was set and taken away


def _for_every_task(taken: Mapping[bytes, bytes], wanted: Mapping[bytes, bytes], before: Mapping[bytes, bytes]) -> bool:
    values = [os.fsdecode(value) for value in before.values()]
    added = {os.fsdecode(name): os.fsdecode(value) for name, value in wanted.items() if name not in taken}
    return only_adds(taken, wanted) and all(stays_set(name, value, values) for name, value in added.items())


def _put_directory(taken: str) -> None:
    os.chdir(taken)


def _lists(*names: str, may_stay: MayStay) -> Probe:
    """Of lists of ``sys``."""

    def take() -> dict[str, Entries]:
        return {name: Entries(getattr(sys, name)) for name in names}

    def put_back(taken: Mapping[str, Entries]) -> None:
        for name, wanted in taken.items():
            current = getattr(sys, name)
            if not isinstance(current, list):
                setattr(sys, name, list(wanted))
            elif Entries(current) != wanted:
                current[:] = wanted

    return Probe(", ".join(names), take, put_back, may_stay=may_stay)


# --- Python ----------------------------------------------------------------------------------------------------------


def _put_builtins(taken: Mapping[str, Any]) -> None:
    names = vars(builtins)
    names.update(taken)  # first, as what follows is done with them
    for name in names.keys() - taken.keys():
        del names[name]


def _collector() -> dict[str, Any]:
    return {
        "enabled": gc.isenabled(),
        "threshold": gc.get_threshold(),
        "debug": gc.get_debug(),
        "callbacks": Entries(gc.callbacks),
    }


def _put_collector(taken: Mapping[str, Any]) -> None:
    (gc.enable if taken["enabled"] else gc.disable)()
    gc.set_threshold(*taken["threshold"])
    gc.set_debug(taken["debug"])
    gc.callbacks[:] = taken["callbacks"]


def _put_filters(taken: Entries) -> None:
    if Entries(warnings.filters) != taken:
        warnings.resetwarnings()  # has what was cached of the filters forgotten
        cast(list[Any], warnings.filters)[:] = taken


def _clear_tracing() -> None:
    for put in (sys.settrace, sys.setprofile, threading.settrace, threading.setprofile):
        put(None)


PROBES: tuple[Probe, ...] = (
    Probe("builtins", lambda: dict(vars(builtins)), _put_builtins),  # first: the others need them
    each_time("timers", _stop_timers),
    each_time("faulthandler", _tell_of_crashes),
    Probe("signal handlers", partial(_handlers, _KNOWN), _put_handlers),
    Probe("real-time signals", partial(_handlers, _REAL_TIME), _put_handlers, at_import=False),  # 31 that none sets
    pair(
        "signal mask",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda taken: signal.pthread_sigmask(signal.SIG_SETMASK, taken),
    ),
    pair("umask", _umask, os.umask, at_import=False),  # asked for only by a change
    Probe("limits", _limits, _put_limits),
    pair(
        "priority",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda taken: os.setpriority(os.PRIO_PROCESS, 0, taken),
    ),
    pair("affinity", _affinity, _put_affinity),
    unchanged("identity", _identity),
    unchanged("filters of system calls", _filters),
    Probe("directory", os.getcwd, _put_directory),
    Probe("variables", lambda: dict(os.environb), _put_variables, may_stay=_for_every_task),
    _lists("path", "argv", may_stay=never),
    _lists("meta_path", "path_hooks", may_stay=additions),
    each_time("tracing", _clear_tracing),
    attributes(
        sys,
        "stdin",
        "stdout",
        "stderr",
        "excepthook",
        "displayhook",
        "unraisablehook",
        "breakpointhook",
        "dont_write_bytecode",
        "pycache_prefix",
        "tracebacklimit",
    ),
    attributes(threading, "excepthook"),
    attributes(tempfile, "tempdir"),
    attributes(warnings, "formatwarning"),
    pair("origins of coroutines", sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
    pair(
        "hooks of async generators",
        lambda: tuple(sys.get_asyncgen_hooks()),
        lambda taken: sys.set_asyncgen_hooks(*taken),
    ),
    pair("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    pair("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    pair("digits of an int", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    pair("stack size", threading.stack_size, threading.stack_size),
    Probe("collector", _collector, _put_collector),
    pair("locale", lambda: locale.setlocale(locale.LC_ALL), lambda taken: locale.setlocale(locale.LC_ALL, taken)),
    Probe("filters of warnings", lambda: Entries(warnings.filters), _put_filters, may_stay=additions),
    *LOGGING,
    Probe("clock", real_clock.patched, lambda taken: not real_clock.patched(), at_import=False),
)
