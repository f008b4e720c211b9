"""docs/guarantees.md: each promise names its proof, and each proof is a test that there is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs" / "guarantees.md").read_text().partition("\n## What it does not promise")[0]
SECTIONS = re.split(r"^### ", PROMISES, flags=re.MULTILINE)[1:]
NAMED = [each for section in SECTIONS for each in re.findall(r"`(tests/[^`]+?\.py)::(\w+)`", section)]


@cache
def names_in(path):
    body = ast.parse((ROOT / path).read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_a_promise_has_a_proof(section):
    assert re.search(r"^- `tests/", section, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_a_proof_is_a_test(path, name):
    assert name.startswith("test_")
    assert name in names_in(path)


def test_nothing_else_is_named_as_a_test():
    assert len(NAMED) == len(re.findall(r"tests/", PROMISES)) > 30
