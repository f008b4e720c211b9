"""Which inputs count as others when a key is launched again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from phasenb.client.launching import attached_note
from phasenb.codecs import json_object
from phasenb.core.task_schema import apply
from phasenb.dto.base import new_ulid
from phasenb.dto.events import TaskCreated
from phasenb.dto.task_state import State, TaskState


def reference(digit: str, codec: str, kind: str = "pandas.DataFrame") -> dict[str, Any]:
    return {"$object": f"sha256:{digit * 64}", "codec": codec, "type": kind, "bytes": 9}


def created(launched: dict[str, Any]) -> TaskState:
    event = TaskCreated(
        task_id=new_ulid(), session="s", seq=1, at=datetime.now(UTC),
        name="t", agent="t", phases=("research",), inputs=launched, labels={}, key="k",
    )  # fmt: skip
    return apply(None, event)


def note(launched: dict[str, Any], given: dict[str, Any]) -> str:
    return attached_note(given, created(launched))


@pytest.mark.parametrize(
    ("launched", "given"),
    [
        ({"n": 1}, {"n": 1}),
        ({"df": reference("a", "parquet")}, {"df": reference("a", "parquet")}),
        ({"o": reference("a", "pickle")}, {"o": reference("b", "pickle")}),  # a set's bytes differ, not the set
        ({"rows": json_object([1, 2])[0].value}, {"rows": [1, 2]}),  # too large for the log: the host made it an object
    ],
)
def test_equal_inputs_are_not_told(launched: dict[str, Any], given: dict[str, Any]) -> None:
    assert note(launched, given) == "attached: its key was launched before, with the code of then"


@pytest.mark.parametrize(
    ("launched", "given", "names"),
    [
        ({"n": 1}, {"n": 2}, "input (n)"),
        ({"n": None}, {}, "input (n)"),
        ({"b": 1, "a": 1, "c": 0}, {"b": 2, "a": 2, "c": 0}, "inputs (a, b)"),
        ({"df": reference("a", "parquet")}, {"df": reference("b", "parquet")}, "input (df)"),
        ({"df": reference("a", "pickle")}, {"df": reference("b", "pickle", "set")}, "input (df)"),
        ({"df": reference("a", "parquet")}, {"df": [1]}, "input (df)"),
        ({"rows": json_object([1, 2])[0].value}, {"rows": [1, 3]}, "input (rows)"),
    ],
)
def test_other_inputs_are_named(launched: dict[str, Any], given: dict[str, Any], names: str) -> None:
    assert f"and other {names}: for these, take another key" in note(launched, given)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_of_a_task_that_did_not_complete_it_is_said_how_to_go_on(state: State) -> None:
    ended = created({"n": 1}).model_copy(update={"state": state})
    assert f", and {state}: task.retry(agent=...) runs it on with new code" in attached_note({"n": 1}, ended)
