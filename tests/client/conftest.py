"""A script as a person has it: in a process and a folder of its own, on the embedded host."""

import os
import subprocess
import sys
import textwrap

import pytest

FLOW = """
    import phasenb as pn

    flow = pn.Workflow("count")

    @flow.research
    def look(ctx, n):
        print("looking")
        for _ in ctx.track(range(n)):
            pass
        return {"n": n}

    @flow.planning
    def plan(research):
        return (research["n"], {1: "int keys and tuples stay"})

    @flow.implementation
    def do(ctx, planning):
        ctx.artifact("note", "kept")
        return planning[0] * 2
"""


@pytest.fixture
def script(tmp_path):
    """``run(code)``: the code after FLOW, in a process of its own in tmp_path; its completed process."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY"))}
    environ |= {"PHASENB_STORE_URL": str(tmp_path / "store.db"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}

    def run(code, flow=FLOW, ok=True, **more):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(flow) + textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, path], cwd=tmp_path, env=environ | more, capture_output=True, text=True, timeout=150
        )
        assert not ok or done.returncode == 0, done.stderr
        return done

    return run
