"""What IPython shows of an error of ours: the lines of the user's own code, and the sentence.

Frames of phasenb, and of libraries that it calls, say nothing to a user who wrote a wrong name in a cell. IPython asks
an exception for its ``_render_traceback_``.
"""

from __future__ import annotations

import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_OURS = f"{Path(__file__).parent.parent}/"
_LIBRARIES = tuple({f"{folder}/" for folder in (*sysconfig.get_paths().values(), *site.getsitepackages())})


def shown(error: BaseException) -> list[str]:
    """The lines that the running IPython shows. Without frames of phasenb, and of libraries below one of those."""
    from IPython import get_ipython

    whole = [(each, each.__traceback__) for each in _chain(error)]
    try:
        for each, trace in whole:
            each.__traceback__ = users_frames(trace)
        handler = get_ipython().InteractiveTB
        lines: list[str] = handler.structured_traceback(type(error), error, error.__traceback__, tb_offset=0)
    finally:
        for each, trace in whole:  # a debugger sees all of it
            each.__traceback__ = trace
    return lines


def users_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback of the frames that are the user's, or those of whoever called phasenb."""
    kept: list[TracebackType] = []
    below = False  # a frame of ours
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        ours = file.startswith(_OURS)
        if not ours and not (below and file.startswith(_LIBRARIES)):
            kept.append(trace)
            below = False
        below = below or ours
        trace = trace.tb_next
    found: TracebackType | None = None
    for each in reversed(kept):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
