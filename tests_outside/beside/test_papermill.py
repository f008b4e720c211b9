"""A notebook that papermill runs: its tasks complete, and their results are there afterwards."""

import json

import nbformat

CELL = """
import phasenb as pn

flow = pn.Workflow("doubling")

@flow.phase("work")
def work(n):
    return n * 2

result = flow.launch(n=n).result(timeout=60)
print("result", result)
"""


def test_a_parameterised_notebook_launches_and_waits(environment, tmp_path):
    cells = [nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(CELL)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (tmp_path / "in.ipynb").write_text(nbformat.writes(notebook))

    store = {"PHASENB_STORE_URL": str(tmp_path / "phasenb.db")}
    environment("beside").run("papermill", "in.ipynb", "out.ipynb", "-p", "n", "21", cwd=tmp_path, environ=store)

    outputs = json.loads((tmp_path / "out.ipynb").read_text())["cells"][-1]["outputs"]
    assert "result 42" in "".join("".join(output.get("text", [])) for output in outputs)
