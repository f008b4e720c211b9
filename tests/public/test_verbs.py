"""Every verb under one name, wherever a user may say it: docs/python.md has the table, and this walks it."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

import phasenb as pn
from phasenb.cli.app import app
from phasenb.core.options import OPTIONS
from phasenb.web.http_protocol import OPERATIONS
from phasenb.web.message_protocol import COMMAND_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
VERBS = (
    "launch", "tasks", "results", "logs", "events", "source", "cancel", "pause", "resume", "approve", "deny", "give_up",
    "retry", "resume_launches",
)  # fmt: skip
STEERING = ("cancel", "pause", "resume", "approve", "deny", "give_up", "retry")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_one_name_everywhere(verb):
    assert verb in pn.__all__
    assert callable(getattr(pn, verb))
    assert callable(getattr(pn.Client, verb))
    assert asyncio.iscoroutinefunction(getattr(pn.AsyncClient, verb))
    assert verb.replace("_", "-") in get_command(app).commands
    assert verb in {operation.name for operation in OPERATIONS}


def test_what_steers_a_task_is_a_command():
    assert set(STEERING) <= set(COMMAND_TYPES)


@pytest.mark.parametrize("verb", ["source", *STEERING])
def test_what_is_asked_of_a_task_takes_the_same_wherever_it_is_said(verb):
    takes = [
        [(each.name, each.kind, each.default) for each in inspect.signature(found).parameters.values()][skipped:]
        for found, skipped in (
            (getattr(pn, verb), 1),
            (getattr(pn.Client, verb), 2),
            (getattr(pn.AsyncClient, verb), 2),
            (getattr(pn.TaskHandle, verb), 1),
        )
    ]
    assert takes == [takes[0]] * 4


@pytest.mark.parametrize("launch", [pn.launch, pn.Client.launch, pn.AsyncClient.launch, pn.Workflow("w").launch])
def test_the_keywords_of_a_launch_are_inputs_and_nothing_else(launch):
    kinds = {each.kind for each in inspect.signature(launch).parameters.values() if each.name not in ("self", "values")}
    assert kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def rows(heading):
    """The first cells of the table under a heading."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [re.findall(r"`(\w+)", line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")]


def named(heading):
    return {name for row in rows(heading) for name in row}


def test_the_page_has_every_option():
    assert named("Options") == set(OPTIONS)


def test_the_page_has_every_verb():
    assert named("Verbs") == set(VERBS)


def test_the_page_names_all_that_is_public():
    assert {name for name in pn.__all__ if f"`{name}" not in PAGE and f"pn.{name}" not in PAGE} == set()
    public = {name for name in dir(pn.TaskHandle) if not name.startswith("_")}
    assert {name for name in public if f"`{name}" not in PAGE and f"task.{name}" not in PAGE} == set()
