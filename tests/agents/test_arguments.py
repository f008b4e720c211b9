"""Binding by name, against what Python itself makes of a call."""

from __future__ import annotations

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
