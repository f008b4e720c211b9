"""A kernel reaches the server that started it, whatever keeps others out; and who is beside a server finds it too."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from jupyter_client import BlockingKernelClient
from jupyter_server.auth.security import passwd

import phasenb as pn
from phasenb.client.http_connections import UnixConnection
from phasenb.errors import ServerUnreachable
from tests.conftest import free_port

CELL = """
import phasenb as pn
flow = pn.Workflow("home")

@flow.implementation
def go(n):
    return n + 1

client = pn.connect()
print(flow.launch(n=1).result(60), client.embedded, client.url)
"""
NOWHERE = "import socket\nsocket.gethostname = lambda: 'no-such-machine.invalid'\n"


class Server:
    """A Jupyter server that is asked as a page asks, by its cookies."""

    def __init__(
        self,
        folder,
        options,
        environ=(),
        connection=lambda port: http.client.HTTPConnection("127.0.0.1", port, timeout=60),
    ):
        self.folder = folder
        self.port = free_port()
        self.runtime = folder / "runtime"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY", "JUPYTER"))}
        self.environ = kept | {
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "PHASENB_STORE_URL": str(folder / "phasenb.db"),
        }
        self._connection = connection
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
        command += [f"--ServerApp.root_dir={folder}", *options]
        if not any("sock=" in option for option in options):
            command.append(f"--ServerApp.port={self.port}")
        self.log = folder / "server.log"
        with self.log.open("w") as sink:
            environ = self.environ | dict(environ)
            self.process = subprocess.Popen(command, env=environ, stdout=sink, stderr=sink, cwd=folder)
        self.cookies = SimpleCookie()
        self._until_it_answers()

    def _until_it_answers(self):
        deadline = time.monotonic() + 150
        while True:
            try:
                return self.ask("GET", "/api")
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def ask(self, method, path, body=None, **headers):
        connection = self._connection(self.port)
        headers["Cookie"] = "; ".join(f"{name}={each.coded_value}" for name, each in self.cookies.items())
        if "_xsrf" in self.cookies:
            headers["X-XSRFToken"] = self.cookies["_xsrf"].value
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        for header in answer.headers.get_all("Set-Cookie") or ():
            self.cookies.load(header)
        text = answer.read()
        connection.close()
        return answer.status, text

    def log_in(self, password):
        self.ask("GET", "/login")
        form = urlencode({"password": password, "_xsrf": self.cookies["_xsrf"].value})
        status, _ = self.ask("POST", "/login", form, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert status == 302

    def kernel(self):
        """What a cell prints in a kernel that this server started."""
        session = {"path": "one.ipynb", "name": "one.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        status, text = self.ask("POST", "/api/sessions", json.dumps(session))
        assert status == 201, text
        client = BlockingKernelClient(
            connection_file=str(self.runtime / f"kernel-{json.loads(text)['kernel']['id']}.json")
        )
        client.load_connection_file()
        client.start_channels(hb=False)
        client.wait_for_ready(timeout=120)
        return client

    def told(self):
        return json.loads((self.runtime / f"jpserver-{self.process.pid}.json").read_text())


def printed(kernel, code):
    """The text that a cell printed."""
    text = []

    def take(message):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            text.append(message["content"]["text"])

    reply = kernel.execute_interactive(code, timeout=150, output_hook=take)["content"]
    assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
    return "".join(text)


@pytest.fixture
def start(tmp_path):
    servers, kernels = [], []

    def started(options, **more):
        servers.append(Server(tmp_path, options, **more))
        return servers[-1]

    def kernel(server):
        kernels.append(server.kernel())
        return kernels[-1]

    started.kernel = kernel
    yield started
    for client in kernels:
        client.stop_channels()
    for server in servers:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        assert not list(server.runtime.glob("phasenb-*.sock"))


def _certificate(folder):
    """(certificate, key), signed by itself."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "rsa:2048",
            "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_a_server_with_a_password(start, tmp_path):
    server = start([f"--PasswordIdentityProvider.hashed_password={passwd('open sesame', 'sha1')}"])
    assert server.told()["token"] == ""
    server.log_in("open sesame")
    assert printed(start.kernel(server), CELL) == f"2 False http://localhost:{server.port}/\n"


def test_a_server_with_a_certificate_of_its_own(start, tmp_path):
    certificate, key = _certificate(tmp_path)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    server = start(
        [f"--ServerApp.certfile={certificate}", f"--ServerApp.keyfile={key}", "--IdentityProvider.token="],
        connection=lambda port: http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=anybody),
    )
    server.ask("GET", "/login")
    assert printed(start.kernel(server), CELL) == f"2 False https://localhost:{server.port}/\n"
    with pytest.raises(ServerUnreachable, match=r"certificate is not trusted here.*: SSL_CERT_FILE=PATH names its"):
        pn.connect(f"https://localhost:{server.port}/")


def test_a_server_for_all_addresses_whose_name_is_none_and_a_proxy_that_is_not_there(start, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NOWHERE)
    proxy = f"http://127.0.0.1:{free_port()}"
    variables = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy)
    server = start(
        ["--ServerApp.ip=0.0.0.0", "--IdentityProvider.token="],
        environ={"PYTHONPATH": str(tmp_path / "site"), **variables},
    )
    server.ask("GET", "/login")
    assert printed(start.kernel(server), CELL) == f"2 False http://no-such-machine.invalid:{server.port}/\n"


def test_a_server_that_listens_on_a_unix_socket_itself(start, tmp_path):
    sock = str(tmp_path / "jupyter.sock")
    server = start(
        [f"--ServerApp.sock={sock}", "--IdentityProvider.token="],
        connection=lambda port: UnixConnection(sock, "localhost", timeout=60),
    )
    server.ask("GET", "/login")
    told = printed(start.kernel(server), CELL)
    assert told.startswith("2 False http+unix://")


@pytest.fixture
def beside(jupyter_process, tmp_path):
    """``beside(code, **environ)``: a script in a process of its own beside a Jupyter server."""
    server = jupyter_process()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY", "JUPYTER"))}
    environ["JUPYTER_RUNTIME_DIR"] = str(tmp_path / "runtime")

    def run(code, **more):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(code))
        command = [sys.executable, str(path)]
        return subprocess.run(command, cwd=tmp_path, env=environ | more, capture_output=True, text=True, timeout=150)

    return server, run


def test_a_script_beside_a_server_uses_it_as_the_command_does(beside, tmp_path):
    server, run = beside
    done = run(CELL, PHASENB_STORE_URL=str(tmp_path / "phasenb.db"))
    assert done.stdout == f"2 False http://localhost:{server.port}/\n", done.stderr
    assert f"runs on http://localhost:{server.port}/" in done.stderr
    command = "from phasenb.cli.app import app; app(['doctor'])"
    told = run(command, PHASENB_STORE_URL=str(tmp_path / "phasenb.db")).stdout
    assert f"way to the server: {tmp_path / 'runtime' / f'phasenb-{server.process.pid}.sock'} (UNIX)" in told
    elsewhere = run(CELL, PHASENB_STORE_URL=str(tmp_path / "another.db"))
    assert elsewhere.stdout == "2 True this process\n", elsewhere.stderr
