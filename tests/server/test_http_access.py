"""Who gets at which HTTP path: every operation, under each way to authenticate and each kind of provider."""

import asyncio
import hashlib
import json
import logging
import tracemalloc
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from phasenb.client.http_backend import HttpBackend
from phasenb.errors import Forbidden
from phasenb.web.http_protocol import OPERATIONS
from phasenb.web.identity import operating_system_user

FOREIGN = {"Origin": "http://elsewhere.example"}
OBJECT = b'"an input"'
DIGEST = hashlib.sha256(OBJECT).hexdigest()
BODIES = {
    "launch": {"agent": "three", "inputs": {"path": "x"}},
    "approve": {"phase": "planning", "if_seq": 1},
    "deny": {"phase": "planning", "if_seq": 1, "reason": "no"},
    "resume_launches": {"session": "nightly"},
}
SAFE = [operation.name for operation in OPERATIONS if operation.method in ("GET", "HEAD")]
OF_A_TASK = [operation.name for operation in OPERATIONS if "{task_id}" in operation.path]
NOBODYS = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


class Door:
    """Requests as a stranger writes them; what was answered is kept: ``told``."""

    def __init__(self, client, base_url):
        self._client = client
        self._base_url = base_url
        self.told = []

    async def fetch(self, path, method="GET", headers=None, body=None):
        response = await self._client.fetch(
            f"{self._base_url}{path}", method=method, headers=headers or {}, body=body, raise_error=False,
            follow_redirects=False, allow_nonstandard_methods=True,
        )  # fmt: skip
        self.told.append(response.body.decode(errors="replace"))
        return response

    async def ask(self, operation, headers, query="", **place):
        """(status, code of the error if it is one of ours) of an operation."""
        place = {
            "task_id": NOBODYS,
            "phase": "research",
            "attempt": 1,
            "name": "table",
            "sha256": DIGEST,
            "agent": "three",
            "connection": "nobodys",
        } | place
        body = OBJECT if operation.method == "PUT" else None
        if operation.method == "POST":
            body = json.dumps(BODIES.get(operation.name, {}))
        path = operation.path.format(**place).lstrip("/") + query
        response = await self.fetch(path, operation.method, headers, body)
        try:
            return response.code, json.loads(response.body)["code"]
        except (ValueError, KeyError, TypeError):
            return response.code, None

    async def ask_all(self, headers, query="", **place):
        return {each.name: await self.ask(each, headers, query, **place) for each in OPERATIONS}

    async def launch(self, headers, agent="three", **fields):
        """A task that ended; its id."""
        body = {"agent": agent, "inputs": {"path": "x"}, **fields}
        answer = await self.fetch("phasenb/api/tasks", "POST", headers, json.dumps(body))
        task_id = json.loads(answer.body)["task_id"]
        async with asyncio.timeout(30):
            while json.loads((await self.fetch(f"phasenb/api/tasks/{task_id}", headers=headers)).body)["state"] not in (
                "completed", "awaiting_approval",
            ):  # fmt: skip
                await asyncio.sleep(0.02)
        await self.fetch(f"phasenb/api/objects/{DIGEST}", "PUT", headers, OBJECT)
        return task_id


@pytest.fixture
def door(http_server_client, jp_base_url, jp_serverapp):
    return Door(http_server_client, jp_base_url)


def cookies(response, jar=None):
    jar = jar or SimpleCookie()
    for header in response.headers.get_list("Set-Cookie"):
        jar.load(header)
    return jar


def as_browser(jar, *, xsrf=False):
    headers = {"Cookie": "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items())}
    return {**headers, "X-XSRFToken": jar["_xsrf"].value} if xsrf else headers


def let_in(answers):
    """Those operations that were answered by us, well or not, and not turned away at the door."""
    hidden = (404, "not_found"), (404, None)  # jupyter_server's answer to a foreign page; HEAD has no body
    return [name for name, answer in answers.items() if answer[0] != 403 and answer not in hidden]


EVERY = [operation.name for operation in OPERATIONS]


class TestTokenServer:
    """jupyter_server's own provider: one owner, whoever comes with the token."""

    async def test_the_matrix(self, door, jp_serverapp, jp_http_port):
        token = jp_serverapp.identity_provider.token
        task_id = await door.launch({"Authorization": f"token {token}"})
        same = {"Origin": f"http://127.0.0.1:{jp_http_port}"}
        for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "username=rubbish"}, FOREIGN):
            assert let_in(await door.ask_all(headers, task_id=task_id)) == [], headers
        assert let_in(await door.ask_all({}, "?token=wrong", task_id=task_id)) == []
        for origin in ({}, same, FOREIGN):
            for scheme in ("token", "Bearer"):
                headers = {"Authorization": f"{scheme} {token}", **origin}
                assert let_in(await door.ask_all(headers, task_id=task_id)) == EVERY, headers
            assert let_in(await door.ask_all(origin, f"?token={token}", task_id=task_id)) == EVERY, origin
        jar = cookies(await door.fetch(f"api/status?token={token}"), cookies(await door.fetch("login")))
        for origin in ({}, same):
            assert let_in(await door.ask_all({**as_browser(jar), **origin}, task_id=task_id)) == SAFE, origin
            with_xsrf = {**as_browser(jar, xsrf=True), **origin}
            assert let_in(await door.ask_all(with_xsrf, task_id=task_id)) == EVERY, origin
        for xsrf in (False, True):
            foreign = {**as_browser(jar, xsrf=xsrf), **FOREIGN}
            assert let_in(await door.ask_all(foreign, task_id=task_id)) == []

    async def test_answers_tell_no_secret(self, door, jp_serverapp, tmp_path, caplog):
        token = jp_serverapp.identity_provider.token
        headers = {"Authorization": f"token {token}"}
        task_id = await door.launch(headers)
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        for given in ({}, headers):
            for query in ("", f"?token={token}"):
                await door.ask_all(given, query, task_id=task_id)
                await door.ask_all(given, query)
        for method, body in (("POST", "{"), ("POST", "[]"), ("PUT", b"x"), ("DELETE", None), ("GET", None)):
            for path in ("tasks", f"tasks/{task_id}/approve", f"objects/{'0' * 64}", "nowhere"):
                await door.fetch(f"phasenb/api/{path}", method, headers, body)
        for text in (*door.told, caplog.text):
            assert token not in text
            assert "Traceback (most recent call last)" not in text
        for text in door.told:
            assert str(tmp_path) not in text

    @pytest.mark.parametrize(
        "name",
        [
            "..%2F..%2F..%2Fphasenb.db",
            "%2e%2e%2fphasenb.db",
            "..",
            "%2Fetc%2Fpasswd",
            "table%00",
            "table%2F..",
            "a" * 3000,
        ],
    )
    async def test_an_artifacts_name_is_no_path(self, door, jp_auth_header, name):
        task_id = await door.launch(jp_auth_header)
        place = f"phasenb/api/tasks/{task_id}/artifacts"
        for path in (f"{place}/research/1/{name}", f"{place}/{name}/1/table", f"phasenb/api/objects/{name}"):
            answer = await door.fetch(path, headers=jp_auth_header)
            assert answer.code in (400, 404), path
            assert b"SQLite" not in answer.body
        assert (await door.fetch(f"{place}/research/1/table", headers=jp_auth_header)).code == 200


class TestPasswordServer:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["identity_provider_class"] = PasswordIdentityProvider
        jp_server_config["PasswordIdentityProvider"] = {"hashed_password": passwd("open sesame", "sha1")}
        return jp_server_config

    async def test_who_logged_in_gets_in(self, door, jp_serverapp):
        jp_serverapp.identity_provider.token = ""  # as a server with a password has it
        for headers in ({}, {"Authorization": "token "}, {"Authorization": "token open sesame"}):
            assert let_in(await door.ask_all(headers)) == [], headers
        jar = cookies(await door.fetch("login"))
        form = urlencode({"password": "open sesame", "_xsrf": jar["_xsrf"].value})
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        jar = cookies(await door.fetch("login", "POST", {**as_browser(jar), **content}, form), jar)
        person = as_browser(jar, xsrf=True)
        task_id = await door.launch(person)
        assert let_in(await door.ask_all(person, task_id=task_id)) == EVERY
        assert let_in(await door.ask_all(as_browser(jar), task_id=task_id)) == SAFE
        assert let_in(await door.ask_all({**person, **FOREIGN}, task_id=task_id)) == []

    async def test_the_owner_is_the_systems_user(self, open_socket):
        socket = await open_socket(hello=None)
        assert (await socket.ask("hello", protocol=1, session="s"))["owner"] == operating_system_user()


class ByName(IdentityProvider):
    """``Authorization: token NAME`` is NAME: as a hub has it, with users of its own."""

    def get_user(self, handler):
        name = self.get_token(handler)
        handler._token_authenticated = bool(name)  # as jupyter_server's own has it: no XSRF check then
        return User(name, display_name=name.title()) if name else None


class Roles(Authorizer):
    """``reader`` may read, ``steerer`` also write, ``launcher`` may do all but run code of its own; others all."""

    DENIED = {  # noqa: RUF012 - constant
        "reader": {"write", "execute"}, "steerer": {"execute"}, "launcher": set(),
    }  # fmt: skip

    def is_authorized(self, handler, user, action, resource):
        if resource == "kernels":
            return user.username not in self.DENIED
        return action not in self.DENIED.get(user.username, ())


MARK = {"$id": "https://test.example/mark/v1", "version": "1", "title": "mark", "properties": {}}
ADA, EVE = {"Authorization": "token ada"}, {"Authorization": "token eve"}


class Plain(IdentityProvider):
    """Does not say whether a token let the caller in: Jupyter then asks for its XSRF cookie."""

    def get_user(self, handler):
        return User("ada") if self.get_token(handler) == "ada" else None


class TestProviderThatAsksForXsrf:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"] |= {"identity_provider_class": Plain}
        return jp_server_config

    async def test_a_client_uploads_and_a_page_without_the_cookie_does_not(self, door, jp_serverapp, tmp_path):
        path = f"phasenb/api/objects/{DIGEST}"
        assert (await door.fetch(path, "PUT", ADA, OBJECT)).code == 403
        (tmp_path / "small").write_bytes(OBJECT)
        backend = HttpBackend(jp_serverapp.connection_url, "ada")
        await asyncio.to_thread(backend.upload, f"sha256:{DIGEST}", tmp_path / "small")
        assert (await door.fetch(path, headers=ADA)).body == OBJECT


class TestNamedUsers:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"] |= {"identity_provider_class": ByName, "authorizer_class": Roles}
        return jp_server_config

    async def test_another_users_task_is_no_task(self, door):
        task_id = await door.launch(ADA, session="nb:one")
        await door.launch(EVE)
        hers, nobodys = await door.ask_all(EVE, task_id=task_id), await door.ask_all(EVE)
        for name in OF_A_TASK:
            assert hers[name] == (404, "unknown_task"), name
        assert hers == nobodys
        told = [text.replace(task_id, NOBODYS) for text in door.told[-2 * len(OPERATIONS) : -len(OPERATIONS)]]
        of_a_task = [place for place, operation in enumerate(OPERATIONS) if operation.name in OF_A_TASK]
        for place in of_a_task:
            assert told[place] == door.told[place - len(OPERATIONS)], OPERATIONS[place].name
        assert (await door.fetch(f"phasenb/api/tasks/{task_id[-6:]}", headers=EVE)).code == 404
        unharmed = json.loads((await door.fetch(f"phasenb/api/tasks/{task_id}", headers=ADA)).body)
        assert (unharmed["state"], unharmed["seq"]) == ("completed", 8)

    async def test_lists_hold_ones_own(self, door):
        await door.launch(ADA, session="nb:one")
        for path in ("tasks", "tasks?session=nb:one", "results", "results?session=nb:one"):
            (listed,) = {
                key: value for key, value in (await self._json(door, path, EVE)).items() if key != "next"
            }.values()
            assert listed == [], path
            assert (await self._json(door, path, ADA)) != (await self._json(door, path, EVE))

    async def test_nothing_beside_the_tasks_tells_of_another_users(self, door, jp_base_url, jp_http_port, jp_serverapp):
        """Jupyter's events and metrics, health, and what every other door answers."""
        jp_serverapp.event_logger.register_event_schema(MARK)
        where = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}api/events/subscribe"
        listener = await websocket_connect(HTTPRequest(where, headers=EVE))
        body = {"agent": "slow", "session": "nb:adas", "options": {"name": "adas-plan", "labels": {"adas": "own"}}}
        adas = json.loads((await door.fetch("phasenb/api/tasks", "POST", ADA, json.dumps(body))).body)["task_id"]
        await door.launch(ADA, session="nb:adas")
        carried = {user["Authorization"]: (await self._json(door, "health", user))["tasks"] for user in (ADA, EVE)}
        assert list(carried.values()) == [1, 0]
        door.told.clear()

        metrics = (await door.fetch("metrics", headers=EVE)).body.decode()
        ours = [line for line in metrics.splitlines() if line.startswith("phasenb_")]
        assert ours
        assert not [line for line in ours if "research" in line or "planning" in line]
        for path in ("api", "api/status", "api/sessions", "api/kernels", "phasenb/api/agents", "phasenb/api/health"):
            await door.fetch(path, headers=EVE)
        await door.ask_all(EVE)
        told = " ".join(door.told)
        assert not [private for private in (adas, "nb:adas", "adas-plan") if private in told]

        await door.fetch(f"phasenb/api/tasks/{adas}/cancel", "POST", ADA, "{}")
        jp_serverapp.event_logger.emit(schema_id=MARK["$id"], data={})
        async with asyncio.timeout(10):
            first = json.loads(await listener.read_message())
        assert first["schema_id"] == MARK["$id"], "no event of a task came before"
        listener.close()

    async def test_objects_belong_to_who_uploaded_them(self, door):
        await door.launch(ADA)
        path = f"phasenb/api/objects/{DIGEST}"
        assert (await door.fetch(path, headers=ADA)).body == OBJECT
        assert (await door.fetch(path, headers=EVE)).code == 404
        assert (await door.fetch(path, "HEAD", EVE)).code == 404
        body = {"agent": "three", "inputs": {"path": {"$object": f"sha256:{DIGEST}", "codec": "json"}}}
        answer = await door.fetch("phasenb/api/tasks", "POST", EVE, json.dumps(body))
        assert (answer.code, json.loads(answer.body)["code"]) == (404, "unknown_object")

    async def test_a_connection_over_http_is_its_users_alone(self, door):
        opened = await door.fetch("phasenb/api/connections", "POST", ADA, "")
        assert opened.code == 201
        path = f"phasenb/api/connections/{json.loads(opened.body)['connection']}"
        hello = json.dumps({"type": "hello", "id": "1", "protocol": 1, "session": "s"})
        assert (await door.fetch(f"{path}/send", "POST", EVE, hello)).code == 404
        assert (await door.fetch(f"{path}/receive", "POST", EVE, "")).code == 404
        assert (await door.fetch(f"{path}/send", "POST", ADA, hello)).code == 204
        welcome = await door.fetch(f"{path}/receive", "POST", ADA, "")
        assert json.loads(welcome.body)["owner"] == "ada"

    async def test_a_session_and_its_keys_are_one_owners(self, door):
        fields = {"session": "nb:one", "idempotency_key": "once", "options": {"key": "2026-W47"}}
        ids = {await door.launch(headers, **fields) for headers in (ADA, EVE, ADA)}
        assert len(ids) == 2
        for headers in (ADA, EVE):
            assert len((await self._json(door, "tasks?session=nb:one", headers))["tasks"]) == 1

    async def test_each_role_may_what_it_may(self, door):
        for role, allowed in (
            ("reader", {"read"}),
            ("steerer", {"read", "write"}),
            ("launcher", {"read", "write", "execute"}),
        ):
            answers = await door.ask_all({"Authorization": f"token {role}"})
            for operation in OPERATIONS:
                assert (answers[operation.name][0] != 403) == (operation.permission in allowed), (role, operation.name)

    async def test_who_may_upload_nothing_is_told_so_whatever_it_was_sending(self, door, jp_serverapp, tmp_path):
        """The server closes before it has read a large body; the answer is read all the same."""
        (tmp_path / "large").write_bytes(bytes(20_000_000))
        backend = HttpBackend(jp_serverapp.connection_url, "reader")
        for _ in range(5):
            with pytest.raises(Forbidden, match="execute"):
                await asyncio.to_thread(backend.upload, f"sha256:{'0' * 64}", tmp_path / "large")

    async def test_running_ones_own_code_is_a_permission_of_its_own(self, door):
        launcher = {"Authorization": "token launcher"}
        task_id = await door.launch(launcher, options={"approve_before": ["planning"]})
        gate = (await self._json(door, f"tasks/{task_id}", launcher))["approval"]["seq"]
        pickled = {"$object": f"sha256:{DIGEST}", "codec": "pickle"}
        for path, body in (
            ("tasks", {"code": "aGVsbG8=", "options": {"phases": ["one"]}}),
            ("tasks", {"agent": "three", "inputs": {"path": pickled}}),
            ("tasks", {"agent": "three", "inputs": {"path": "x"}, "options": {"env": {"LD_PRELOAD": "x"}}}),
            (f"tasks/{task_id}/retry", {"code": "aGVsbG8="}),
            (f"tasks/{task_id}/approve", {"phase": "planning", "if_seq": gate, "edit": pickled}),
        ):
            answer = await door.fetch(f"phasenb/api/{path}", "POST", launcher, json.dumps(body))
            assert (answer.code, json.loads(answer.body)["code"]) == (403, "code_not_allowed"), body
        assert (await self._json(door, f"tasks/{task_id}", launcher))["state"] == "awaiting_approval"

    async def _json(self, door, path, headers):
        return json.loads((await door.fetch(f"phasenb/api/{path}", headers=headers)).body)


async def answers(jp_http_port, *parts):
    """What a server answers to raw bytes, sent as it takes them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        async with asyncio.timeout(20):
            return await reader.readuntil(b"\r\n\r\n") + await reader.read(2000)
    finally:
        writer.close()


@pytest.mark.parametrize("path", ["tasks", "tasks/x/cancel", "connections", "connections/x/send", "no/such/path"])
async def test_a_body_of_nobody_is_not_waited_for(http_server, jp_http_port, jp_base_url, path):
    head = f"POST {jp_base_url}phasenb/api/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000000\r\n\r\n"
    answer = await answers(jp_http_port, head.encode(), b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 403 ")


async def test_of_a_body_past_the_bound_no_more_is_kept(http_server, jp_http_port, jp_base_url, jp_auth_header, app):
    await app.ready()
    limit = app.host.settings.websocket.max_message_bytes
    head = f"POST {jp_base_url}phasenb/api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: {jp_auth_header['Authorization']}\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    tracemalloc.start()
    try:
        answer = await answers(jp_http_port, head.encode(), *[chunk] * (4 * limit // 65_536), b"0\r\n\r\n")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer
    assert limit < most < 2 * limit


async def test_a_long_id_is_not_echoed(api):
    for path in (("tasks", "x" * 5000), ("tasks", "x" * 5000, "events"), ("agents", "x" * 5000)):
        status, body = await api(*path)
        assert (status, body["code"]) == (400, "bad_message")
        assert len(body["message"]) < 300
        assert "at most 200 characters" in body["message"]
