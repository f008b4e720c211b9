"""An agent as bytes that a worker in another process can load (codecs.names), and plain words where that fails.

Rules: notebook code goes by value with the variables it uses, frozen as they are now; code of modules goes by name.
More than CAPTURE_LIMIT bytes of such variables are refused, before they are pickled where their size can be told. The
lines of the functions that travel go along, so that a worker's traceback shows the user's own code.
"""

from __future__ import annotations

import base64
import inspect
import linecache
import sys
import types
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from phasenb.agents.captures import Part, by_value, parts, size_of, walk
from phasenb.codecs.names.bounded import TooLargeError
from phasenb.codecs.names.files import write_code
from phasenb.codecs.names.refused import Refused
from phasenb.core.adapting import of_factory
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.errors import CapturedTooLarge, UnpicklableCode

CAPTURE_LIMIT = 10_000_000
_DEEPEST = 12
_OWN = frozenset(
    ("['agent']", "['factory']", "['_phases']", "['_fallbacks']", "['_compensations']", "['_decorated']")
)  # where an ExtendedAgent holds its agent
_FACTORY = "give a factory that makes the agent in the worker: pn.ExtendedAgent(factory=make_agent)"

_last_lines: WeakKeyDictionary[types.CodeType, int] = WeakKeyDictionary()


def pack(agent: ExtendedAgent) -> bytes:
    """``agent`` as a pickle. Raises UnpicklableCode (naming what can't travel), CapturedTooLarge."""
    root = vars(agent.travelling())
    captured = [part for part in walk(root) if part.function is not None or type(part.value) is types.FunctionType]
    variables = [part for part in captured if part.function is not None]
    _refuse_large(variables, [size_of(part.value, CAPTURE_LIMIT) for part in variables])
    copy = agent.travelling(_sources(captured))
    try:
        return write_code(copy, CAPTURE_LIMIT)
    except TooLargeError:
        # Either the variables are large in a way that size_of can't tell, or the agent itself is, which may be.
        if _pickled_size([part.value for part in variables]) > CAPTURE_LIMIT:
            _refuse_large(variables, [_pickled_size(part.value) for part in variables])
        return write_code(copy)
    except Exception as error:  # what a user's __reduce__ raises is anyone's guess
        raise _explained(root, agent.name, error) from error


def code_json(code: bytes) -> str:
    """Packed code as it stands in JSON: base64."""
    return base64.b64encode(code).decode("ascii")


# --- sizes -------------------------------------------------------------------------------------------------------


def _pickled_size(value: Any) -> int:
    """Bytes of ``value`` by itself; one over the limit says the limit + 1, or its size in memory if that is more."""
    try:
        return len(write_code(value, CAPTURE_LIMIT, spare=False))
    except TooLargeError:
        return max(size_of(value, CAPTURE_LIMIT), CAPTURE_LIMIT + 1)


def _refuse_large(variables: list[Part], sizes: list[int]) -> None:
    """Raises CapturedTooLarge by the largest of ``variables`` where all together are over the limit."""
    total = sum(sizes)
    if total <= CAPTURE_LIMIT:
        return
    # A function is as large as the variables it uses, so these are blamed before code.
    blame = [
        (not issubclass(type(part.value), types.FunctionType | type), size)
        for part, size in zip(variables, sizes, strict=True)
    ]
    at = blame.index(max(blame))
    name, size = variables[at].label, _readable(sizes[at])
    if sizes[at] <= CAPTURE_LIMIT:
        size += f" of {_readable(total)} captured; {_readable(CAPTURE_LIMIT)} may be"
    raise CapturedTooLarge(
        f"`{variables[at].function}` uses notebook variable `{name}` ({size}): pass it, launch({name}={name})",
        function=variables[at].function,
        argument=name,
    )


def _readable(size: int) -> str:
    if size == CAPTURE_LIMIT + 1:
        return "more than 10 MB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


# --- what can't travel -------------------------------------------------------------------------------------------


def _explained(root: Any, agent: str, error: Exception) -> UnpicklableCode:
    """Follow what fails from ``root`` down to the innermost thing that fails by itself."""
    trail: list[Part] = []
    value: Any = root
    while len(trail) < _DEEPEST:
        problem = _failure(value)
        if isinstance(problem, Refused) and problem.value is value:
            break
        failing = next((part for part in parts(value, deep=True) if _failure(part.value) is not None), None)
        if failing is None:
            break
        trail.append(failing)
        value = failing.value
    problem = _failure(value) or error
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    why = f"{type(problem).__name__}: {problem}" if type(problem) not in (TypeError, Refused) else str(problem)
    whole = isinstance(problem, Refused) and problem.whole
    user = max((index for index, part in enumerate(trail) if part.function is not None), default=None)
    if user is None:
        path = "".join(part.label for part in trail if part.label not in _OWN)
        told = f"the agent {agent!r} has `{path.lstrip('.')}` ({kind})" if path else f"the agent {agent!r}"
        way = f": {why}" if whole else f", which can't be sent to a worker ({why}): {_factory(root)}"
        return UnpicklableCode(told + way, argument=path or None)
    function, variable = trail[user].function, trail[user].label
    path = variable + "".join(part.label for part in trail[user + 1 :])
    way = f", which can't be sent to a worker ({why}): make it inside `{function}`, or {_factory(root)}"
    return UnpicklableCode(
        f"`{function}` uses `{path}` ({kind})" + (f": {why}" if whole else way),
        function=function,
        argument=variable,
    )


def _factory(root: Any) -> str:
    """The way out, written for the agent that ``root`` holds."""
    agent, phases = root.get("agent"), root.get("_phases")
    if inspect.ismethod(agent):
        phases = {"implementation": agent.__name__}
        agent = agent.__self__
    if agent is None or inspect.isroutine(agent) or inspect.isclass(agent):
        return _FACTORY
    names = vars(sys.modules["__main__"]).items() if "__main__" in sys.modules else ()
    name = next((f"`{name}`" for name, value in list(names) if value is agent and not name.startswith("_")), "it")
    adapter = of_factory(agent)
    if adapter is not None:
        return f"make it in the worker: {adapter}(make_graph), where make_graph() makes {name} and returns it"
    mapped = isinstance(phases, Mapping) and all(isinstance(target, str) for target in phases.values())
    also = f", phases={phases!r}" if mapped or isinstance(phases, list | tuple) else ""
    made = f"{type(agent).__name__}(...)"
    return f"make it in the worker, with what {name} is made of here: pn.ExtendedAgent(factory=lambda: {made}{also})"


def _failure(value: Any) -> Exception | None:
    try:
        write_code(value, CAPTURE_LIMIT, spare=False)
    except TooLargeError:
        return None
    except Exception as error:  # the question is whether it fails, whatever way
        return error
    return None


# --- sources -----------------------------------------------------------------------------------------------------


def _sources(captured: list[Part]) -> dict[str, str]:
    """{file name: text} of the functions that travel by value, their lines where they stood, other lines empty."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for part in captured:
        function = part.value
        if type(function) is types.FunctionType and by_value(function):
            code = function.__code__
            ranges.setdefault(code.co_filename, []).append((code.co_firstlineno, _last_line(code)))
    sources = {}
    for filename, spans in ranges.items():
        lines = linecache.getlines(filename)
        if lines:
            kept = [""] * max(last for _, last in spans)
            for first, last in spans:
                for number, line in enumerate(lines[first - 1 : last], first - 1):
                    kept[number] = line.rstrip("\n")
            sources[filename] = "\n".join(kept)
    return sources


def _last_line(code: types.CodeType) -> int:
    last = _last_lines.get(code)
    if last is None:
        ends = (end for _, end, _, _ in code.co_positions() if end is not None)
        inner = (_last_line(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
        last = _last_lines[code] = max((code.co_firstlineno, *ends, *inner))
    return last
