"""Binding by name, against what Python itself makes of a call."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.arguments import read_arguments
from phasenb.errors import LaunchError

NAMES = ["ctx", "alpha", "beta", "gamma", "delta"]


@st.composite
def signatures(draw: st.DrawFn) -> tuple[Any, dict[str, bool]]:
    """A function that returns its arguments as a dict, and {name: has a default} of them."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    slash, star = sorted((draw(st.integers(0, len(names))), draw(st.integers(0, len(names)))))
    first_default = draw(st.integers(0, star))
    defaults = {
        name: index >= first_default if index < star else draw(st.booleans()) for index, name in enumerate(names)
    }
    written = [f"{name}='{name} by default'" if defaults[name] else name for name in names]
    if star < len(written):
        written.insert(star, "*")
    if slash:
        written.insert(slash, "/")
    rest = draw(st.booleans())
    if rest:
        written.append("**rest")
    shown = "".join(f"'{name}': {name}, " for name in names)
    namespace: dict[str, Any] = {}
    exec(f"def function({', '.join(written)}):\n    return {{{shown}{'**rest' if rest else ''}}}", namespace)
    return namespace["function"], defaults


@given(signatures())
def test_a_functions_own_code_tells_what_its_signature_tells(signature: tuple[Any, dict[str, bool]]) -> None:
    function, _ = signature
    told = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    told.__kwdefaults__ = function.__kwdefaults__
    told.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # as decorators set it
    assert read_arguments(function) == read_arguments(told)


def test_a_signature_that_says_otherwise_than_the_code_counts() -> None:
    def function(alpha: Any, **rest: Any) -> None: ...

    function.__signature__ = inspect.signature(lambda beta, gamma=1: None)  # type: ignore[attr-defined]
    arguments = read_arguments(function)
    assert (arguments.required, arguments.optional, arguments.open) == (("beta",), ("gamma",), False)


@given(signatures(), st.sets(st.sampled_from([*NAMES[1:], "other"])))
def test_every_argument_gets_its_own_value_or_its_default(
    signature: tuple[Any, dict[str, bool]], given: set[str]
) -> None:
    function, defaults = signature
    arguments = read_arguments(function)
    assert {*arguments.required, *arguments.optional} == set(defaults)
    values = {name: f"value of {name}" for name in given}
    missing = [name for name in arguments.required if name not in given and name != "ctx"]
    if missing:
        with pytest.raises(LaunchError, match=f"`function` asks for `{missing[0]}`"):
            arguments.bind({"ctx": "the context"}, values)
        return
    args, kwargs = arguments.bind({"ctx": "the context"}, values)
    got = function(*args, **kwargs)
    for name in defaults:
        assert got[name] == ("the context" if name == "ctx" else values.get(name, f"{name} by default"))
    assert {name for name in got if name not in defaults} == (given - set(defaults) if arguments.open else set())
