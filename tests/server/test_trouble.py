"""A wrong configuration or a broken store: the Jupyter server starts, says what is wrong, and deletes nothing."""

import json

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from phasenb.errors import StoreUnavailable
from phasenb.server import app
from phasenb.web.message_handler import error_message


async def said(jp_fetch, url, jp_auth_header):
    """(health's status and body, the socket's answer); and the server itself still answers."""
    assert (await jp_fetch("api", "status")).code == 200
    health = await jp_fetch("phasenb", "api", "health", raise_error=False)
    socket = await websocket_connect(HTTPRequest(url("ws", "ws"), headers=jp_auth_header))
    await socket.write_message('{"id": "h", "type": "hello", "protocol": 1, "session": "s"}')
    answer = json.loads(await socket.read_message())
    await socket.write_message("not json")
    assert json.loads(await socket.read_message())["code"] == "store_unavailable"
    socket.close()
    return health.code, json.loads(health.body), answer


class TestCorruptStore:
    @pytest.fixture
    def phasenb_config(self, phasenb_config, tmp_path):
        self.path = tmp_path / "store" / "phasenb.db"
        self.path.write_bytes(b"this is no database" * 1000)
        return phasenb_config

    async def test_it_is_kept_and_named_in_the_log_alone(self, jp_fetch, url, jp_auth_header, caplog):
        status, body, answer = await said(jp_fetch, url, jp_auth_header)
        assert (status, body["code"]) == (503, "store_unavailable")
        assert body["message"].startswith("the store of this server can't be used: ")
        assert (answer["reply_to"], answer["code"]) == ("h", "store_unavailable")
        assert self.path.read_bytes().startswith(b"this is no database")
        told = [record for record in caplog.records if "phasenb is not available" in record.getMessage()]
        assert len(told) == 1
        assert told[0].exc_info is None
        assert str(self.path) in told[0].getMessage()


class TestStoreInTheWay:
    @pytest.fixture
    def phasenb_config(self, phasenb_config, tmp_path):
        (tmp_path / "file").write_text("not a folder")
        return {**phasenb_config, "store": {"url": str(tmp_path / "file" / "phasenb.db")}}

    async def test_it_is_named_in_the_log_alone(self, jp_fetch, url, jp_auth_header, tmp_path, caplog):
        status, body, _ = await said(jp_fetch, url, jp_auth_header)
        assert (status, body["code"]) == (503, "store_unavailable")
        assert str(tmp_path) not in body["message"]
        assert str(tmp_path / "file") in caplog.text


class TestStoreThatIsMended:
    @pytest.fixture
    def phasenb_config(self, phasenb_config, tmp_path, monkeypatch):
        monkeypatch.setattr(app, "START_AGAIN_S", 0.05)
        self.path = tmp_path / "store" / "phasenb.db"
        self.path.write_bytes(b"this is no database" * 1000)
        return phasenb_config

    async def test_it_is_used_without_a_restart(self, jp_fetch, caplog):
        assert (await jp_fetch("phasenb", "api", "health", raise_error=False)).code == 503
        self.path.unlink()
        while (await jp_fetch("phasenb", "api", "health", raise_error=False)).code != 200:
            pass
        told = [record for record in caplog.records if "phasenb is not available" in record.getMessage()]
        assert len(told) == 1, "however often it was tried"


class TestUnknownSetting:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "websocket": {"update_per_second": 3}}

    async def test_the_field_is_named(self, jp_fetch, url, jp_auth_header):
        status, body, answer = await said(jp_fetch, url, jp_auth_header)
        assert (status, body["code"]) == (503, "config_error")
        assert "phasenb is not configured rightly there" in answer["message"]
        assert "websocket.update_per_second" in body["message"]
        assert "update_per_second" in answer["message"]


class TestMisspeltTrait:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "alow_code": False}

    async def test_the_default_does_not_hold_in_silence(self, jp_fetch, url, jp_auth_header):
        _, body, _ = await said(jp_fetch, url, jp_auth_header)
        assert (body["code"], body["details"]["field"]) == ("config_error", "alow_code")
        assert "did you mean allow_code?" in body["message"]


class TestWrongTrait:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "allow_code": "perhaps"}

    async def test_it_is_a_config_error(self, jp_fetch, url, jp_auth_header):
        status, body, _ = await said(jp_fetch, url, jp_auth_header)
        assert (status, body["code"]) == (503, "config_error")
        assert "allow_code" in body["message"]


class TestInlineServer:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "executor": {"kind": "inline"}}

    async def test_it_is_refused(self, jp_fetch, url, jp_auth_header):
        _, body, _ = await said(jp_fetch, url, jp_auth_header)
        assert (body["code"], body["details"]["field"]) == ("config_error", "executor.kind")


def test_trouble_of_the_store_that_a_client_is_told_of_is_in_the_servers_log_too(caplog):
    told = error_message("7", StoreUnavailable("phasenb.db", "the file is damaged"))
    assert told.code == "store_unavailable"
    assert told.message == "the store of this server can't be used: the file is damaged"
    logged = "the store phasenb.db can't be used: the file is damaged"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [logged]
