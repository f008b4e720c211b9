"""Ctrl-C, or Stop in a notebook, while a task is waited for: the task goes on, and the user is told."""

from tests.conftest import reply_to

FLOW = """
import threading
import phasenb as pn

flow = pn.Workflow("slow", phases=("wait",))

@flow.phase("wait")
def wait():
    threading.Event().wait(3600)

task = flow.launch()
while task.state != "running":
    pass
"""


def test_a_stopped_cell_says_that_the_task_goes_on(jupyter_process):
    server = jupyter_process()
    kernel = server.kernel()
    assert reply_to(kernel, kernel.execute(FLOW))["status"] == "ok"
    waiting = kernel.execute("print('waits', flush=True); task.result()")
    while True:
        message = kernel.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream" and "waits" in message["content"]["text"]:
            break
    [running] = server.request("api/kernels")
    server.request(f"api/kernels/{running['id']}/interrupt", {})
    reply = reply_to(kernel, waiting)
    told = "\n".join(reply["traceback"])
    assert reply["ename"] == "StoppedWaiting"
    assert "goes on: task.cancel() ends it" in told
    assert "handle.py" not in told
    assert reply_to(kernel, kernel.execute("assert task.state == 'running'; task.cancel()"))["status"] == "ok"
