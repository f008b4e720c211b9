"""The recipes of docs/agents.md for other libraries, with the library itself and a model that answers from a list."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "agents.md").read_text()
RECIPES = {
    "Pydantic AI": ("pydantic_ai", "mice"),
    "smolagents": ("smolagents", 2),
    "OpenAI Agents": ("openai_agents", "mice"),
    "llama-index workflows": ("pydantic_ai", "OWLS"),  # its recipe has no model
}


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_gives_what_it_says(environment, tmp_path, heading):
    model, result = RECIPES[heading]
    recipe = re.search(rf"^### {heading}\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)[1]
    (tmp_path / "models.py").write_text((HERE / "models.py").read_text())
    (tmp_path / "script.py").write_text(
        f"from models import {model} as make_model\n{recipe}\nassert task.result() == {result!r}, task.result()\n"
    )
    store = {"PHASENB_STORE_URL": str(tmp_path / "phasenb.db"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    environment("agent_libraries").run("python", "script.py", cwd=tmp_path, environ=store)
