"""The short soak: a minute of random failures, with a seed that is printed when it finds something."""

import os

import pytest

from tests.crash.soak import soak, told

SEED = int(os.environ.get("SEED") or 20261125)
SECONDS = 40
TASKS = 40


@pytest.mark.timeout(900)
def test_the_soak(tmp_path, proof):
    wrong, done = soak(tmp_path, SEED, SECONDS, TASKS)
    proof(f"soak, SEED={SEED}: {told(done)}; wrong: {len(wrong)}")
    assert not wrong, "\n".join([f"SEED={SEED}", *wrong])
    for name in ("workers killed", "hosts killed", "hosts frozen", "commands", "completed"):
        assert done[name], f"the soak proves nothing: {name} is 0"
