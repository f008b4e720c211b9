"""RA.Aid's own agent, with the versions that work together, through phasenb's workers."""

import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "script.py"


@pytest.mark.timeout(600)  # RA.Aid takes a minute to be imported on a slow machine
def test_ra_aid_runs_through_its_phases_and_ends(environment, tmp_path):
    store = {"PHASENB_STORE_URL": str(tmp_path / "phasenb.db"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    done = environment("ra_aid").run("python", SCRIPT, cwd=tmp_path, environ=store)
    told = json.loads(done.stdout.splitlines()[-1])

    assert told["phases"] == ["research", "planning", "implementation"]
    assert told["outputs"] == ["an owl in the cellar", "open the window", "it flew away"]
    assert told["result"] == "it flew away"
    assert len(told["lines"]) < 100

    failure, lines = told["limited"]
    assert "made more than 9 steps" in failure
    assert "attempt 1" in failure  # not retried
    # It warns again and again where it has no database around it: the first of a kind is told, the others are counted.
    warnings = [line.partition("=")[0] for line in lines if line.startswith(("WARNING ra_aid", "ERROR ra_aid"))]
    assert warnings
    assert len(set(warnings)) == len(warnings)
    failure, _ = told["crashed"]
    assert "crashed in the phase `research`: Agent failed to make any tool calls" in failure

    assert told["cancelled"]["state"] == "cancelled"
    assert told["cancelled"]["left"]  # interrupted inside the tool, which could clean up
    assert told["cancelled"]["seconds"] < 10  # a second, on a machine of its own
