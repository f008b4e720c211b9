"""What a process knows of the task whose phase it runs, or that started it."""

import os

import pytest

from phasenb.core.parent import (
    VARIABLE,
    Lineage,
    ParentTask,
    current_lineage,
    current_parent,
    process_runs,
    started_by,
    waiting_for,
)
from phasenb.errors import ConfigError, ServerUnreachable

LINEAGE = Lineage("01X", "nb:x", "/x.ipynb", "http://host/", frozenset({"B_KEY", "A_KEY"}))


def a_parent():
    return ParentTask(
        task_id="01X",
        session="nb:x",
        notebook="/x.ipynb",
        url="http://host/",
        objects_url="o",
        send=lambda *_: None,
        secrets=["A_KEY", "B_KEY"],
    )


def test_what_a_phase_starts_knows_whose_it_is(monkeypatch):
    with process_runs(a_parent()):
        told = os.environ[VARIABLE]
        assert current_lineage() == LINEAGE
        assert started_by() is None
    assert VARIABLE not in os.environ
    assert current_lineage() is None
    monkeypatch.setenv(VARIABLE, told)  # as in a process that it has started
    assert current_parent() is None
    assert current_lineage() == started_by() == LINEAGE


def test_another_session_is_that_of_what_is_started_from_now_on():
    parent = a_parent()
    with process_runs(parent):
        parent.use_session("nb:y")
        assert Lineage.of_variable(os.environ[VARIABLE]).session == current_lineage().session == "nb:y"


def test_a_worker_has_no_server_of_its_hosts_while_a_phase_runs(monkeypatch):
    monkeypatch.setenv("PHASENB_URL", "http://host/")
    monkeypatch.delenv("PHASENB_TOKEN", raising=False)
    with process_runs(a_parent()):
        assert "PHASENB_URL" not in os.environ
        os.environ["PHASENB_URL"] = os.environ["PHASENB_TOKEN"] = "of the phase"
    assert os.environ["PHASENB_URL"] == "http://host/"
    assert "PHASENB_TOKEN" not in os.environ


def test_a_forked_process_is_a_started_one_whatever_its_environment_is():
    reads, writes = os.pipe()
    parent = a_parent()
    with process_runs(parent):
        pid = os.fork()
        if pid == 0:
            try:
                os.environ.pop(VARIABLE)
                with pytest.raises(ServerUnreachable):
                    parent.check_reachable()
                os.write(writes, repr((current_parent(), started_by() == LINEAGE)).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    os.close(writes)
    assert os.read(reads, 1_000) == b"(None, True)"
    os.close(reads)


@pytest.mark.parametrize("told", ["", "[]", "{}", "5", '{"task_id": "01X", "secrets": 5}'])
def test_a_variable_that_nobody_of_ours_set_is_refused(told, monkeypatch):
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(ConfigError, match="unset it"):
        current_lineage()


def test_a_phase_that_would_wait_for_its_own_task_is_told():
    with (
        process_runs(a_parent()),
        pytest.raises(RuntimeError, match="wait for its own task 01X, which can't end before the phase"),
        waiting_for("01X"),
    ):
        pass
