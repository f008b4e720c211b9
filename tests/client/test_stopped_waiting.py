"""Ctrl-C, or Stop in a notebook, while a task is waited for: the task goes on, and the user is told."""

from tests.conftest import reply_to
from tests.waiting import until

FLOW = """
import threading
import phasenb as pn

flow = pn.Workflow("slow", phases=("wait",))

@flow.phase("wait")
def wait():
    threading.Event().wait(3600)

task = flow.launch()
"""
RUNNING = """
running = threading.Event()
task.listen(lambda: running.set() if task.state == "running" else None)
assert running.wait(60)
"""


def test_a_stopped_cell_says_that_the_task_goes_on(jupyter_process):
    server = jupyter_process()
    kernel = server.kernel()
    assert reply_to(kernel, kernel.execute(FLOW + RUNNING))["status"] == "ok"
    waiting = kernel.execute("print('waits', flush=True); task.result()")
    until(lambda: "waits" in kernel.get_iopub_msg(timeout=60)["content"].get("text", ""))
    [running] = server.request("api/kernels")
    server.request(f"api/kernels/{running['id']}/interrupt", {})
    reply = reply_to(kernel, waiting)
    told = "\n".join(reply["traceback"])
    assert reply["ename"] == "StoppedWaiting"
    assert "goes on: task.cancel() ends it" in told
    assert "handle.py" not in told
    assert reply_to(kernel, kernel.execute("assert task.state == 'running'; task.cancel()"))["status"] == "ok"


INTERRUPTED = """
import os, signal

task.listen(lambda: os.kill(os.getpid(), signal.SIGINT) if task.state == "running" else None)
try:
    task.result()
except KeyboardInterrupt as stopped:
    assert type(stopped) is KeyboardInterrupt
    task.cancel()
"""


def test_ctrl_c_in_a_script_is_pythons_own_with_a_line_beside_it(script):
    done = script(INTERRUPTED, flow=FLOW)
    assert "the waiting was stopped; slow" in done.stderr
    assert "goes on, as long as this process does: task.cancel() ends it" in done.stderr
