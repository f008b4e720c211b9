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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phasenb.core import real_clock
from phasenb.executors import logging_state
from phasenb.executors.worker_io import die_with_guardian


@dataclass(frozen=True, slots=True)
class Probe:
    """``put_back(taken)``: False where it can't."""

    name: str
    take: Callable[[], Any]
    put_back: Callable[[Any], bool | None]


class ProcessState:
    """How the process is now."""

    def __init__(self) -> None:
        self._taken = [(probe, probe.take()) for probe in PROBES]

    def put_back(self) -> list[str]:
        """Make the process as it was; the names of what can't be."""
        stays = []
        for probe, taken in self._taken:
            try:
                if probe.put_back(taken) is False:
                    stays.append(probe.name)
            except Exception:  # whatever a phase did to what the probe asks
                stays.append(probe.name)
        return stays


def _pair(name: str, get: Callable[[], Any], put: Callable[[Any], Any]) -> Probe:
    """Of a getter and a setter."""

    def put_back(taken: Any) -> None:
        if get() != taken:
            put(taken)

    return Probe(name, get, put_back)


def _attributes(module: Any, *names: str) -> Probe:
    """Of a module's variables that are there to be set."""

    def put_back(taken: Mapping[str, Any]) -> None:
        for name in names:
            if name in taken:
                setattr(module, name, taken[name])
            elif hasattr(module, name):
                delattr(module, name)

    def take() -> dict[str, Any]:
        return {name: getattr(module, name) for name in names if hasattr(module, name)}

    return Probe(module.__name__, take, put_back)


def _unchanged(name: str, take: Callable[[], Any]) -> Probe:
    """Of what can't be put back."""
    return Probe(name, take, lambda taken: bool(take() == taken))


def _each_time(name: str, put: Callable[[], Any]) -> Probe:
    """Of what is made anew after each attempt, whatever it was before."""

    def put_back(taken: None) -> None:
        put()

    return Probe(name, lambda: None, put_back)


# --- signals and timers ----------------------------------------------------------------------------------------------


def _stop_timers() -> None:
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)  # the first is alarm()'s as well
    faulthandler.cancel_dump_traceback_later()


_SIGNALS = tuple(map(int, signal.valid_signals()))  # to ask for them, as enums, takes 0.1 ms
_FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}
_OTHERS = tuple(number for number in _SIGNALS if number not in _FAULTS)


def _tell_of_crashes() -> None:
    for number in _OTHERS:
        faulthandler.unregister(number)
    faulthandler.enable(file=2)  # where the host finds it


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


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


def _put_directory(taken: str) -> None:
    os.chdir(taken)


def _lists() -> list[tuple[list[Any], list[Any]]]:
    return [(each, list(each)) for each in (sys.path, sys.argv)]


def _put_lists(taken: list[tuple[list[Any], list[Any]]]) -> None:
    for each, content in taken:
        each[:] = content
    sys.path, sys.argv = (each for each, _ in taken)


# --- Python ----------------------------------------------------------------------------------------------------------


def _put_builtins(taken: Mapping[str, Any]) -> None:
    vars(builtins).update(taken)  # what was added stays: modules that are loaded may need it


def _collector() -> tuple[Any, ...]:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug()


def _put_collector(taken: tuple[Any, ...]) -> None:
    enabled, threshold, debug = taken
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(debug)


def _clear_tracing() -> None:
    for put in (sys.settrace, sys.setprofile, threading.settrace, threading.setprofile):
        put(None)


def _decimals() -> Any:
    decimal = sys.modules.get("decimal")
    return decimal and decimal.DefaultContext.copy()


def _put_decimals(taken: Any) -> None:
    """The context itself is an attempt's own: it is a context variable. What a new one begins with is not."""
    decimal = sys.modules.get("decimal")
    if decimal is None:
        return
    default = taken or decimal.Context(prec=28, rounding=decimal.ROUND_HALF_EVEN)
    for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
        setattr(decimal.DefaultContext, name, getattr(default, name))
    decimal.DefaultContext.clear_flags()
    for trap, on in default.traps.items():
        decimal.DefaultContext.traps[trap] = on


def _forget_event_loop() -> None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # policies go in Python 3.16
            asyncio.set_event_loop_policy(None)  # the next one has no loop yet, and makes one where it is asked for


def _forget_start_method() -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        multiprocessing.set_start_method(None, force=True)


def _seed() -> None:
    random = sys.modules.get("random")
    if random is not None:
        random.seed()


def _module_pair(module: str, get: str, put: str, default: Any) -> Probe:
    """Of a module's getter and setter, where it is loaded; ``default`` where it was not loaded before."""

    def take() -> Any:
        loaded = sys.modules.get(module)
        return default if loaded is None else getattr(loaded, get)()

    def put_back(taken: Any) -> None:
        loaded = sys.modules.get(module)
        if loaded is not None:
            getattr(loaded, put)(taken)

    return Probe(module, take, put_back)


PROBES: tuple[Probe, ...] = (
    Probe("builtins", lambda: dict(vars(builtins)), _put_builtins),  # first: the others need them
    _each_time("timers", _stop_timers),
    _each_time("faulthandler", _tell_of_crashes),
    Probe("signal handlers", _handlers, _put_handlers),
    _pair(
        "signal mask",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda taken: signal.pthread_sigmask(signal.SIG_SETMASK, taken),
    ),
    _pair("umask", _umask, os.umask),
    Probe("limits", _limits, _put_limits),
    _pair(
        "priority",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda taken: os.setpriority(os.PRIO_PROCESS, 0, taken),
    ),
    _pair("affinity", _affinity, _put_affinity),
    _unchanged("identity", _identity),
    _unchanged("filters", _filters),
    Probe("directory", lambda: str(Path.cwd()), _put_directory),
    Probe("variables", lambda: dict(os.environb), _put_variables),
    Probe("paths", _lists, _put_lists),
    _each_time("tracing", _clear_tracing),
    _attributes(
        sys,
        "stdin",
        "stdout",
        "stderr",
        "excepthook",
        "displayhook",
        "unraisablehook",
        "breakpointhook",
        "dont_write_bytecode",
        "tracebacklimit",
    ),
    _attributes(threading, "excepthook"),
    _attributes(tempfile, "tempdir"),
    _attributes(warnings, "formatwarning"),
    _pair("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _pair("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    _pair("digits of an int", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    _pair("stack size", threading.stack_size, threading.stack_size),
    Probe("collector", _collector, _put_collector),
    _pair("locale", lambda: locale.setlocale(locale.LC_ALL), lambda taken: locale.setlocale(locale.LC_ALL, taken)),
    Probe("decimal", _decimals, _put_decimals),
    _module_pair("socket", "getdefaulttimeout", "setdefaulttimeout", None),
    _module_pair("csv", "field_size_limit", "field_size_limit", 131_072),
    _each_time("event loop", _forget_event_loop),
    _each_time("start method", _forget_start_method),
    _each_time("random numbers", _seed),
    Probe("logging", logging_state.take, logging_state.put_back),
    Probe("clock", real_clock.patched, lambda taken: not real_clock.patched()),
)
