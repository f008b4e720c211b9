"""What modules and well-known libraries keep for a whole process, beside what process_state looks at.

Rules: nothing is imported: a library that is not loaded keeps nothing. It is asked in the cheapest way that it has, as
this is done after each attempt and around imports.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from phasenb.executors.probes import Probe, of_module, reset

# --- the standard library --------------------------------------------------------------------------------------------

_OF_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _context(context: Any) -> dict[str, Any]:
    return {**{name: getattr(context, name) for name in _OF_CONTEXT}, "traps": dict(context.traps)}


def _decimals(decimal: Any) -> dict[str, Any]:
    """What new contexts begin with, and the one that an attempt begins with: this thread's, the very same."""
    return {"default": _context(decimal.DefaultContext), "current": _context(decimal.getcontext())}


def _put_decimals(decimal: Any, taken: Mapping[str, Mapping[str, Any]]) -> None:
    for context, wanted in (
        (decimal.DefaultContext, taken["default"]),
        (decimal.getcontext(), taken["current"]),
    ):
        for name in _OF_CONTEXT:
            setattr(context, name, wanted[name])
        for trap, on in wanted["traps"].items():
            context.traps[trap] = on


def _csv(csv: Any) -> dict[str, Any]:
    dialects = {name: csv.get_dialect(name) for name in csv.list_dialects()}
    return {"limit": csv.field_size_limit(), "dialects": dialects}


def _put_csv(csv: Any, taken: Mapping[str, Any]) -> None:
    csv.field_size_limit(taken["limit"])
    for name in set(csv.list_dialects()) - taken["dialects"].keys():
        csv.unregister_dialect(name)
    for name, dialect in taken["dialects"].items():
        csv.register_dialect(name, dialect)


def _types(mimetypes: Any) -> dict[str, dict[str, str]]:
    if not mimetypes.inited:
        mimetypes.init()  # as the first question would
    names = ("types_map", "common_types", "suffix_map", "encodings_map")
    return {name: dict(getattr(mimetypes, name)) for name in names}


def _put_types(mimetypes: Any, taken: Mapping[str, Mapping[str, str]]) -> None:
    mimetypes.init()
    for strict, name in ((True, "types_map"), (False, "common_types")):
        for ending, kind in taken[name].items() - getattr(mimetypes, name).items():
            mimetypes.add_type(kind, ending, strict)


def _put_table(copyreg: Any, taken: Mapping[Any, Any]) -> None:
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(taken)


def _verifies(ssl: Any) -> Any:
    """How HTTPS checks certificates: PEP 476 names this as what one sets to have it not."""
    return ssl._create_default_https_context


def _put_verifies(ssl: Any, taken: Any) -> None:
    ssl._create_default_https_context = taken


def _key(process: Any) -> bytes:
    return bytes(process.current_process().authkey)


def _put_key(process: Any, taken: bytes) -> None:
    process.current_process().authkey = taken


def _forget_event_loop(asyncio: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies go in Python 3.16
        asyncio.set_event_loop_policy(None)  # the next one has no loop yet, and makes one where it is asked for


# --- libraries -------------------------------------------------------------------------------------------------------


def _numpy(numpy: Any) -> dict[str, Any]:
    # From numpy 2 on both are context variables, and an attempt has a copy of this thread's context.
    return {"errors": numpy.geterr(), "call": numpy.geterrcall(), "print": numpy.get_printoptions()}


def _put_numpy(numpy: Any, taken: Mapping[str, Any]) -> None:
    numpy.seterr(**taken["errors"])
    numpy.seterrcall(taken["call"])
    numpy.set_printoptions(**taken["print"])


def _pandas(pandas: Any) -> dict[str, Any]:
    return _copied(pandas.options.d)  # to ask for each by get_option takes 200 times as long


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in options.items()}


def _leaves(options: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _put_pandas(pandas: Any, taken: Mapping[str, Any]) -> None:
    now = dict(_leaves(pandas.options.d, ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that go in a later release
        for name, value in _leaves(taken, ""):
            if now[name] != value:
                pandas.set_option(name, value)


def _matplotlib(matplotlib: Any) -> dict[str, Any]:
    return dict(iter(dict.items(matplotlib.rcParams)))  # as they are kept: to ask for each is slow, and may warn


def _put_matplotlib(matplotlib: Any, taken: Mapping[str, Any]) -> None:
    now = _matplotlib(matplotlib)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that go in a later release
        for name, value in taken.items():
            if name != "backend" and now[name] != value:
                matplotlib.rcParams[name] = value
        if now["backend"] != taken["backend"]:
            matplotlib.use(taken["backend"])


def _colormaps(cm: Any) -> dict[str, bool]:
    """The names in the registry: a second ``register`` of one is an error."""
    matplotlib = sys.modules["matplotlib"]  # which has the registry when it is loaded to its end
    return dict.fromkeys(getattr(matplotlib, "colormaps", ()), True)


def _put_colormaps(cm: Any, taken: Mapping[str, bool]) -> None:
    for name in _colormaps(cm).keys() - taken.keys():
        sys.modules["matplotlib"].colormaps.unregister(name)


def _close_figures(pyplot: Any) -> None:
    pyplot.close("all")
    pyplot.ioff()


def _end_monitor(tqdm: Any) -> None:
    """Its thread looks after bars that make no progress, for ever."""
    monitor = tqdm.tqdm.monitor
    if monitor is not None:
        monitor.exit()
        tqdm.tqdm.monitor = None


LIBRARIES: tuple[Probe, ...] = (
    of_module("decimal", _decimals, _put_decimals),
    reset("decimal", lambda decimal: decimal.getcontext().clear_flags()),  # an attempt's context is this thread's
    of_module(
        "socket", lambda socket: socket.getdefaulttimeout(), lambda socket, taken: socket.setdefaulttimeout(taken)
    ),
    of_module("csv", _csv, _put_csv),
    of_module("mimetypes", _types, _put_types),
    of_module("copyreg", lambda copyreg: dict(copyreg.dispatch_table), _put_table),
    of_module("ssl", _verifies, _put_verifies),
    of_module(
        "multiprocessing",
        lambda multiprocessing: multiprocessing.get_start_method(allow_none=True),
        lambda multiprocessing, taken: multiprocessing.set_start_method(taken, force=True),
    ),
    of_module("multiprocessing.process", _key, _put_key),
    of_module(
        "tracemalloc",
        lambda tracemalloc: tracemalloc.is_tracing(),
        lambda tracemalloc, taken: tracemalloc.start() if taken else tracemalloc.stop(),
    ),
    reset("urllib.request", lambda request: request.install_opener(None)),  # the next request makes its own
    reset("asyncio", _forget_event_loop),
    reset("random", lambda random: random.seed()),
    of_module("numpy", _numpy, _put_numpy),
    reset("numpy.random", lambda random: random.seed()),
    of_module("pandas", _pandas, _put_pandas),
    reset("matplotlib.pyplot", _close_figures),
    of_module("matplotlib", _matplotlib, _put_matplotlib),
    of_module("matplotlib.cm", _colormaps, _put_colormaps),
    of_module("sklearn", lambda sklearn: sklearn.get_config(), lambda sklearn, taken: sklearn.set_config(**taken)),
    reset("torch", lambda torch: torch.seed()),
    reset("tqdm", _end_monitor),
)
