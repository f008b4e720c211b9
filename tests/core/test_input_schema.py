"""The JSON schema of an agent's launch inputs."""

from enum import Enum, StrEnum
from functools import partial
from typing import Annotated, Literal

import orjson
import pandas as pd
import pytest
from pydantic import Field, TypeAdapter

from phasenb import Workflow
from phasenb.core.extended_agent import ExtendedAgent


class Species(StrEnum):
    ADELIE = "Adelie"
    GENTOO = "Gentoo"


def inputs(agent):
    return ExtendedAgent.of(agent).described().inputs


def test_annotations_and_defaults_make_the_schema():
    def fit(ctx, path: str, folds: Annotated[int, Field(ge=2)] = 5, kind: Literal["tree", "line"] = "tree", note=None):
        """Fit a model.

        At length.
        """

    schema = inputs(fit)
    assert schema["properties"] == {
        "path": {"type": "string", "title": "path"},
        "folds": {"type": "integer", "minimum": 2, "title": "folds", "default": 5},
        "kind": {"type": "string", "enum": ["tree", "line"], "title": "kind", "default": "tree"},
        "note": {"title": "note", "default": None},
    }
    assert (schema["required"], schema["additionalProperties"]) == (["path"], False)
    assert schema["description"] == "Fit a model."


def test_outputs_are_no_inputs_and_types_are_shared():
    flow = Workflow("birds", phases=("look", "count"))

    @flow.phase("look")
    def look(path: str, kind: Species = Species.ADELIE): ...

    @flow.phase("count")
    def count(look, other: Species, limit: float): ...

    @flow.fallback("count")
    def guess(count, limit: float, extra: bool = False): ...

    schema = flow.described().inputs
    assert list(schema["properties"]) == ["path", "kind", "other", "limit", "extra"]
    assert schema["required"] == ["path", "other", "limit"]
    assert schema["properties"]["kind"] == {"$ref": "#/$defs/Species", "title": "kind", "default": "Adelie"}
    assert schema["$defs"]["Species"]["enum"] == ["Adelie", "Gentoo"]


def test_what_has_no_schema_allows_anything():
    def train(table: pd.DataFrame, later: "NotThere" = object(), **more): ...  # noqa: B008, F821

    schema = inputs(train)
    assert schema["properties"] == {"table": {"title": "table"}, "later": {"title": "later"}}
    assert schema["additionalProperties"] is True


class Raises:
    """A class that refuses to say what it is."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        raise TypeError("no")

    def __repr__(self):
        raise RuntimeError("not that either")


class Things(Enum):
    ONE = object()


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "default", [b"\xff\xfe", LOOP, Things.ONE, "\udc80", 2**70, {"deep": [1, "\udc80"]}, Raises(), {Raises(): 1}]
)
@pytest.mark.parametrize("hint", [int, Raises, Things, Literal["\udc80"], Annotated[int, Field(pattern="x")]])
def test_what_a_class_or_a_default_raises_costs_its_own_part_of_the_schema(hint, default):
    def fit(path: str, odd: hint = default):
        """Undecodable: \udc80"""

    schema = inputs(fit)
    assert schema["properties"]["path"] == {"title": "path", "type": "string"}
    assert "default" not in schema["properties"]["odd"]
    assert schema["required"] == ["path"]
    orjson.dumps(schema)


def test_types_that_have_no_schema_together_allow_anything(monkeypatch):
    def refuse(*_, **__):
        raise KeyError("one name for two types")

    def fit(path: str, folds: int = 5): ...

    monkeypatch.setattr(TypeAdapter, "json_schemas", refuse)
    assert inputs(fit)["properties"] == {"path": {"title": "path"}, "folds": {"title": "folds", "default": 5}}


def test_partials_and_callable_objects_have_the_annotations_of_what_they_call():
    def fit(path: str, folds: int = 5): ...

    class Agent:
        """Not this."""

        def __call__(self, goal: str):
            """Reach it."""

    assert inputs(partial(fit, folds=7))["properties"]["folds"] == {"type": "integer", "title": "folds", "default": 7}
    schema = inputs(Agent())
    assert (schema["properties"]["goal"]["type"], schema["description"]) == ("string", "Reach it.")


def test_only_who_is_asked_makes_a_schema():
    assert ExtendedAgent.of(lambda goal: goal).spec().inputs is None
