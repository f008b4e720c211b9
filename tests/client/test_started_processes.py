"""What a process that a phase started finds: its task's session, and no server but one that is named there."""

import pytest

from phasenb.client import sessions
from phasenb.client.discovery import backend_for, server_for
from phasenb.client.embedded import EmbeddedBackend
from phasenb.core.parent import VARIABLE, Lineage
from phasenb.errors import ServerUnreachable


@pytest.fixture
def started(monkeypatch):
    monkeypatch.delenv("PHASENB_URL", raising=False)
    monkeypatch.setattr(sessions, "_chosen", None)
    monkeypatch.setenv(VARIABLE, Lineage("01X", "nb:x", "/x.ipynb", "http://host/").as_variable())


def test_it_is_in_its_tasks_session_until_it_chooses_another(started):
    assert (sessions.current_session(), sessions.current_notebook()) == ("nb:x", "/x.ipynb")
    sessions.session("nb:y")
    assert sessions.current_session() == "nb:y"


@pytest.mark.parametrize("find", [server_for, backend_for])
def test_it_finds_only_a_server_that_is_named_there(started, monkeypatch, find):
    with pytest.raises(ServerUnreachable, match="started by a phase of task 01X") as caught:
        find()
    assert "PHASENB_URL" in str(caught.value)
    monkeypatch.setenv("PHASENB_URL", "http://127.0.0.1:9/")
    assert not isinstance(find(), EmbeddedBackend)
    assert find().url == "http://127.0.0.1:9/"
