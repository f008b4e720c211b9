"""Whether another host's process is there: told only where it can be told for certain."""

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from phasenb import host as hosts
from phasenb.config.machine import process_space, process_started


@pytest.fixture
def this_process():
    return hosts._info("here")


def test_this_process_lives_and_one_that_is_gone_does_not(this_process):
    gone = next(pid for pid in range(4_000_000, 1, -1) if not psutil.pid_exists(pid))
    assert hosts._alive(this_process) is True
    assert hosts._alive(replace(this_process, pid=gone)) is False
    assert hosts._alive(replace(this_process, pid_started="before it")) is False


@pytest.mark.parametrize(
    "unknown",
    [
        {"pid_started": ""},  # as a host writes it that could not tell its own
        {"machine": "another"},
        {"machine": process_space() + "0"},  # the same machine and files, another PID namespace
    ],
)
def test_what_can_not_be_told_is_left_to_the_lease(this_process, unknown):
    assert hosts._alive(replace(this_process, **unknown)) is None


def test_a_start_that_can_not_be_read_is_not_the_end_of_a_process(this_process, monkeypatch):
    monkeypatch.setattr(hosts, "process_started", lambda pid: "")
    assert hosts._alive(this_process) is None


def test_the_space_names_the_pid_namespace():
    assert process_space().endswith(str(Path("/proc/self/ns/pid").readlink()))
    assert process_started(os.getpid())
