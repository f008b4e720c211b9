"""The quickstart's own functions on the real table: the cells before the launch, run here with little work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELLS = json.loads((NOTEBOOKS / "quickstart.ipynb").read_text())["cells"]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(NOTEBOOKS)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for source in ("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"):
        if ".launch(" in source:
            break
        exec(source, namespace)
    return namespace


def test_the_phases_find_what_there_is_to_find(notebook: dict[str, Any]) -> None:
    scores = notebook["flow"].run(path="data/penguins.csv", resamples=20, repeats=1)
    assert scores["accuracy"] > 0.95
    assert list(scores["recall"].index) == ["Adelie", "Chinstrap", "Gentoo"]


def test_decisions_follow_from_the_profile(notebook: dict[str, Any], tmp_path: Path) -> None:
    """With a measure's values shuffled away, research sees it and planning leaves it out."""
    table = pd.read_csv("data/penguins.csv")
    table["bill_length_mm"] = table["bill_length_mm"].sample(frac=1, random_state=1).to_numpy()
    table.to_csv(tmp_path / "shuffled.csv", index=False)
    decided: dict[str, Any] = {}
    notebook["flow"].implementation(lambda planning: decided.update(planning))
    notebook["flow"].run(path=str(tmp_path / "shuffled.csv"), resamples=20)
    assert "bill_length_mm" not in decided["features"]
    assert set(decided["features"]) <= {"bill_depth_mm", "flipper_length_mm", "body_mass_g"}


def test_the_notebook_is_committed_without_outputs() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS if cell["cell_type"] == "code")
