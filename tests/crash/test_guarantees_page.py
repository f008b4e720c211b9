"""docs/guarantees.md: each promise names its proof, and each proof is a test that there is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs" / "guarantees.md").read_text().partition("\n## What it does not promise")[0]
SECTIONS = re.split(r"^### ", PROMISES, flags=re.MULTILINE)[1:]
NAMED = [each for section in SECTIONS for each in re.findall(r"`(tests/[^`]+?\.py)::((?:\w+::)?\w+)`", section)]


@cache
def names_in(path):
    """The functions of a module, and those of its classes as ``Class::function``."""
    body = ast.parse((ROOT / path).read_text()).body
    inner = [(f"{each.name}::", each.body) for each in body if isinstance(each, ast.ClassDef)]
    return {
        prefix + node.name
        for prefix, nodes in [("", body), *inner]
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_a_promise_has_a_proof(section):
    assert re.search(r"^- `tests/", section, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_a_proof_is_a_test(path, name):
    assert name.rpartition("::")[2].startswith("test_")
    assert name in names_in(path)


def test_nothing_else_is_named_as_a_test():
    assert len(NAMED) == len(re.findall(r"tests/", PROMISES)) > 30
