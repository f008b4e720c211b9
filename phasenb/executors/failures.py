"""An exception as data: ErrorInfo with the user's own lines.

Rules: making one never raises, whatever the exception's own methods do; frames of phasenb are dropped, and so is what
of the standard library called the user's code; texts are bounded.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.texts import printable, text_of
from phasenb.errors import (
    AgentStopped,
    LaunchError,
    RuntimeMismatch,
    TaskCancelled,
    TaskFailed,
    UnknownObject,
    ValueNotStorable,
)
from phasenb.executors.advice import advised, asks_or_debugs
from phasenb.executors.responses import http_status, retry_after_s

MESSAGE_CHARACTERS = 10_000
TRACEBACK_CHARACTERS = 20_000

# A task that a phase waited for has had its own retries.
_NOT_RETRYABLE = (
    AgentStopped, LaunchError, RuntimeMismatch, TaskCancelled, TaskFailed, ValueNotStorable, UnknownObject
)  # fmt: skip
_OURS = str(Path(__file__).parent.parent) + "/"
_STDLIB = sysconfig.get_paths()["stdlib"] + "/"


def error_info(error: BaseException, mask: Callable[[str], str] = str) -> ErrorInfo:
    """What ``error`` says, as data; ``mask`` takes secrets out of its texts, and out of the names of its classes."""
    return ErrorInfo(
        type=mask(_name(type(error))),
        message=_clipped(mask(advised(error, text_of(error))), MESSAGE_CHARACTERS),
        traceback=_clipped(mask(user_traceback(error)), TRACEBACK_CHARACTERS),
        retryable=not (isinstance(error, _NOT_RETRYABLE) or asks_or_debugs(error)),
        bases=tuple(mask(_name(kind)) for kind in type(error).__mro__ if kind is not object),
        retry_after_s=retry_after_s(error),
        http_status=http_status(error),
    )


def user_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without phasenb's frames; empty where nothing else is left."""
    told = traceback.TracebackException.from_exception(error, compact=True)
    kept = _strip(told)
    return "".join(told.format()) if kept else ""


def _strip(told: traceback.TracebackException) -> int:
    """Drop frames in ``told`` and what it is chained to; how many are left."""
    frames = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
    own = next((index for index, frame in enumerate(frames) if not _is_stdlib(frame.filename)), 0)
    told.stack = traceback.StackSummary.from_list(frames[own:])
    kept = len(told.stack)
    for chained in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if chained is not None:
            kept += _strip(chained)
    return kept


def _is_stdlib(filename: str) -> bool:
    return filename.startswith(("<frozen", _STDLIB)) and "-packages/" not in filename


def _name(kind: type) -> str:
    """The qualified name; builtins without their module, phasenb's errors by the name that users import."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    module = "phasenb" if kind.__module__ == "phasenb.errors" else kind.__module__
    return f"{module}.{kind.__qualname__}"


def _clipped(text: str, limit: int) -> str:
    """The text, or its head and its end, where a traceback has its point."""
    text = printable(text)
    if len(text) <= limit:
        return text
    head = limit // 4
    cut = len(text) - limit
    return f"{text[:head]}\n... {cut:,} characters left out ...\n{text[head + cut :]}"
