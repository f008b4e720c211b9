"""What to do instead of what no phase can do: ask at a prompt, debug, leave by ``sys.exit()``.

Rules: the exception's own words stay, the advice follows them. Who asks or debugs would fail at each attempt alike.
"""

from __future__ import annotations

import traceback

_QUESTION = "EOF when reading a line"  # CPython's words, of input() alone
_PROMPTS = ("getpass", "prompt_toolkit", "questionary")
# What click and typer make of it, and a notebook's own input() in a thread.
_REFUSED = ("click.exceptions.Abort", "typer._click.exceptions.Abort", "IPython.core.error.StdinNotImplementedError")
_ASKS = (
    "a phase can't ask (input, getpass): make the answer an input of launch(), a password one of secrets=[...], and a "
    "person's consent with_options(approve_before=[...])"
)
_DEBUGS = (
    "a phase has no terminal for a debugger (breakpoint, pdb): task.replay(phase, agent) runs it in the notebook, "
    "where breakpoint() and %debug work"
)
_LEAVES = "sys.exit() is a failure of a phase: return where its work is done, raise an error where it failed"


def asks_or_debugs(error: BaseException) -> bool:
    """Whether it comes of a prompt that nobody answers."""
    return _asks(error) or _debugs(error)


def advised(error: BaseException, text: str) -> str:
    """``text``, what the error says, with what to do where that is known."""
    if _asks(error):
        advice = _ASKS
    elif _debugs(error):
        advice = _DEBUGS
    elif isinstance(error, SystemExit):
        advice = _LEAVES
    else:
        return text
    return f"{text}: {advice}" if text else advice


def _asks(error: BaseException) -> bool:
    if _named(error) in _REFUSED:
        return True
    if type(error) is not EOFError:
        return False
    # Others raise it without a word, too: a pipe that was closed, say.
    return str(error) == _QUESTION or any(
        str(frame.f_globals.get("__name__")).partition(".")[0] in _PROMPTS
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _named(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _debugs(error: BaseException) -> bool:
    return _named(error) == "bdb.BdbQuit"
