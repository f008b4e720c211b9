"""What people are told of values that a model refuses: plain words, for every kind of refusal of every model."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phasenb.config.settings import Settings
from phasenb.dto.launch import LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.problems import MOST, PATTERNS, fields, problems
from phasenb.dto.values import ObjectRef
from phasenb.web import http_protocol
from phasenb.web.documents.schemas import COMMANDS, all_schemas
from phasenb.web.message_protocol import _FROM_SERVERS

QUERIES = [
    cls
    for cls in vars(http_protocol).values()
    if isinstance(cls, type) and issubclass(cls, http_protocol.Query | http_protocol.LaunchBody)
]
MODELS = [Settings, RecoveryPolicy, LaunchOptions, ObjectRef, *COMMANDS, *QUERIES, *_FROM_SERVERS.values()]
JARGON = re.compile(
    r"[Ii]nput should|not permitted|[Ff]ield required|should match|should have|validation|pars(e|ing)|Value error"
    r"|\^\[|constrained|tuple|dict\b|literal|instance of|not valid here"
)
LETTERS = "letters a to z, digits and _ only, not a digit first"
SECRET = "hunter2-hunter2"
BAD = [
    None, True, -1, 0, 2**70, 10**5000, 1.5, float("nan"), float("inf"), -1e300, "", SECRET, "x" * 5000, "\ud800",
    "9" * 5000, b"x", [], [SECRET], [None] * 2000, {}, {SECRET: SECRET}, {"1 a": 1}, {3: 4}, {"x" * 300: "x"},
    {str(n): "x" for n in range(2000)}, [{SECRET: 1}], {"fit": SECRET}, {"fit": -1},
    {"fit": {"retry": SECRET}}, object(),
]  # fmt: skip


def inner_models(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for each in get_args(hint):
        yield from inner_models(each)


def all_models() -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {}
    left = list(MODELS)
    while left:
        model = left.pop()
        if model not in found:
            found[model] = None
            left += [inner for info in model.model_fields.values() for inner in inner_models(info.annotation)]
    return list(found)


def refusals(model: type[BaseModel]) -> Iterator[tuple[ValidationError, Any]]:
    names = [info.alias or name for name, info in model.model_fields.items()]
    whole = dict.fromkeys(names, "x")
    values = [{}, SECRET, {**whole, "no_such_field": SECRET}, *({names[0] + "s": 1} for _ in names[:1])]
    values += [{**whole, name: bad} for name in names for bad in BAD]
    for value in values:
        try:
            model.model_validate(value)
        except ValidationError as error:
            yield error, value


@pytest.mark.parametrize("model", all_models(), ids=lambda model: model.__name__)
def test_every_refusal_of_every_model_has_plain_words_and_echoes_no_value(model):
    for error, value in refusals(model):
        told = problems(error, model, value)
        assert told
        for problem in told:
            assert not JARGON.search(problem.told), (problem, error.errors(include_url=False)[:3])
            assert SECRET not in problem.told or "is no" in problem.told or "is not a duration" in problem.told, problem
            assert all(isinstance(part, int) or "[" not in part for part in problem.path), problem


def test_every_pattern_has_its_words():
    text = repr([all_schemas(), Settings.model_json_schema(), RecoveryPolicy.model_json_schema()])
    for model in (*MODELS, *http_protocol.Query.__subclasses__()):
        text += repr(model.model_json_schema(mode="validation"))
    patterns = {pattern.replace("\\\\", "\\") for pattern in re.findall(r"'pattern': '([^']+)'", text)}
    patterns -= {r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$"}  # only written down: its own validator tells
    assert patterns
    assert patterns <= set(PATTERNS)


def told(model: type[BaseModel], value: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return fields(caught.value, model, value)


@pytest.mark.parametrize(("option", "sentence"), [
    ({"kye": "x"}, {"kye": "there is no such field; did you mean `key`?"}),
    ({"priority": "x"}, {"priority": "a whole number is needed, and this text is none"}),
    ({"priority": []}, {"priority": "a whole number is needed, not a list"}),
    ({"priority": 1.5}, {"priority": "a whole number is needed, without a fraction"}),
    ({"priority": 101}, {"priority": "at most 100 is needed"}),
    ({"if_exists": "q"}, {"if_exists": "attach, new or error is needed"}),
    ({"name": ""}, {"name": "it may not be empty"}),
    ({"phases": []}, {"phases": "it may not be empty"}),
    ({"labels": {"a": 1}}, {"labels.a": "text is needed, not a number"}),
    ({"env": {"1a": "x"}}, {"env.1a": f"the name is not valid: {LETTERS}, at most 255 characters"}),
    ({"timeout": {"1a": 3}}, {"timeout.1a": f"the name is not valid: {LETTERS}, at most 64 characters"}),
    ({"timeouts": {"attempt": []}}, {"timeouts.attempt": "a number is needed, not a list"}),
    ({"timeouts": {"tsk": 1}}, {"timeouts.tsk": "there is no such field; did you mean `task`?"}),
])  # fmt: skip
def test_an_option_that_is_refused_says_what_is_needed(option, sentence):
    assert told(LaunchOptions, option) == sentence


NEAR = "there is no such field; did you mean `count`?"
EITHER = "a whole number or an object {name: value}"


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int
    either: int | dict[str, Annotated[int, Field(ge=0)]] | None = None
    nodes: dict[str, "Node"] = {}


@pytest.mark.parametrize(("value", "sentences"), [
    ({}, {"count": "is missing"}),
    ({"count": 1, "either": "x"}, {"either": f"{EITHER} is needed, and this text is none"}),
    ({"count": 1, "either": {"int": -1}}, {"either.int": "at least 0 is needed"}),
    ({"count": 1, "either": {"int": "x"}}, {"either.int": "a whole number is needed, and this text is none"}),
    ({"count": 1, "nodes": {"a": {}}}, {"nodes.a.count": "is missing"}),
    ({"count": 1, "nodes": {"a": {"count": 1, "cuont": 1}}}, {"nodes.a.cuont": NEAR}),
])  # fmt: skip
def test_of_a_union_the_branch_counts_that_the_value_got_furthest_in(value, sentences):
    assert told(Node, value) == sentences


def test_of_many_problems_the_first_are_told_and_the_others_counted():
    found = told(Node, {"count": 1, "nodes": {str(n): {} for n in range(1000)}})
    assert len(found) == MOST + 1
    assert found["..."] == f"and {1000 - MOST:,} more"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["defaults", "phases", "retry", "rules", "fit", "int", "x"]), inner, max_size=4
        )
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*RecoveryPolicy.model_fields, "defualts"]), _VALUES))
def test_whatever_a_policy_is_made_of_its_problems_have_plain_words(value):
    try:
        RecoveryPolicy.model_validate(value)
    except ValidationError as error:
        for problem in problems(error, RecoveryPolicy, value):
            assert not JARGON.search(problem.told), (problem, error)
