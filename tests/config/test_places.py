"""Without a home folder (a uid without a passwd entry, HOME unset) phasenb says so wherever it needs one."""

import os
import subprocess
import sys

import pytest

# As for a container's arbitrary uid: it is in no passwd file.
NOBODY = "import os, pwd, sys\ndef nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody\n"
LAUNCH = "import phasenb as pn\nflow = pn.Workflow('a')\nflow.phase('b')(lambda: 1)\nflow.launch()\n"
KERNEL = "os.environ['JPY_PARENT_PID'] = str(os.getppid())\n" + LAUNCH
COMMAND = "from phasenb.cli import main\nsys.argv = ['phasenb', {}]\nmain()\n"


def without_home(code, **more):
    named = ("HOME", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    environ = {name: value for name, value in os.environ.items() if name not in named and "PHASENB" not in name}
    command = [sys.executable, "-c", NOBODY + code]
    return subprocess.run(command, env={**environ, **more}, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("code", [LAUNCH, KERNEL])
def test_a_launch_ends_with_a_sentence(code):
    done = without_home(code)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("phasenb.errors.ConfigError: the environment: HOME: it is not set, and the user (uid ")
    assert "set HOME" in last


@pytest.mark.parametrize("name", ["tasks", "doctor", "serve"])
def test_a_command_ends_with_a_sentence(name):
    done = without_home(COMMAND.format(repr(name)))
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stdout + done.stderr
    assert "HOME: it is not set" in done.stdout + done.stderr


def test_a_tilde_ends_with_a_sentence():
    done = without_home(LAUNCH, PHASENB_STORE_URL="~/phasenb.db", JUPYTER_CONFIG_DIR="/nowhere")
    assert "HOME: it is not set" in done.stderr.splitlines()[-1]
