"""Each notebook of ``notebooks/``: what its cells define means the same in a phase and back. In this process."""

import pytest

from tests.codecs.names.notebook import NOTEBOOKS, run

IN_WORKERS = {  # tests/executors/test_names_in_workers.py
    "pools_fork", "pools_spawn", "pools_forkserver", "forkserver_kept", "joblib_loky", "subclasses_of_a_library",
    "read_back",
}  # fmt: skip
HERE = sorted(path.stem for path in NOTEBOOKS.glob("*.py") if path.stem not in IN_WORKERS)


@pytest.mark.parametrize("name", HERE)
def test_names_mean_the_same_in_a_phase_and_back(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(name, tmp_path)
