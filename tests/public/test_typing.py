"""The types of the public API, by a checker that users have: VS Code's, and that of JupyterLab's language server."""

import json
import subprocess
import sys
from pathlib import Path

API = Path(__file__).parent / "api.py"


def test_a_type_checker_knows_what_a_launch_returns_and_takes(tmp_path):
    config = tmp_path / "pyrightconfig.json"
    rules = {"typeCheckingMode": "standard", "reportUnnecessaryTypeIgnoreComment": "error"}
    config.write_text(json.dumps({"include": [str(API)], "extraPaths": [str(API.parents[2])], **rules}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, "--project", str(config)], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    told = [f"line {each['range']['start']['line'] + 1}: {each['message']}" for each in found["generalDiagnostics"]]
    assert told == []
