"""Terminals, pipes and mails that are not UTF-8: words are replaced, the exit code and the task are right."""

import io
import os
import subprocess
import sys

import pytest

from phasenb.display.streams import write

SCRIPT = """
import phasenb as pn
flow = pn.Workflow("r \u2713")
@flow.implementation
def go(ctx):
    ctx.update(0.5, "halfway \\u2026")
    return "\\u2713"
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_command_and_show_end_well_on_any_stream(tmp_path, encoding):
    (tmp_path / "r.py").write_text(SCRIPT)
    (tmp_path / "show.py").write_text(
        SCRIPT + "if __name__ == '__main__':\n    t = flow.launch()\n    t.result(60)\n    t.show()\n"
    )
    foreign = ("JUPYTER", "PHASENB", "JPY", "LC_", "LANG")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    variables |= {"HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path), "PYTHONIOENCODING": encoding}
    for words in (["-m", "phasenb", "launch", "r.py:flow", "--wait"], ["show.py"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=variables, capture_output=True, timeout=100, check=False
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        # click takes ASCII for a terminal that was set up wrongly, and writes UTF-8 to it.
        whole = encoding == "utf-8" or (encoding == "ascii" and words[0] == "-m")
        assert ("r ✓" if whole else "r ?") in done.stdout.decode("utf-8" if whole else encoding)
    listed = subprocess.run(
        [sys.executable, "-m", "phasenb", "tasks"], cwd=tmp_path, env=variables, capture_output=True, check=True
    )
    assert listed.stdout.count(b"completed") == 2


def test_what_a_stream_can_not_hold_is_replaced():
    file = io.TextIOWrapper(io.BytesIO(), "latin-1")
    write("é ✓\n", file)
    file.flush()
    assert file.buffer.getvalue() == "é ?\n".encode("latin-1")
