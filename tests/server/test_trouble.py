"""A wrong configuration or a broken store: the Jupyter server starts, says what is wrong, and deletes nothing."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from phasenb.errors import StoreUnavailable
from phasenb.server import app
from phasenb.web.message_handler import error_message
from tests.waiting import PATIENCE_S, until


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
        deadline = time.monotonic() + PATIENCE_S
        while (await jp_fetch("phasenb", "api", "health", raise_error=False)).code != 200:
            assert time.monotonic() < deadline
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


class TestServerStartedOnAReadOnlyStore:
    """A process of its own, which may not write what the modes of files forbid: root may, by a capability."""

    @pytest.fixture
    def store(self, tmp_path):
        """As a host that was killed leaves it: a connection to it maps its -shm, which others of its process share."""
        folder = tmp_path / "store"
        folder.mkdir()
        leave = "import os, sys; from phasenb.store.saver import MemorySaver as M; M.open(sys.argv[1]); os._exit(0)"
        subprocess.run([sys.executable, "-c", leave, str(folder / "phasenb.db")], check=True)
        assert (folder / "phasenb.db-shm").exists()
        return folder / "phasenb.db"

    @pytest.fixture
    def start(self, tmp_path, store, agents_folder):
        with contextlib.ExitStack() as closing:

            def started():
                drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = probe.getsockname()[1]
                agents = '{"three": "server_test_agents:flow"}'
                command = [sys.executable, "-m", "jupyter_server", f"--port={port}", "--IdentityProvider.token=secret"]
                command += [f"--ServerApp.root_dir={tmp_path}", "--no-browser", "--allow-root"]
                command += ["--ServerApp.jpserver_extensions={'phasenb': True}", f"--PhaseNB.agents={agents}"]
                environ = {
                    **os.environ,
                    "PHASENB_STORE_URL": str(store),
                    "PYTHONPATH": str(agents_folder),
                    "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
                }
                log = closing.enter_context((tmp_path / "server.log").open("w"))
                root = drop if os.geteuid() == 0 else []
                process = subprocess.Popen([*root, *command], env=environ, stdout=log, stderr=log)
                closing.callback(process.wait)
                closing.callback(process.terminate)
                return f"http://127.0.0.1:{port}/phasenb/api/"

            yield started

    def ask(self, url, body=None):
        """(status, answer); None while the server is not there yet."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, {"Authorization": "token secret"})) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except urllib.error.URLError:
            return None

    def test_it_launches_as_soon_as_the_store_can_be_written(self, store, start):
        files = list(store.parent.iterdir())
        for path in files:
            path.chmod(0o444)
        store.parent.chmod(0o555)
        url = start()
        health = until(lambda: self.ask(f"{url}health"))
        assert (health[0], health[1]["code"]) == (503, "store_unavailable")
        assert "can't be written" in health[1]["message"]
        launch = {"agent": "three", "inputs": {"path": "x"}}
        assert self.ask(f"{url}tasks", launch)[0] == 503

        store.parent.chmod(0o755)
        for path in files:
            path.chmod(0o644)
        until(lambda: self.ask(f"{url}health")[0] == 200)
        status, launched = self.ask(f"{url}tasks", launch)
        assert status == 201

        def completed():
            state = self.ask(f"{url}tasks/{launched['task_id']}")[1]["state"]
            assert state in ("queued", "running", "completed")
            return state == "completed"

        until(completed)
