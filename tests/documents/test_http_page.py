"""docs/http.md is run: every command of it, in order, in one shell, against a real server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from phasenb.web.http_protocol import OPERATIONS, STATUS

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", PAGE, re.MULTILINE | re.DOTALL)
MARK = "--- end of a block ---"
AGENTS = """
import phasenb.agents.workflow

report = phasenb.agents.workflow.Workflow("report", phases=("count", "write"))


@report.phase("count")
def count(ctx, week):
    print("week", week)
    ctx.artifact("table", {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124})
    return {"penguins": 344}


@report.phase("write")
def write(count, week):
    return f"{count['penguins']} penguins in week {week}"
"""


@pytest.fixture
def server(jupyter_process, tmp_path):
    (tmp_path / "http_page_agents.py").write_text(AGENTS)
    config = tmp_path / "config" / "phasenb"
    config.mkdir(parents=True)
    (config / "server_config.json").write_text(json.dumps({"agents": {"report": "http_page_agents:report"}}))
    return jupyter_process(environ={"PYTHONPATH": str(tmp_path)})


def is_like(shown, found):
    """Whether ``found`` has what is shown: "…" stands for anything, and an object may hold more."""
    if shown == "…":
        return found is not None
    if isinstance(shown, dict):
        return isinstance(found, dict) and all(name in found and is_like(shown[name], found[name]) for name in shown)
    if isinstance(shown, list):
        return isinstance(found, list) and len(shown) == len(found) and all(map(is_like, shown, found))
    return shown == found


def test_every_command_does_what_the_page_shows(server, tmp_path):
    commands = [block.replace("SERVER=http://localhost:8888\n", "") for block, _ in BLOCKS]
    script = "set -euo pipefail\n" + "".join(f"{block}\necho '\n{MARK}'\n" for block in commands)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "SERVER": server.url.rstrip("/"), "TOKEN": server.token}
    ran = subprocess.run(
        ["bash", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = ran.stdout.split(MARK)[:-1]
    assert len(answers) == len(BLOCKS) > 10
    for (block, shown), answer in zip(BLOCKS, answers, strict=True):
        if shown:
            assert is_like(json.loads(shown), json.loads(answer)), f"{block}\n{answer}"
        else:
            assert answer.strip() == "", block


def test_all_paths_and_codes_are_on_the_page():
    for operation in OPERATIONS:
        path = operation.path.removeprefix("/phasenb/api/")
        assert f"| `{operation.method} {path}` | `{operation.permission}` |" in PAGE
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE))
    for code, status in STATUS.items():
        assert f"`{code}`" in rows[str(status)], code
