"""A kernel's environment with an older phasenb: said as what it is, by a launch and by doctor; never as lost memory."""

import json
import os
import subprocess
import sys

# Launches as a kernel of another environment does: its interpreter is what a worker is started with.
LAUNCH = """
import sys
import phasenb as pn

client = pn.connect(sys.argv[1], token=sys.argv[2])
sys.executable = sys.argv[3]
flow = pn.Workflow("a")
flow.phase("b")(lambda: 1)
try:
    client.launch(flow).result(timeout=60)
except pn.PhasenbError as error:
    print(type(error).__name__, error)
"""


def environ_with_kernel(tmp_path, python):
    """The variables of a shell in which a kernel of another environment is installed."""
    kernel = tmp_path / "data" / "kernels" / "older"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Older", "language": "python"}))
    return {**os.environ, "JUPYTER_PATH": str(tmp_path / "data"), "PHASENB_STORE_URL": str(tmp_path / "phasenb.db")}


def test_doctor_reads_the_hello_of_the_kernels_environment(environment, tmp_path):
    environ = environ_with_kernel(tmp_path, environment("older_worker").python)
    command = [sys.executable, "-m", "phasenb", "doctor", "--json"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    told = {each["check"]: each for each in map(json.loads, done.stdout.splitlines()) if "check" in each}
    assert told["kernel older"]["status"] == "wrong", done.stdout + done.stderr
    assert "speaks protocol 1" in told["kernel older"]["text"]
    assert "install the same release of phasenb in both environments" in told["kernel older"]["text"]
    assert done.returncode == 1


def test_a_launch_from_such_a_kernel_is_a_mismatch_in_words(environment, jupyter_process):
    older = environment("older_worker")
    server = jupyter_process()
    command = [sys.executable, "-c", LAUNCH, server.url, server.token, str(older.python)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "RuntimeMismatch" in done.stdout, done.stdout + done.stderr
    assert "speaks protocol 1" in done.stdout
    assert "memory" not in done.stdout
