"""What well-known libraries keep for a whole process, and how it is put back after an attempt.

Rules: nothing is imported: a library that is not loaded keeps nothing. What it is put back to is the library's own
default, or what its configuration file says, as in a new process. What can't be put back here is told as in
process_state.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def put_back(resets: Mapping[str, Callable[[Any], None]] | None = None) -> list[str]:
    """Put all of it back; the names of what can't be."""
    stays = []
    for name, reset in (RESETS if resets is None else resets).items():
        library = sys.modules.get(name)
        if library is not None:
            try:
                reset(library)
            except Exception:  # half loaded, of another release, or broken by a phase
                stays.append(name)
    return stays


def _numpy(numpy: Any) -> None:
    # From numpy 2 on both are context variables, and an attempt has a context of its own.
    numpy.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
    numpy.seterrcall(None)
    numpy.set_printoptions(
        precision=8, threshold=1000, edgeitems=3, linewidth=75, suppress=False, nanstr="nan", infstr="inf",
        formatter=None, sign="-", floatmode="maxprec", legacy=False,
    )  # fmt: skip
    numpy.random.seed()


def _pandas(pandas: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that go in a later release
        pandas.reset_option("all")


def _matplotlib(matplotlib: Any) -> None:
    matplotlib.rc_file_defaults()


def _pyplot(pyplot: Any) -> None:
    pyplot.close("all")
    pyplot.ioff()


def _torch(torch: Any) -> None:
    torch.seed()


def _sklearn(sklearn: Any) -> None:
    # What a new thread sees is what a new process sees: the options of a thread are its own.
    from threading import Thread

    fresh: list[dict[str, Any]] = []
    asking = Thread(target=lambda: fresh.append(sklearn.get_config()))
    asking.start()
    asking.join()
    sklearn.set_config(**fresh[0])


def _tqdm(tqdm: Any) -> None:
    """Its thread looks after bars that make no progress, for ever."""
    monitor = tqdm.tqdm.monitor
    if monitor is not None:
        monitor.exit()
        tqdm.tqdm.monitor = None


RESETS: dict[str, Callable[[Any], None]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "matplotlib.pyplot": _pyplot,
    "matplotlib": _matplotlib,
    "sklearn": _sklearn,
    "torch": _torch,
}

THREADS: dict[str, Callable[[Any], None]] = {"tqdm": _tqdm}  # before somebody asks which threads are left behind
