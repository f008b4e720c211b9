"""A notebook that jupyter-scheduler runs as a job: its tasks run on the server, in a session of the run's own."""

import re
import time
from pathlib import Path

import nbformat

CELL = """
import phasenb as pn

flow = pn.Workflow("nightly count")

@flow.phase("count")
def count(n):
    return n * 2

task = flow.launch(n=int(n))
print("result", task.result(timeout=60), "in", pn.connect().session, "of", len(pn.tasks()))
"""


def written(path):
    cells = [nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(CELL)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})))


def ended(server, job_id):
    """The job, once it has ended, as its page asks."""
    deadline = time.monotonic() + 120
    while True:
        job = server.request(f"scheduler/jobs/{job_id}")
        if job["status"] in ("COMPLETED", "FAILED"):  # a job that has not begun is called STOPPED
            return job
        assert time.monotonic() < deadline, f"{job}\n{server.log.read_text()}"
        time.sleep(0.2)


def test_a_job_launches_and_each_run_has_a_session_of_its_own(environment, jupyter_process, tmp_path):
    beside = environment("beside")
    staging = tmp_path / "data" / "scheduler_staging_area"
    server = jupyter_process(python=beside.python, environ={"JUPYTER_DATA_DIR": str(staging.parent)})
    written(server.folder / "count.ipynb")
    (runtime,) = [each["name"] for each in server.request("scheduler/runtime_environments")][:1]

    sessions = []
    for n in (21, 4):
        asked = {
            "name": "nightly", "input_uri": "count.ipynb", "input_filename": "count.ipynb",
            "runtime_environment_name": runtime, "output_formats": ["ipynb"], "parameters": {"n": str(n)},
        }  # fmt: skip
        job_id = server.request("scheduler/jobs", asked)["job_id"]
        job = ended(server, job_id)
        assert job["status"] == "COMPLETED", f"{job}\n{server.log.read_text()}"
        (result,) = (staging / job_id).glob("count-*.ipynb")  # its input is beside it
        said = re.search(r"result (\d+) in (\S+) of (\d+)", result.read_text())
        assert said, result.read_text()
        assert (said[1], said[3]) == (str(2 * n), "1")
        sessions.append(said[2])
        assert said[2].startswith(f"py:{job_id}-"), "its staging folder's"
    assert sessions[0] != sessions[1]

    # The server has them: they are found by all who look there, long after the job.
    tasks = server.request("phasenb/api/tasks")["tasks"]
    assert sorted(task["session"] for task in tasks) == sorted(sessions)
    assert {task["state"] for task in tasks} == {"completed"}
    listed = beside.run("phasenb", "--url", server.url, "--token", server.token, "tasks", "--session", sessions[0])
    assert "nightly count" in listed.stdout
    kernel = server.kernel("looking.ipynb")
    looks = "import phasenb as pn\nassert len(pn.tasks()) == 0 and len(pn.tasks(scope='user')) == 2"
    looks += "\nassert sorted(pn.results(scope='user')['output']) == [8, 42]"
    reply = kernel.execute_interactive(looks, timeout=60)["content"]
    assert reply["status"] == "ok", reply
    assert Path(server.folder / "count.ipynb").exists()
