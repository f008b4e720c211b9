"""How a command ends: exit codes, and which error ends with which."""

from __future__ import annotations

from enum import IntEnum

from phasenb import errors
from phasenb.dto.task_state import State


class Exit(IntEnum):
    """Stable: scripts rely on them (docs/cli.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_SERVER = 4
    REFUSED = 5
    WAITING = 6
    TIMEOUT = 124
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANINGS = {
    Exit.DONE: "done; the task that was waited for completed",
    Exit.FAILED: "the task failed or was cancelled; `doctor`: something is wrong",
    Exit.USAGE: "the command line, an input, an edit, a file or the configuration can't be used",
    Exit.NOT_FOUND: "there is no such task, agent or object",
    Exit.NO_SERVER: "no server was found, or the one that was named does not answer; the store can't be used",
    Exit.REFUSED: "refused: the task's state does not allow it, or the server does not let you",
    Exit.WAITING: "the task waits for a person: for approval, or to be resumed",
    Exit.TIMEOUT: "--timeout is over; the task goes on where it runs",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.BROKEN_PIPE: "whoever read the output has gone (`| head`)",
    Exit.TERMINATED: "SIGTERM",
}

_OF_ERRORS: tuple[tuple[tuple[type[BaseException], ...], Exit], ...] = (
    ((errors.UnknownTask, errors.UnknownAgent, errors.UnknownObject), Exit.NOT_FOUND),
    ((errors.ServerUnreachable, errors.ProxyRefused, errors.NoServer, errors.StoreUnavailable), Exit.NO_SERVER),
    ((errors.LaunchError, errors.ValueNotStorable, errors.BadMessage, errors.ConfigError), Exit.USAGE),
    ((errors.ApprovalNeeded, errors.TaskPaused), Exit.WAITING),
    ((TimeoutError,), Exit.TIMEOUT),
    ((OSError,), Exit.USAGE),  # a path that can't be read or written; TimeoutError is one too, and comes before
)


def exit_of(error: BaseException) -> Exit:
    """The exit code of what a command raised."""
    for classes, code in _OF_ERRORS:
        if isinstance(error, classes):
            return code
    return Exit.REFUSED


def exit_of_state(state: State) -> Exit:
    """The exit code of a wait that found the task in this state."""
    if state is State.COMPLETED:
        return Exit.DONE
    if state in (State.AWAITING_APPROVAL, State.PAUSED):
        return Exit.WAITING
    return Exit.FAILED
