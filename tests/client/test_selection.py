"""What people write to pick tasks and servers."""

import pytest

from phasenb.client.discovery import backend_for, is_kernels_server
from phasenb.client.http_backend import parse_url
from phasenb.client.selection import state_of
from phasenb.dto.task_state import State


def test_states_are_told_by_name() -> None:
    assert state_of(None) is None
    assert state_of("failed") is State.FAILED
    with pytest.raises(ValueError, match=r"state='done' is none of queued, running, .*completed"):
        state_of("done")


def test_an_empty_url_is_no_request_for_this_process() -> None:
    with pytest.raises(ValueError, match="url is empty"):
        backend_for("")


def test_only_the_server_that_started_this_kernel_is_beside_its_page(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert not is_kernels_server("http://localhost:8888/")
    monkeypatch.setenv("JPY_PARENT_PID", "42")
    (tmp_path / "jpserver-42.json").write_text(
        '{"pid": 42, "url": "http://localhost:8888/lab/..", "token": "t", "sock": ""}'
    )
    assert not is_kernels_server("http://localhost:9999/")
    (tmp_path / "jpserver-42.json").write_text('{"pid": 42, "url": "http://localhost:8888/", "token": "t", "sock": ""}')
    assert is_kernels_server("http://localhost:8888/")
    (tmp_path / "jpserver-42.json").write_text('{"pid": 42, "url": "", "token": "", "sock": "/run/jupyter.sock"}')
    assert not is_kernels_server("http://localhost:8888/")


@pytest.mark.parametrize("page", ["", "lab", "lab/tree/a/b.ipynb", "tree", "notebooks/a.ipynb", "doc/tree/x"])
def test_a_url_as_it_is_pasted_from_a_browser(page: str) -> None:
    assert parse_url(f" http://h:8888/user/ada/{page}?token=t ") == ("http://h:8888/user/ada/", "t")
    assert parse_url("http://h/labs/") == ("http://h/labs/", "")
