"""What people write to pick tasks and servers."""

import pytest

from phasenb.client.discovery import backend_for
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
