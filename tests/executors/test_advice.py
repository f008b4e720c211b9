"""What no phase can do fails in words that say what to do instead."""

import sys

import cloudpickle
import pytest

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def asks():
    input("which? ")


def asks_for_a_password():
    import getpass

    getpass.getpass()


def debugs():
    breakpoint()


def leaves():
    sys.exit()


def leaves_with_a_code():
    sys.exit(3)


def reads_a_closed_pipe():
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    theirs.close()
    ours.recv()


@pytest.mark.parametrize(
    ("phase", "kind", "begins", "retryable"),
    [
        (asks, "EOFError", "EOF when reading a line: a phase can't ask", False),
        (asks_for_a_password, "EOFError", "a phase can't ask", False),
        (debugs, "bdb.BdbQuit", "a phase has no terminal for a debugger", False),
        (leaves, "SystemExit", "sys.exit() is a failure of a phase: return", True),
        (leaves_with_a_code, "SystemExit", "3: sys.exit() is a failure", True),
        (reads_a_closed_pipe, "EOFError", "", True),
    ],
)
def test_the_error_says_what_to_do(one, phase, kind, begins, retryable):
    error = one(phase).outcome.error
    assert (error.type, error.retryable) == (kind, retryable)
    assert error.message.startswith(begins) if begins else error.message == ""
