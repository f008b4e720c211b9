"""Who gets in, and who may do what: jupyter.md's table, the Authorizer, and owners."""

import json
from http.cookies import SimpleCookie
from typing import ClassVar

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from phasenb.web.identity import operating_system_user
from phasenb.web.message_handler import WebSocketMessageHandler

FOREIGN = {"Origin": "http://elsewhere.example"}


@pytest.fixture
def token(jp_serverapp):
    return jp_serverapp.identity_provider.token


@pytest.fixture
def upgrade(url):
    """The status that a socket's handshake ends with; 101 is an open socket."""

    async def tried(headers, query=""):
        try:
            socket = await websocket_connect(HTTPRequest(url("ws", "ws") + query, headers=headers))
        except HTTPClientError as error:
            return error.code
        socket.close()
        return 101

    return tried


@pytest.fixture
def get(http_server_client, jp_base_url):
    async def tried(headers, query="", path="phasenb/api/health", **kwargs):
        response = await http_server_client.fetch(
            f"{jp_base_url}{path}{query}", headers=headers, raise_error=False, follow_redirects=False, **kwargs
        )
        return response.code

    return tried


@pytest.fixture
def cookie(http_server_client, jp_base_url, token):
    """The login cookie that a browser holds."""

    async def made():
        response = await http_server_client.fetch(f"{jp_base_url}api/status?token={token}")
        jar = SimpleCookie()
        for header in response.headers.get_list("Set-Cookie"):
            jar.load(header)
        return {"Cookie": "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items())}

    return made


async def test_without_a_valid_token_nobody_gets_in(upgrade, get):
    for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "username=rubbish"}):
        assert await upgrade(headers) == 403
        assert await get(headers) == 403
    assert await upgrade({}, "?token=wrong") == 403


@pytest.mark.parametrize("origin", [{}, FOREIGN])
async def test_a_token_gets_in_from_any_origin(upgrade, get, token, origin):
    for headers in ({"Authorization": f"token {token}"}, {"Authorization": f"Bearer {token}"}):
        assert await upgrade({**headers, **origin}) == 101
        assert await get({**headers, **origin}) == 200
    assert await upgrade(origin, f"?token={token}") == 101
    assert await get(origin, f"?token={token}") == 200


async def test_a_cookie_gets_in_from_the_same_origin_only(upgrade, get, cookie, jp_http_port):
    headers = await cookie()
    same = {"Origin": f"http://127.0.0.1:{jp_http_port}"}
    assert await upgrade(headers) == 101
    assert await upgrade({**headers, **same}) == 101
    assert await upgrade({**headers, **FOREIGN}) == 403
    assert await get({**headers, **FOREIGN}) in (403, 404)  # jupyter_server hides it from a foreign page


async def test_a_cookie_alone_can_not_upload(get, cookie):
    headers = await cookie()
    path = f"phasenb/api/objects/{'0' * 64}"
    assert await get(headers, path=path, method="PUT", body=b"bytes") == 403


async def test_under_jupyters_own_provider_the_owner_is_the_systems_user(open_socket):
    socket = await open_socket(hello=None)
    assert (await socket.ask("hello", protocol=1, session="s"))["owner"] == operating_system_user()


class Readers(Authorizer):
    """Lets everybody read; ``allowed`` are the other (action, resource) pairs."""

    allowed: ClassVar[set[tuple[str, str]]] = set()

    def is_authorized(self, handler, user, action, resource):
        return action == "read" or (action, resource) in self.allowed


class TestReadersOnly:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["authorizer_class"] = Readers
        return jp_server_config

    async def test_each_action_has_its_own_permission(self, open_socket, api, jp_fetch, monkeypatch):
        socket = await open_socket()
        launch = {"agent": "three", "inputs": {"path": "x"}}
        assert (await api("tasks"))[0] == 200
        refused = await socket.ask("launch", **launch)
        assert (refused["code"], refused["details"]) == ("forbidden", {"action": "execute"})
        upload = await jp_fetch("phasenb", "api", "objects", "0" * 64, method="PUT", body=b"x", raise_error=False)
        assert (upload.code, json.loads(upload.body)["code"]) == (403, "forbidden")

        monkeypatch.setattr(Readers, "allowed", {("execute", "phasenb")})
        task_id = (await socket.ask("launch", **launch))["task_id"]
        refused = await socket.ask("launch", code="aGVsbG8=", options={"phases": ["one"]})
        assert refused["code"] == "code_not_allowed"
        assert (await socket.ask("cancel", task_id=task_id))["details"] == {"action": "write"}


class Nobody(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "phasenb"


class TestNobody:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["authorizer_class"] = Nobody
        return jp_server_config

    async def test_the_handshake_and_the_paths_answer_403(self, upgrade, get, jp_auth_header):
        assert await upgrade(jp_auth_header) == 403
        assert await get(jp_auth_header) == 403


class TestCodeOff:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "allow_code": False}

    async def test_registered_agents_only(self, open_socket):
        socket = await open_socket()
        answer = await socket.ask("launch", code="aGVsbG8=", options={"phases": ["one"]})
        assert answer["code"] == "code_not_allowed"
        assert (await socket.ask("launch", agent="three", inputs={"path": "x"}))["type"] == "launched"

    async def test_what_can_be_imported_is_no_registered_agent(self, open_socket, get, jp_auth_header):
        socket = await open_socket()
        answer = await socket.ask("launch", agent="os:system", inputs={"command": "true"})
        assert answer["code"] == "unknown_agent"
        assert await get(jp_auth_header, path="phasenb/api/agents/json:dumps") == 422


class ByName(IdentityProvider):
    """``Authorization: token NAME`` is NAME: as a hub has it, with users of its own."""

    def get_user(self, handler):
        name = self.get_token(handler)
        return User(name, display_name=name.title()) if name else None


class TestNamedUsers:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["identity_provider_class"] = ByName
        return jp_server_config

    async def test_users_see_their_own_tasks_only(self, open_socket, get, http_server_client, jp_base_url):
        ada, eve = {"Authorization": "token ada"}, {"Authorization": "token eve"}
        hers, other = await open_socket(headers=ada), await open_socket(headers=eve)
        task_id = (await hers.ask("launch", agent="slow"))["task_id"]
        for command in ("subscribe", "cancel"):
            assert (await other.ask(command, task_id=task_id))["code"] == "unknown_task"
        assert (await other.ask("list", scope="user"))["tasks"] == []
        assert (await other.ask("subscribe_feed", scope="user"))["tasks"] == []
        for path in ("", "/events", "/logs", "/results"):
            assert await get(eve, path=f"phasenb/api/tasks/{task_id}{path}") == 404
            assert await get(ada, path=f"phasenb/api/tasks/{task_id}{path}") == 200
        assert (await hers.ask("cancel", task_id=task_id))["type"] == "ok"
        assert (await hers.event("cancel_requested", task_id))["by"] == "Ada"
        await hers.event("task_cancelled", task_id)


class TestConfiguredOwner:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "owner": "the-team"}

    async def test_configuration_wins(self, open_socket):
        socket = await open_socket(hello=None)
        assert (await socket.ask("hello", protocol=1, session="s"))["owner"] == "the-team"


class TestCommandLine:
    @pytest.fixture
    def jp_argv(self):
        return ["--PhaseNB.allow_code=False", "--PhaseNB.limits=queued_tasks=7"]

    async def test_traits_win(self, app):
        await app.ready()
        assert app.problem is None
        assert app.host.settings.allow_code is False
        assert app.host.settings.limits.queued_tasks == 7


class Expiring(ByName):
    """Names that hold as long as they are in ``valid``; keeps its first answer in the handler, as JupyterHub's does."""

    valid: ClassVar[set[str]] = set()

    def get_user(self, handler):
        if not hasattr(handler, "_kept"):
            user = super().get_user(handler)
            handler._kept = user if user is not None and user.username in self.valid else None
        if handler._kept is not None:
            handler.set_cookie("seen", "yes")  # which an open socket can't: the check must not ask through it
        return handler._kept


class TestExpiringUsers:
    @pytest.fixture
    def jp_server_config(self, jp_server_config, monkeypatch):
        monkeypatch.setattr(Expiring, "valid", {"ada", "eve"})
        monkeypatch.setitem(WebSocketMessageHandler.__init__.__kwdefaults__, "ask_every_s", 0.05)
        jp_server_config["ServerApp"]["identity_provider_class"] = Expiring
        return jp_server_config

    async def test_a_login_that_expires_closes_its_sockets_and_no_others(self, open_socket):
        ada = await open_socket(headers={"Authorization": "token ada"})
        eve = await open_socket(headers={"Authorization": "token eve"})
        Expiring.valid.discard("eve")
        assert await eve.read() is None
        assert eve.connection.close_code == 4001
        assert (await ada.ask("ping"))["type"] == "pong"


class TestRevokedTokens:
    @pytest.fixture
    def jp_server_config(self, jp_server_config, monkeypatch):
        monkeypatch.setattr(Expiring, "valid", {"ada", "eve"})  # asked each minute, and here with a command alone
        jp_server_config["ServerApp"]["identity_provider_class"] = Expiring
        return jp_server_config

    async def test_a_revoked_token_launches_and_steers_nothing_over_its_open_socket(self, open_socket, app):
        eve, ada = [await open_socket(headers={"Authorization": f"token {name}"}) for name in ("eve", "ada")]
        again = await open_socket(headers={"Authorization": "token eve"})
        task_id = (await eve.ask("launch", agent="slow"))["task_id"]
        Expiring.valid.discard("eve")
        for socket, command in (
            (eve, {"kind": "launch", "agent": "slow"}),
            (again, {"kind": "cancel", "task_id": task_id}),
        ):
            answer = await socket.ask(**command)
            assert (answer["code"], answer["details"]) == ("authentication_expired", {})
            assert "revoked" in answer["message"]
            while await socket.read() is not None:
                pass
            assert socket.connection.close_code == 4001
        assert (await ada.ask("ping"))["type"] == "pong"
        assert app.host.manager.running == 1
        assert (await app.host.manager.snapshot("eve", task_id)).state.value in ("queued", "running")


class TestRightsThatAreTakenAway:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["authorizer_class"] = Readers
        return jp_server_config

    async def test_who_may_not_read_any_more_is_sent_away(self, open_socket, monkeypatch):
        socket = await open_socket()
        monkeypatch.setattr(Readers, "is_authorized", lambda *_: False)
        assert (await socket.ask("list"))["code"] == "forbidden"
        assert await socket.read() is None
        assert socket.connection.close_code == 4003
