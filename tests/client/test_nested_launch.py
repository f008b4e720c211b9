"""A launch inside a phase belongs to its task: session, host, parent; and waiting for it can't deadlock."""

import json
import textwrap

import pytest

FLOWS = """
import os
import phasenb as pn

child = pn.Workflow("child")

@child.implementation
def inner(n):
    return n * 10

parent = pn.Workflow("parent")

@parent.implementation
def outer(ctx, n):
    task = child.launch(n=n)
    return task.result(100), task.task_id, os.getpid()

grand = pn.Workflow("grand")

@grand.implementation
def above(n):
    return parent.launch(n=n).result(100)[0] + 1
"""

# As JSON, the last line that a cell or a script prints.
SAY = """
import json
def say(**told):
    print(json.dumps(told, default=str))
"""

ONE = """
task = parent.launch(n=1)
result, child_id, _ = task.result(100)
frame = pn.tasks()
listed = pn.task(child_id).snapshot
say(
    result=result, parent=listed.parent, is_parent=task.task_id, sessions=sorted(set(frame["session"])),
    session=pn.connect().session, column=frame.loc[child_id, "parent"],
    mine=bool(frame.loc[task.task_id].isna()["parent"]),
    notebooks=[listed.notebook, task.snapshot.notebook], hosts=[str(listed.by_host), str(task.snapshot.by_host)],
)
"""

MANY = """
tasks = [(parent if n % 2 else grand).launch(n=n) for n in range(4)]
results = [task.result(150) for task in tasks]
say(results=[n if isinstance(n, int) else n[0] for n in results], left=len(pn.tasks(state="queued")))
"""

INLINE = """
parent = parent.with_options(executor="inline")
child = child.with_options(executor="inline")
tasks = [parent.launch(n=n) for n in range(40)]
say(results=[task.result(150)[0] for task in tasks])
"""

# All that a phase may do with pn.
INSIDE = """
looking = pn.Workflow("looking")

@looking.implementation
def look(ctx):
    import asyncio
    import warnings
    launched = pn.launch(child, n=2)
    launched.wait(100)
    seen = pn.tasks()
    async def awaited():
        async with pn.AsyncClient() as client:
            return await (await client.launch(child, n=3))
    big = child.launch(n=list(range(200_000)))
    return {
        "named": seen["name"].tolist(),
        "results": len(pn.results()),
        "events": launched.events()["type"].tolist()[0],
        "logs": len(launched.logs()),
        "memory": len(pn.memory().tasks()),
        "last": child.last().task_id == big.task_id,
        "awaited": asyncio.run(awaited()),
        "big": len(big.result(100)),
        "client": [pn.connect().session, pn.connect().embedded],
    }

task = looking.launch()
say(session=pn.connect().session, url=pn.connect().url, **task.result(150))
"""

KEYS = """
pn.session("nb:two")
keyed = pn.Workflow("keyed").with_options(key="same")

@keyed.implementation
def one(n):
    return n

above = pn.Workflow("above")

@above.implementation
def launches(n):
    return keyed.launch(n=n).result(100)

two = above.launch(n=2).result(100)
pn.session("nb:one")
say(one=above.launch(n=1).result(100), two=two)
"""

FORKED = """
forking = pn.Workflow("forking")

@forking.implementation
def forks():
    import os
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child.launch(n=1)
        except Exception as error:
            os.write(writes, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(reads, 10_000).decode()

say(told=forking.launch().result(100))
"""

# What a phase starts, and does not fork.
STARTED = """
import pathlib, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def refused(ask):
    try:
        return str(ask())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def tries():
    return [refused(ask) for ask in (lambda: child.launch(n=1), lambda: pn.launch("child", n=1), pn.tasks)]

def of_pool(method):
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        return pool.submit(tries).result()

def of_loky():
    from joblib import Parallel, delayed
    return [told for each in Parallel(n_jobs=2)(delayed(tries)() for _ in range(2)) for told in each]

def of_program(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    return [(done.stdout + done.stderr).strip().splitlines()[-1]]

starting = pn.Workflow("starting")

@starting.implementation
def starts():
    return {
        "spawn": of_pool("spawn"),
        "forkserver": of_pool("forkserver"),
        "loky": of_loky(),
        "script": of_program("-c", "import phasenb as pn; pn.task('abc')"),
        "command": of_program("-m", "phasenb", "tasks"),
    }

before = len(pn.tasks(scope="user"))
task = starting.launch()
told = task.result(100)
say(told=told, task_id=task.task_id, launched=len(pn.tasks(scope="user")) - before)
"""

# A child of a phase that was not forked, and names a server itself.
NAMED = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def launches(url, token):
    client = pn.connect(url, token)
    task = child.with_options(client=client, show=False).launch(n=2)
    return client.session, task.result(100)

starting = pn.Workflow("starting")

@starting.implementation
def starts(url, token, session):
    if session:
        pn.session(session)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(launches, url, token).result()

pn.session("nb:three")
os.environ["DB_CONN"] = "of" + "-the-parent-alone"
starting = starting.with_options(secrets=["DB_CONN"])
says = [starting.launch(url=URL, token=TOKEN, session=session).result(100) for session in (None, "nb:four")]
del os.environ["DB_CONN"]
say(told=says)
"""

# The same, and the server is named by the variables that the phase sets.
BY_VARIABLE = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def launches():
    task = child.with_options(show=False).launch(n=2)
    return pn.connect().url, pn.connect().session, task.result(100), task.snapshot.parent

starting = pn.Workflow("starting")

@starting.implementation
def starts(url, token):
    os.environ["PHASENB_URL"], os.environ["PHASENB_TOKEN"] = url, token
    told = {"phase": launches()}
    for method in ("spawn", "fork"):
        with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
            told[method] = pool.submit(launches).result()
    return told

pn.session("nb:five")
task = starting.launch(url=URL, token=TOKEN)
say(told=task.result(100), task_id=task.task_id)
"""

# The host's own variable names a server for its clients, and for nothing that its phases start.
INHERITED = """
import subprocess, sys
starting = pn.Workflow("starting")

@starting.implementation
def starts():
    def of_program(**more):
        words = [sys.executable, "-c", "import phasenb as pn; pn.tasks()"]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, **more}).stderr.splitlines()[-1]

    own = [os.environ.get(name) for name in ("PHASENB_URL", "PHASENB_TOKEN")]
    return own, child.launch(n=2).result(100), of_program(), of_program(PHASENB_URL="http://127.0.0.1:9/")

here = pn.connect()
os.environ["PHASENB_URL"], os.environ["PHASENB_TOKEN"] = "http://127.0.0.1:7/", "of-the-host"
told = [starting.with_options(client=here).launch().result(100) for _ in range(2)]
say(told=told)
"""

LARGE = """
import phasenb.web.nested
phasenb.web.nested.MAXIMUM_ANSWER_BYTES = 50_000

asking = pn.Workflow("asking")

@asking.implementation
def asks(ctx):
    tasks = [pn.launch(child, n="x" * 3_000) for _ in range(2)]
    for task in tasks:
        task.wait(100)
    try:
        pn.results()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    return told, len(tasks[0].results()), len(pn.memory().results()), pn.connect().session is not None

task = asking.launch()
told = task.result(100)
say(told=told, attempts=len(task.results()))
"""

OUTLIVES = """
import pathlib, threading, time
left, told = threading.Event(), threading.Event()
heard = []

def tries(ask):
    try:
        heard.append(str(ask()))
    except Exception as error:
        heard.append(f"{type(error).__name__}: {error}")

outliving = pn.Workflow("outliving")

@outliving.implementation
def outlives(ctx):
    from script import left, told, tries
    before = child.launch(n=1)
    ctx.log("runs")
    while not left.is_set():
        try:
            while not left.is_set():
                time.sleep(0.02)
        except BaseException:
            continue  # nobody can end it
    for ask in (lambda: child.launch(n=2), before.events, pn.tasks, lambda: pn.connect().session):
        tries(ask)
    told.set()

if __name__ == "__main__":
    import sys
    sys.modules["script"] = sys.modules["__main__"]
    child = child.with_options(executor="inline", show=False)
    task = outliving.with_options(executor="inline", show=False).launch()
    next(line for line in task.log_lines(follow=True) if line["text"] == "runs")
    task.cancel()
    task.wait(100)
    left.set()
    assert told.wait(60)
    say(state=str(task.state), heard=heard, tasks=pn.tasks(scope="user")["name"].tolist())
"""

CANCELLED = """
import pathlib, time
gate = pathlib.Path("gate")
slow = pn.Workflow("slow")

@slow.implementation
def waits(path):
    import pathlib, time
    while not pathlib.Path(path).exists():
        time.sleep(0.02)
    return "went on"

above = pn.Workflow("above")

@above.implementation
def launches(ctx, path):
    task = slow.launch(path=path)
    ctx.log("launched", task.task_id)
    task.wait()

task = above.launch(path=str(gate.absolute()))
for line in task.log_lines(follow=True):
    if line["text"].startswith("launched"):
        break
task.cancel()
task.wait(100)
below = pn.task(line["text"].split()[1])
before = str(below.state)
gate.touch()
say(parent=str(task.state), before=before, child=below.result(100))
"""

SECRETS = """
import pathlib
place = pathlib.Path("dsn").absolute()
place.write_text("nobody" + "'s business")
os.environ["MODE"] = "of the cell"
seeing = pn.Workflow("seeing")

@seeing.implementation
def sees():
    return [os.environ.get("DSN"), os.environ.get("MODE")]

above = pn.Workflow("above")

@above.implementation
def launches():
    os.environ["OWN"] = os.environ["DSN"] + "!"
    return [len(os.environ["DSN"]), *seeing.launch().result(100)]

say(told=above.with_options(secrets={"DSN": f"file:{place}"}).launch().result(100))
"""

WORKERS = """
of_child = pn.Workflow("of_child")

@of_child.implementation
def child_pid():
    return os.getpid()

above = pn.Workflow("above")

@above.implementation
def both():
    return sorted([of_child.launch().result(100), os.getpid()])

first = above.launch().result(100)
say(same=first == above.launch().result(100), two=len(set(first)))
"""

FAILED = """
bad = pn.Workflow("bad").with_options(recovery={"defaults": {"retry": {"maximum_attempts": 1}}})

@bad.implementation
def fails():
    raise ValueError("no owls")

above = pn.Workflow("above")

@above.implementation
def lets_through():
    return bad.launch().result(60)

task = above.launch()
try:
    task.result(100)
except pn.TaskFailed as error:
    say(error=error.error_message.split(": ", 1)[1], attempts=len(task.results()), tasks=len(pn.tasks()))
"""


@pytest.fixture
def alone(script):
    """``alone(code)``: in a script, on its embedded host; what it said."""

    def run(code, **environ):
        done = script(SAY + code, flow=FLOWS, **environ)
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def served(module_jupyter_process):
    """``served(code)``: in a cell of a Jupyter server's kernel; what it said."""
    start, _ = module_jupyter_process
    server = start(environ={"PHASENB_EXECUTOR_WORKERS": "2"})
    kernel = server.kernel()

    def run(code):
        printed = []

        def take(message):
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        text = textwrap.dedent(FLOWS + SAY + code)
        reply = kernel.execute_interactive(text, timeout=170, output_hook=take)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
        return json.loads("".join(printed).splitlines()[-1])

    run.server = server
    return run


@pytest.fixture(params=["alone", "served"])
def on_host(request):
    return request.getfixturevalue(request.param)


def test_a_child_has_its_parents_session_notebook_and_host(on_host):
    told = on_host(ONE)
    assert told["result"] == 10
    assert told["parent"] == told["column"] == told["is_parent"]
    assert told["mine"] is True
    assert told["sessions"] == [told["session"]]
    assert len(set(told["notebooks"])) == len(set(told["hosts"])) == 1


def test_inline_too(alone):
    told = alone("parent = parent.with_options(executor='inline')\n" + ONE)
    assert (told["result"], told["parent"]) == (10, told["is_parent"])
    assert told["sessions"] == [told["session"]]


def test_as_many_parents_as_fill_the_places_and_more_wait_for_children_and_grandchildren(on_host):
    more = {"PHASENB_EXECUTOR_WORKERS": "2"} if on_host.__qualname__.startswith("alone") else {}
    assert on_host(MANY, **more) == {"results": [1, 10, 21, 30], "left": 0}


def test_parents_that_fill_all_inline_places_and_wait(alone):
    assert alone(INLINE)["results"] == [10 * n for n in range(40)]


def test_all_of_pn_works_in_a_phase(on_host):
    told = on_host(INSIDE)
    assert told["named"] == ["child", "looking"] or told["named"][:2] == ["child", "looking"]
    assert told["events"] == "task_created"
    assert told["results"] >= 1
    assert told["memory"] >= 2
    assert told["last"] is True
    assert (told["awaited"], told["big"]) == (30, 2_000_000)
    assert told["client"] == [told["session"], False]


def test_two_sessions_keys_never_meet_there(on_host):
    assert on_host(KEYS) == {"one": 1, "two": 2}


def test_a_process_that_a_phase_forked_is_told_that_it_can_not_launch(alone):
    told = alone(FORKED)["told"]
    assert told.startswith("ServerUnreachable: ")
    assert "launch in the phase itself" in told


def test_a_process_that_a_phase_started_in_any_other_way_is_told_so_too(on_host):
    said = on_host(STARTED)
    told = said["told"]
    assert {way: len(each) for way, each in told.items()} == {
        "spawn": 3, "forkserver": 3, "loky": 6, "script": 1, "command": 1,
    }  # fmt: skip
    for each in [one for way in told.values() for one in way]:
        assert said["task_id"] in each
        assert "launch in the phase itself" in each
    assert said["launched"] == 1


def test_it_may_name_a_server_and_is_in_its_tasks_session_without_its_secrets(served):
    server = served.server
    assert served(f"URL, TOKEN = {server.url!r}, {server.token!r}\n" + NAMED)["told"] == [
        ["nb:three", 20],
        ["nb:four", 20],
    ]
    files = [path for path in server.log.parent.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"of-the-parent-alone" in path.read_bytes()] == []


def test_it_may_name_it_by_a_variable_and_the_phase_itself_stays_with_its_task(served):
    url, token = served.server.url, served.server.token
    said = served(f"URL, TOKEN = {url!r}, {token!r}\n" + BY_VARIABLE)
    assert said["told"].pop("phase")[1:] == ["nb:five", 20, said["task_id"]]
    there = [url, "nb:five", 20, None]
    assert said["told"] == {"spawn": there, "fork": there}


def test_the_server_of_its_hosts_environment_is_none_that_it_names(alone):
    for own, result, inherited, named in alone(INHERITED)["told"]:
        assert own == [None, None]
        assert result == 20
        assert "launch in the phase itself, or name a server here" in inherited
        assert "http://127.0.0.1:9/" in named
        assert "launch in the phase itself" not in named


def test_an_answer_that_is_too_large_for_the_line_is_refused_and_the_worker_lives(alone):
    said = alone(LARGE)
    message, of_one, of_store, lives = said["told"]
    assert message.startswith("TooLarge: ")
    assert "more than the limit of 50,000 bytes: ask for the results of one task" in message
    assert (of_one, of_store, lives, said["attempts"]) == (1, 2, True, 1)


def test_an_inline_phase_that_outlives_its_end_launches_nothing_more(alone):
    told = alone(OUTLIVES)
    assert (told["state"], told["tasks"]) == ("cancelled", ["child", "outliving"])
    assert len(told["heard"]) == 4
    for each in told["heard"]:
        assert each.startswith("ServerUnreachable: the phase of this client has ended")
        assert "while the phase runs" in each


def test_a_child_goes_on_when_its_parent_is_cancelled(alone):
    told = alone(CANCELLED)
    assert told.pop("before") in ("queued", "running")
    assert told == {"parent": "cancelled", "child": "went on"}


def test_a_childs_failure_is_not_tried_again_by_its_parent(alone):
    assert alone(FAILED) == {"error": "ValueError: no owls", "attempts": 1, "tasks": 2}


def test_a_worker_is_as_clean_after_a_nested_launch_as_before(alone):
    assert alone(WORKERS) == {"same": True, "two": 2}


def test_variables_go_along_and_the_parents_secrets_do_not(alone, tmp_path):
    assert alone(SECRETS) == {"told": [17, None, "of the cell"]}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "dsn"]
    assert [path for path in files if b"nobody's business" in path.read_bytes()] == []


def test_a_launch_in_a_phase_of_a_server_is_called_by_the_servers_url(served):
    assert served("""
calling = pn.Workflow("calling")

@calling.implementation
def call():
    return pn.connect().url

say(inside=calling.launch().result(100), outside=pn.connect().url)
""")["inside"].startswith("http://localhost:")
