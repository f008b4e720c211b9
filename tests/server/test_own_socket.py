"""The UNIX socket of the server's own user: who gets in, and at what. The other half of test_http_access' matrix."""

import asyncio
import hashlib
import json
import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd

from phasenb.client.discovery import backend_of
from phasenb.client.http_backend import HttpBackend
from phasenb.client.http_connections import UnixConnection
from phasenb.client.own_socket import socket_of, socket_place
from phasenb.web.http_protocol import OPERATIONS
from phasenb.web.identity import operating_system_user

OBJECT = b'"an input"'
DIGEST = hashlib.sha256(OBJECT).hexdigest()
PLACE = {
    "task_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "phase": "research",
    "attempt": 1,
    "name": "table",
    "agent": "three",
    "connection": "nobodys",
}
BODIES = {
    "launch": {"agent": "three", "inputs": {"path": "x"}},
    "approve": {"phase": "planning", "if_seq": 1},
    "deny": {"phase": "planning", "if_seq": 1, "reason": "no"},
}
EVERY = [operation.name for operation in OPERATIONS]
HIDDEN = ((404, "not_found"), (404, None))
NOBODY = 65534


class Door:
    """Requests over the socket, as a stranger writes them."""

    def __init__(self, path, base_url):
        self.path = path
        self.base_url = base_url

    async def fetch(self, path, method="GET", headers=None, body=None):
        return await asyncio.to_thread(self._fetch, path, method, headers or {}, body)

    def _fetch(self, path, method, headers, body):
        connection = UnixConnection(self.path, "localhost", timeout=30)
        try:
            connection.request(method, f"{self.base_url}{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    async def let_in(self, headers=None):
        """The operations that were answered by us, well or not."""
        return [each.name for each in OPERATIONS if await self._answered(each, headers)]

    async def _answered(self, operation, headers):
        body = OBJECT if operation.method == "PUT" else None
        if operation.method == "POST":
            body = json.dumps(BODIES.get(operation.name, {}))
        path = operation.path.format(**PLACE, sha256=DIGEST).lstrip("/")
        status, told = await self.fetch(path, operation.method, headers, body)
        try:
            code = json.loads(told)["code"]
        except (ValueError, KeyError, TypeError):
            code = None
        return status != 403 and (status, code) not in HIDDEN


@pytest.fixture
def jp_runtime_dir(jp_runtime_dir, request, monkeypatch):
    """As Jupyter makes it, its user's alone; or as a test's parameter says."""
    kind = getattr(request, "param", "private")
    folder = jp_runtime_dir / ("d" * 120) if kind == "deep" else jp_runtime_dir
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777 if kind == "open" else 0o700)
    if kind == "stale":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / f"phasenb-{os.getpid()}.sock"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def door(app, jp_base_url, jp_asyncio_loop):
    jp_asyncio_loop.run_until_complete(app.ready())
    return Door(socket_of(os.getpid()), jp_base_url)


@pytest.fixture
def backend(door, jp_serverapp):
    return HttpBackend.over_socket(door.path, door.base_url, url=jp_serverapp.connection_url)


class Recording(Authorizer):
    """Lets everything but `write` pass; ``asked`` is for whom."""

    asked: set[str] = set()  # noqa: RUF012 - emptied by who reads it

    def is_authorized(self, handler, user, action, resource):
        self.asked.add(user.username)
        return action != "write"


class Named(IdentityProvider):
    """As a hub's: it has users of its own."""

    def get_user(self, handler):
        return User("ada")


async def test_its_own_user_gets_in_without_token_or_password(door):
    await door.fetch(f"phasenb/api/objects/{DIGEST}", "PUT", body=OBJECT)
    assert await door.let_in() == EVERY


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Referer": "http://elsewhere.example/"},
        {"Cookie": "_xsrf=1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"Host": "elsewhere.example"},
    ],
    ids=lambda headers: "-".join(headers),
)
async def test_no_page_gets_in_where_somebody_forwards_a_port_to_it(door, headers):
    assert await door.let_in(headers) == []


async def test_nothing_but_phasenb_is_there(door):
    for path in ("", "api", "api/status", "api/kernels", "api/contents", "login", "static/favicon.ico", "phasenb/x"):
        assert (await door.fetch(path))[0] == 404, path
    assert (await door.fetch("../favicon.ico"))[0] == 404
    assert (await door.fetch("api/kernels", "POST", body="{}"))[0] == 404


async def test_it_is_its_users_alone(door):
    path = Path(door.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_another_user_is_not_answered(door, monkeypatch):
    path = Path(door.path)
    path.parent.chmod(0o711)
    path.chmod(0o666)  # as if nothing else kept them out
    if os.geteuid() != 0:  # this process can't become another one: the server is another's then
        me = os.geteuid()
        monkeypatch.setattr("phasenb.server.own_socket.os.geteuid", lambda: me + 1)
    assert await asyncio.to_thread(_answer_to_another, path) == b""


def _answer_to_another(path):
    """What the server says to a process of another user."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(path.parent)
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(path.name)
                try:
                    client.sendall(b"GET /phasenb/api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    told = client.recv(1000)
                except ConnectionError:
                    told = b""
            os.write(writes, told)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        told = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return told


async def test_it_goes_with_its_server(door, app):
    await app.stop_extension()
    assert socket_of(os.getpid()) is None
    assert not os.path.lexists(socket_place(os.getpid()))


class TestAuthorizer:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["authorizer_class"] = Recording
        return jp_server_config

    async def test_it_is_asked_about_the_owner(self, door):
        Recording.asked.clear()
        await door.fetch(f"phasenb/api/objects/{DIGEST}", "PUT", body=OBJECT)
        may_not = {each.name for each in OPERATIONS if each.permission == "write"}
        assert set(EVERY) - set(await door.let_in()) == may_not | {"retry"}  # which steers and runs
        assert Recording.asked == {operating_system_user()}


class TestPassword:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["identity_provider_class"] = PasswordIdentityProvider
        jp_server_config["PasswordIdentityProvider"] = {"hashed_password": passwd("open sesame", "sha1")}
        return jp_server_config

    async def test_a_password_keeps_nobody_of_its_own_out(self, backend):
        health = await asyncio.to_thread(backend.health)
        assert health["status"] == "ok"


class TestUsersOfItsOwn:
    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        jp_server_config["ServerApp"]["identity_provider_class"] = Named
        return jp_server_config

    @pytest.mark.parametrize("jp_runtime_dir", ["private", "stale"], indirect=True)
    async def test_a_provider_that_has_users_has_no_socket(self, app):
        await app.ready()
        assert not os.path.lexists(socket_place(os.getpid()))


@pytest.mark.parametrize("jp_runtime_dir", ["deep", "open"], indirect=True)
async def test_where_jupyters_folder_is_too_deep_or_open_to_others_a_link_leads_to_it(backend, app):
    place = socket_place(os.getpid())
    assert place.is_symlink()
    folder = Path(backend.socket_path).parent
    assert folder != place.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (await asyncio.to_thread(backend.health))["status"] == "ok"
    await app.stop_extension()
    assert not folder.exists()
    assert not os.path.lexists(place)


@pytest.mark.parametrize("jp_runtime_dir", ["stale"], indirect=True)
async def test_one_that_a_process_of_this_pid_left_behind_is_replaced(backend):
    assert (await asyncio.to_thread(backend.health))["status"] == "ok"


def test_what_is_not_this_users_alone_is_not_used(jp_runtime_dir, monkeypatch):
    place = socket_place(4711)
    assert socket_of(4711) is None
    place.write_text("no socket")
    assert socket_of(4711) is None
    place.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))
        assert socket_of(4711) is None
        made.listen(0)
        with ExitStack() as others:
            for _ in range(4):  # one more than it takes finds no room, and knows that somebody listens
                assert socket_of(4711) == str(place)
                waiting = others.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect_ex(str(place))
        refuses_what_is_not_private(place, monkeypatch)
    place.parent.chmod(0o700)
    assert socket_of(4711) is None, "nobody listens any more"


def refuses_what_is_not_private(place, monkeypatch):
    assert socket_of(4711) == str(place)
    place.parent.chmod(0o755)
    assert socket_of(4711) is None
    place.parent.chmod(0o700)
    with monkeypatch.context() as patched:
        patched.setattr("phasenb.client.own_socket.os.geteuid", lambda: os.getuid() + 1)
        assert socket_of(4711) is None


class TestBaseUrlOfAPagesName:
    @pytest.fixture
    def jp_base_url(self):
        return "/user/ada/notebooks/"

    async def test_it_is_the_servers_as_its_file_says(self, backend, jp_serverapp, jp_base_url, http_server):
        told = {
            "base_url": jp_base_url,
            "url": jp_serverapp.connection_url,
            "token": jp_serverapp.identity_provider.token,
        }
        by_socket, by_url = (backend_of({**told, "pid": pid}) for pid in (os.getpid(), 0))
        assert (by_socket.socket_path, by_url.socket_path) == (backend.socket_path, None)
        for each in (by_socket, by_url):
            assert each.url == jp_serverapp.connection_url
            assert (await asyncio.to_thread(each.health))["status"] == "ok"
